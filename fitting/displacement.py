"""How far a refinement went from where it began: a joint that the keypoints pulled far off had a poor estimate, or
keypoints that are wrong.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fitting import so3
from fitting.forward import Forward
from fitting.unknowns import State
from model.body.skeleton import HEAD, NUM_MAIN_JOINTS


@dataclass(frozen=True, kw_only=True, slots=True)
class Displacement:
    """Distance of B people from their coarse estimate; from the neutral start that won where there was no estimate."""

    joints_rad: Tensor
    """(B, 22) angle between the local rotations of root and body joints."""
    head_rad: Tensor
    """(B,) angle between the orientations of the head in the camera frame."""
    hands_rad: Tensor
    """(B, 2) mean angle over the 15 finger joints, left and right."""
    joints_mm: Tensor
    """(B, 22) distance of root and body joints, pelvis on pelvis."""

    @property
    def root_rad(self) -> Tensor:
        """(B,) angle between the root orientations in the camera frame."""
        return self.joints_rad[:, 0]

    @property
    def body_rad(self) -> Tensor:
        """(B,) mean angle over the 21 body joints."""
        return self.joints_rad[:, 1:].mean(1)

    @property
    def mean_rad(self) -> Tensor:
        """(B,) mean angle over root and body joints."""
        return self.joints_rad.mean(1)


def measure_displacement(start: State, before: Forward, state: State, forward: Forward) -> Displacement:
    """Compares the start with the refined state, each with its forward pass."""
    first, last = before.joints[:, :NUM_MAIN_JOINTS], forward.joints[:, :NUM_MAIN_JOINTS]
    return Displacement(
        joints_rad=torch.cat(
            [
                so3.angle_between(start.global_orient, state.global_orient)[:, None],
                so3.angle_between(start.body_pose, state.body_pose),
            ],
            1,
        ),
        head_rad=so3.angle_between(before.rotations[:, HEAD], forward.rotations[:, HEAD]),
        hands_rad=so3.angle_between(so3.exp(before.hand_rotvec), so3.exp(forward.hand_rotvec)).mean(2),
        joints_mm=1e3 * (last - first).norm(dim=-1),
    )

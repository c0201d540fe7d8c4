"""People of SMPL-X as people of SMPL: the way back over the aligned rest surfaces, and the joints they have there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fitting.delta_theta import DeltaTheta
from model.body import skeleton
from model.body.assets import BodyAssets
from model.body.lbs import KinematicTree, forward_kinematics
from model.rotations import rotmat_to_rotvec
from tasks.export.people.people import People

NUM_JOINTS = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class SmplPeople:
    """N people."""

    pose: np.ndarray
    """(N, 72) axis-angle, the root first; both hand joints at rest."""
    betas: np.ndarray
    """(N, 10)."""
    joints_m: np.ndarray
    """(N, 24, 3) camera frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SmplBody:
    """The SMPL body that belongs to one of SMPL-X."""

    assets: BodyAssets
    transfer: DeltaTheta

    def people(self, people: People) -> SmplPeople:
        """The same people; their pelvis is where SMPL has it in the aligned surface."""
        parameters = people.parameters
        body = self.transfer.smpl_pose(parameters.body_pose.double())
        root, count = parameters.global_orient.double(), len(people)
        hands = torch.eye(3, dtype=root.dtype).expand(count, 2, 3, 3)
        rotations = torch.cat([root[:, None], body, hands], dim=1)
        betas = self.transfer.smpl_betas(parameters.betas.double())
        rest = self._rest_joints(betas)
        _, joints = forward_kinematics(rotations, rest, KinematicTree.from_parents(skeleton.SMPL_PARENTS).double())
        # Both pelvis joints are carried by the root's turn from the same flesh.
        offset = torch.from_numpy(self.transfer.pelvis_offset_m)
        place = parameters.known("transl_m").double() - root @ offset
        joints = joints - joints[:, :1] + place[:, None]
        return SmplPeople(
            pose=rotmat_to_rotvec(rotations).flatten(1).numpy(), betas=betas.numpy(), joints_m=joints.numpy()
        )

    def _rest_joints(self, betas: torch.Tensor) -> torch.Tensor:
        """(N, S') -> (N, 24, 3)."""
        regressor, count = self.assets.joint_regressor.astype(np.float64), betas.shape[1]
        template = torch.from_numpy(regressor @ self.assets.v_template)
        dirs = torch.from_numpy(np.einsum("jv,vcs->jcs", regressor, self.assets.shapedirs[..., :count]))
        return template + torch.einsum("jcs,ns->njc", dirs, betas)

"""Frames whose own fits jump from those around them: legs that a detector swapped for a moment, a body turned about.

A clip that starts there stays there: the loss of keypoints is bounded, and what jumps makes the motion pass for lively.
Started from the frames around, it meets their keypoints again where they are right.

Legend: F frames, J joints.
"""

import torch
from torch import Tensor

from fitting.clips.motion import ToWorld
from fitting.sparse_body import SparseBody
from fitting.unknowns import State
from model.body import skeleton

MEDIAN_OF_NORMAL = 0.6745
"""Median of the sizes of normal numbers of standard deviation 1."""
_REACH = 4
"""Frames before and after with which one is compared; fewer than so many may jump on end."""
_FAR = 5.0
"""Standard deviations from where those have a joint, beyond which it jumps."""
_LEAST_M = 0.1
"""A distance that is no jump."""


def jumping(body: SparseBody, state: State, fitted: Tensor, world: ToWorld | None = None) -> Tensor:
    """(F,) bool: frames that have a joint far from its median place in the frames around; of the ends nothing is said.

    Args:
        body: the body.
        state: of the frames, each by itself.
        fitted: (F,) bool, those that count.
        world: where the cameras of the frames stand; None for one camera.
    """
    places, found = torch.nonzero(fitted).squeeze(1), torch.zeros_like(fitted)
    if len(places) < 2 * _REACH + 1:
        return found
    joints = body.forward(state).joints[:, : skeleton.NUM_MAIN_JOINTS]
    joints = joints - joints[:, :1]
    joints = (joints if world is None else joints @ world.turn.mT)[places]
    around = joints.clone()
    for reach in range(1, _REACH + 1):  # near the ends fewer, as many before as after
        around[reach:-reach] = joints.unfold(0, 2 * reach + 1, 1).median(-1).values
    off = (joints - around).norm(dim=-1)
    usual = off.median(0).values / MEDIAN_OF_NORMAL
    found[places] = (off > (_FAR * usual).clamp(min=_LEAST_M)).any(1)
    return found

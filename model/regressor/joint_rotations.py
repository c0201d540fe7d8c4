"""Rotations of SMPL-X joints chained from the pelvis, without a body model: the skeleton is enough."""

from __future__ import annotations

import torch
from torch import Tensor

from model.body.skeleton import SMPLX_PARENTS


def joint_orientation(local: Tensor, joint: int) -> Tensor:
    """Local rotations (B, 55, 3, 3) chained from the pelvis to one joint: (B, 3, 3) relative to the camera."""
    turn, parent = local[:, joint], SMPLX_PARENTS[joint]
    while parent >= 0:
        turn, parent = local[:, parent] @ turn, SMPLX_PARENTS[parent]
    return turn


def global_rotations(local: Tensor) -> Tensor:
    """Local rotations (B, 55, 3, 3) chained from the pelvis: every joint relative to the camera."""
    chained: list[Tensor] = []
    for joint, parent in enumerate(SMPLX_PARENTS):
        own = local[:, joint]
        chained.append(own if parent < 0 else chained[parent] @ own)
    return torch.stack(chained, 1)

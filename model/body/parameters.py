"""The parameters of EHM-s people as one value: what the regressor says, what a label says, what the body model takes.

Rotations are matrices. `global_orient` and `head_orient` are relative to a camera: for the network the crop's own (x
right, y down, z along the ray through the crop's centre), for results the photo's. All others are relative to the
parent joint, SMPL-X order.

Legend: B people, S, F, E numbers of SMPL-X shape, FLAME shape and expression coefficients.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class EhmParameters:
    """Parameters of B people."""

    global_orient: Tensor
    """(B, 3, 3) rotation of the pelvis in the camera frame."""
    body_pose: Tensor
    """(B, 21, 3, 3)."""
    left_hand_pose: Tensor
    """(B, 15, 3, 3), identity is the flat hand."""
    right_hand_pose: Tensor
    """(B, 15, 3, 3)."""
    betas: Tensor
    """(B, S) SMPL-X shape."""
    head_orient: Tensor
    """(B, 3, 3) rotation of the head in the camera frame: what the FLAME branch says without looking at the body."""
    jaw_pose: Tensor
    """(B, 3, 3) relative to the head."""
    eye_pose: Tensor
    """(B, 2, 3, 3) left, right, relative to the head."""
    eyelids: Tensor
    """(B, 2) left, right; 0 open, 1 closed."""
    flame_shape: Tensor
    """(B, F)."""
    flame_expression: Tensor
    """(B, E)."""
    head_scale: Tensor
    """(B, 3) EHM-s scale s of the head."""

    def named(self) -> dict[str, Tensor]:
        """Field name to tensor."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def body_arguments(self) -> dict[str, Tensor]:
        """Keyword arguments of ``model.body.ehms.EHMs``; `head_orient` is none, the body carries the head."""
        return {name: value for name, value in self.named().items() if name != "head_orient"}

    def __len__(self) -> int:
        """Number of people."""
        return len(self.betas)

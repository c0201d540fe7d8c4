"""The parameters of EHM-s people as one value: what a fit and the regressor say, what a label says, what poses a body.

``datasets_manifest.schema.ehm_fields`` is the table of the fields: shapes, frames, defaults. Rotations are matrices
here and axis-angle in files. `transl_m`, `global_orient` and `head_orient` are relative to a camera: for the network
the crop's own (x right, y down, z along the ray through the crop's centre), for results the photo's. All others are
relative to the parent joint, SMPL-X order.

Legend: B people, S, F, E numbers of SMPL-X shape, FLAME shape and expression coefficients.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE, EHM_FIELDS, BodySize, EhmField
from model.rotations import rotmat_to_rotvec, rotvec_to_rotmat


@dataclass(frozen=True, kw_only=True, slots=True)
class EhmParameters:
    """Parameters of B people; None is not known."""

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
    """(B, 3) EHM-s scale s of the head, along its own rest axes."""
    head_orient: Tensor | None = None
    """(B, 3, 3) rotation of the head in the camera frame: what a face says without looking at the body. It poses
    nothing, the body carries the head."""
    transl_m: Tensor | None = None
    """(B, 3) where the pelvis joint is; None leaves a posed body at its rest position."""

    @classmethod
    def neutral(
        cls,
        *batch: int,
        size: BodySize = DEFAULT_SIZE,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
        **known: Tensor,
    ) -> EhmParameters:
        """People at rest with the mean shape.

        Args:
            batch: Leading dimensions, usually B.
            size: Numbers of coefficients.
            dtype: Of the numbers.
            device: Where they are.
            known: Fields that are given; place and orientation of the head are None otherwise.
        """
        rest = {field.name: _default(field, size, dtype, device) for field in EHM_FIELDS if field.name in _REQUIRED}
        return cls(**{name: value.expand(*batch, *value.shape) for name, value in rest.items()} | known)

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> EhmParameters:
        """People from label columns: (B, n) or (B, ..., 3) arrays by name; an absent one is neutral.

        Names that are no parameters are passed over.
        """
        found = {field.name: _from_file(field, columns[field.name]) for field in EHM_FIELDS if field.name in columns}
        return dataclasses.replace(cls.neutral(len(next(iter(found.values())))), **found)

    def columns(self, log: Callable[[Tensor], Tensor] = rotmat_to_rotvec) -> dict[str, Tensor]:
        """(B, n) float32 by label column, rotations as axis-angle; without what is not known.

        Args:
            log: Matrices (..., 3, 3) to axis-angle (..., 3).
        """
        return {
            field.name: (log(value).flatten(1) if field.kind == "rotation" else value).float()
            for field in EHM_FIELDS
            if (value := getattr(self, field.name)) is not None
        }

    def named(self) -> dict[str, Tensor]:
        """Field name to tensor, without what is not known."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in found.items() if value is not None}

    def known(self, name: str) -> Tensor:
        """A parameter that may be unknown, and must not be here.

        Raises:
            ValueError: It is unknown.
        """
        value = getattr(self, name)
        if value is None:
            raise ValueError(f"{name} of these people is not known; take people that are placed in a camera")
        return value

    def local_rotations(self) -> Tensor:
        """(B, 55, 3, 3) of all SMPL-X joints relative to their parents; the pelvis relative to the camera."""
        single = (self.global_orient[..., None, :, :], self.body_pose, self.jaw_pose[..., None, :, :])
        return torch.cat([*single, self.eye_pose, self.left_hand_pose, self.right_hand_pose], -3)

    def rest_coefficients(self) -> Tensor:
        """(B, S + F + E + 2) what moves the rest body linearly, in the order of ``model.body.blended_head``."""
        return torch.cat([self.betas, self.flame_shape, self.flame_expression, self.eyelids], -1)

    def resized(self, size: BodySize) -> EhmParameters:
        """The same people with at least as many coefficients as another size: missing ones are zero."""
        wanted = {field.name: field.tensor_shape(size) for field in EHM_FIELDS if field.kind == "coefficients"}
        known = {name: (getattr(self, name), count) for name, (count,) in wanted.items()}
        short = {name: (value, count - value.shape[-1]) for name, (value, count) in known.items()}
        padded = {name: torch.nn.functional.pad(value, (0, more)) for name, (value, more) in short.items() if more > 0}
        return dataclasses.replace(self, **padded) if padded else self

    def take(self, rows: Tensor) -> EhmParameters:
        """Some of the people, by their rows (N,) or by which (B,) bool they are."""
        return dataclasses.replace(self, **{name: value[rows] for name, value in self.named().items()})

    @property
    def size(self) -> BodySize:
        """Numbers of coefficients."""
        return BodySize(
            num_betas=self.betas.shape[-1],
            num_flame_shape=self.flame_shape.shape[-1],
            num_expression=self.flame_expression.shape[-1],
        )

    def __len__(self) -> int:
        """Number of people."""
        return len(self.betas)


_REQUIRED = {field.name for field in dataclasses.fields(EhmParameters) if field.default is dataclasses.MISSING}


def _default(field: EhmField, size: BodySize, dtype: torch.dtype, device: torch.device | str | None) -> Tensor:
    shape = field.tensor_shape(size)
    if field.kind == "rotation":
        return torch.eye(3, dtype=dtype, device=device).expand(shape)
    return torch.full(shape, field.default, dtype=dtype, device=device)


def _from_file(field: EhmField, values: Any) -> Tensor:
    found = torch.from_numpy(np.array(values, np.float32))
    if field.kind == "rotation":
        return rotvec_to_rotmat(found.reshape(len(found), *field.column_shape(DEFAULT_SIZE)))
    return found.flatten(1)

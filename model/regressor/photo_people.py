"""People of photos: what prediction takes, what it gives, and what lies between.

Legend: P people of a photo, B people of one or several photos.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.batches import tensors_of
from model.body.parameters import EhmParameters
from model.body.skeleton import NUM_KEYPOINTS, NUM_SMPLX_JOINTS
from model.estimators.base import Array, default_camera
from model.imaging.squares import Square
from model.regressor.config import RegressorConfig
from model.regressor.seen import seen_parts
from model.renderer.raster import project


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoPeople:
    """A photo and where its people are."""

    rgb: Array
    """(H, W, 3) uint8."""
    boxes_xyxy: Array
    """(P, 4) px; P may be 0."""
    focal_px: float | None = None
    """Focal length; None is assumed as everywhere in this project (``default_camera``)."""
    principal_px: Array | None = None
    """(2,) principal point; None is the middle."""

    def camera(self) -> tuple[float, Array]:
        """Focal length and principal point (2,), assumed where they are not given."""
        focal, principal = default_camera(self.rgb.shape[1], self.rgb.shape[0])
        given = principal if self.principal_px is None else np.asarray(self.principal_px, np.float64)
        return focal if self.focal_px is None else float(self.focal_px), given


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoPrediction:
    """The people of one photo; tensors are float32 on the CPU."""

    parameters: EhmParameters
    """P people in the photo's camera."""
    crop_camera: Tensor
    """(P, 3) s, tx, ty as the network said it."""
    squares: tuple[Square, ...]
    """What the network saw."""
    focal_px: float
    """Focal length of the photo."""
    principal_px: Array
    """(2,) its principal point."""
    joints_m: Tensor | None
    """(P, 55, 3) in the photo's camera; None without a body."""
    keypoints_px: Array | None
    """(P, 133, 2) in the photo; None without a body."""
    seen: Array | None
    """(P, 4) bool, which parts are seen (``model.regressor.seen``); None without a body."""

    @property
    def is_finite(self) -> Array:
        """(P,) bool: is every number of the person finite."""
        numbers = tensors_of(self)
        if self.keypoints_px is not None:
            numbers.append(torch.from_numpy(self.keypoints_px))
        return torch.stack([value.flatten(1).isfinite().all(1) for value in numbers]).all(0).numpy()

    def __len__(self) -> int:
        """Number of people."""
        return len(self.squares)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedPeople:
    """People of one or several photos, each in the camera of its photo."""

    parameters: EhmParameters
    """B people; all of them is known."""
    camera: Tensor
    """(B, 3) of the crops."""
    joints_m: Tensor | None = None
    """(B, 55, 3)."""
    keypoints_m: Tensor | None = None
    """(B, 133, 3)."""

    @classmethod
    def nobody(cls, config: RegressorConfig, *, with_points: bool) -> PlacedPeople:
        """No people, with the shapes of those of a network."""
        nobody = EhmParameters.neutral(0, size=config.size)
        return cls(
            parameters=dataclasses.replace(nobody, head_orient=nobody.global_orient, transl_m=torch.zeros(0, 3)),
            camera=torch.zeros(0, 3),
            joints_m=torch.zeros(0, NUM_SMPLX_JOINTS, 3) if with_points else None,
            keypoints_m=torch.zeros(0, NUM_KEYPOINTS, 3) if with_points else None,
        )

    def in_photo(self, photo: PhotoPeople, squares: tuple[Square, ...]) -> PhotoPrediction:
        """All of them as the people of one photo, whom the network saw in these squares."""
        focal, principal = photo.camera()
        keypoints_px, seen = None, None
        if self.keypoints_m is not None and self.joints_m is not None:
            keypoints_px = project(self.keypoints_m.numpy(), focal, principal)
            size_px = (photo.rgb.shape[1], photo.rgb.shape[0])
            seen = seen_parts(self.parameters, self.joints_m, keypoints_px, squares, size_px)
        return PhotoPrediction(
            parameters=self.parameters,
            crop_camera=self.camera,
            squares=squares,
            focal_px=focal,
            principal_px=principal,
            joints_m=self.joints_m,
            keypoints_px=keypoints_px,
            seen=seen,
        )

"""Prediction: photos and boxes of people in, EHM-s people in the camera of their photo out.

People of many photos share the batches of the network. Each is cut as in training, but without augmentation.

Legend: P people of a photo, C side of a crop in px.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from model.body.keypoint_body import KeypointBody
from model.body.skeleton import NUM_BODY_JOINTS, NUM_HAND_JOINTS, NUM_KEYPOINTS, NUM_SMPLX_JOINTS
from model.estimators.base import Array, default_camera
from model.estimators.boxes import box_problem
from model.estimators.crops import Square
from model.regressor.camera import fitted_photo_translation, photo_orient, photo_translation
from model.regressor.config import RegressorConfig
from model.regressor.crop import crop_square, crop_transform, cut_crop
from model.regressor.network import EhmRegressor, normalise
from model.regressor.parameters import EhmParameters
from model.regressor.runtime import Precision, for_precision, numerics
from model.renderer.raster import project

PLACING_JOINTS = 25
"""Root, body, jaw and eyes place a body in its photo; thirty finger joints would outvote them."""


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
    """P people; ``global_orient`` and ``head_orient`` are relative to the photo's camera."""
    transl_m: Tensor
    """(P, 3) position of the pelvis joint in the photo's camera."""
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

    @property
    def is_finite(self) -> Array:
        """(P,) bool: is every number of the person finite."""
        numbers = [*self.parameters.named().values(), self.transl_m, self.crop_camera]
        if self.joints_m is not None and self.keypoints_px is not None:
            numbers += [self.joints_m, torch.from_numpy(self.keypoints_px)]
        return torch.stack([value.flatten(1).isfinite().all(1) for value in numbers]).all(0).numpy()

    def __len__(self) -> int:
        """Number of people."""
        return len(self.squares)


class Predictor:
    """A network ready to predict."""

    def __init__(
        self,
        network: EhmRegressor,
        *,
        device: torch.device | str = "cpu",
        precision: Precision = "fp32",
        batch_size: int = 32,
        body: KeypointBody | None = None,
    ) -> None:
        """Takes a network.

        Args:
            network: In evaluation mode; it is moved to the device.
            device: Where it runs.
            precision: ``fp32``, ``tf32`` (matrix products on a GPU) or ``bf16`` (backbone under autocast).
            batch_size: Largest number of people in a batch.
            body: Gives joints and keypoints, and the people are placed by them. Without it a person is placed by the
                pelvis alone, which is less exact for near ones, and no body model is touched.

        Raises:
            ValueError: Precision, batch size or device are not possible here, the network is in training mode, or
                the body has other coefficients.
        """
        if precision not in get_args(Precision):
            raise ValueError(f"precision: expected one of {', '.join(get_args(Precision))}, got {precision!r}")
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
        self.device = usable_device(device)
        if network.training:
            raise ValueError("the network is in training mode: call eval() before it predicts")
        self.network, self.body, self.batch_size = for_precision(network, precision), body, batch_size
        self.precision: Precision = precision
        if body is not None:
            check_coefficients(network.config, body)
            body.to(self.device)
        self.network.to(self.device)

    def predict(
        self, rgb: Array, boxes_xyxy: Array, focal_px: float | None = None, principal_px: Array | None = None
    ) -> PhotoPrediction:
        """People of one photo; the arguments are the fields of ``PhotoPeople``."""
        people = PhotoPeople(rgb=rgb, boxes_xyxy=boxes_xyxy, focal_px=focal_px, principal_px=principal_px)
        return self.predict_photos([people])[0]

    def predict_photos(self, photos: Sequence[PhotoPeople]) -> list[PhotoPrediction]:
        """People of several photos, which share batches.

        Raises:
            ValueError: A box is not finite, smaller than a few px or outside its photo.
        """
        squares = [_squares(photo) for photo in photos]
        people = [(photo, square) for photo, own in zip(photos, squares, strict=True) for square in own]
        batches = [self._batch(people[k : k + self.batch_size]) for k in range(0, len(people), self.batch_size)]
        everyone = _Placed.joined(batches) if batches else None
        results, first = [], 0
        for photo, own in zip(photos, squares, strict=True):
            if everyone is None or not own:
                placed = _nobody(self.network.config, with_points=self.body is not None)
            else:
                placed = everyone.part(slice(first, first + len(own)))
            first += len(own)
            results.append(_of_photo(photo, own, placed))
        return results

    @torch.inference_mode()
    def _batch(self, people: Sequence[tuple[PhotoPeople, Square]]) -> _Placed:
        """Cuts, predicts and places up to ``batch_size`` people."""
        config = self.network.config
        size = config.crop_px
        cut = [cut_crop(photo.rgb, crop_transform(square, size), size) for photo, square in people]
        crops = torch.from_numpy(np.stack(cut).transpose(0, 3, 1, 2)).to(self.device)
        with numerics(self.precision, self.device):
            prediction = self.network(normalise(crops))
        parameters, camera = prediction.parameters.map(Tensor.float), prediction.camera.float()
        cameras = [photo.camera() for photo, _ in people]
        place = {
            "centre_px": self._floats([square.centre_px for _, square in people]),
            "focal_px": self._floats([focal for focal, _ in cameras]),
            "principal_px": self._floats([principal for _, principal in cameras]),
            "roll_rad": self._floats([square.roll_rad for _, square in people]),
        }
        side_px = self._floats([square.side_px for _, square in people])
        in_photo = dataclasses.replace(
            parameters,
            global_orient=photo_orient(parameters.global_orient, **place),
            head_orient=photo_orient(parameters.head_orient, **place),
        )
        if self.body is None:
            transl = photo_translation(camera, side_px=side_px, focal_sides=config.focal_sides, **place)
            return _Placed(parameters=in_photo, transl_m=transl, camera=camera).on_cpu()
        seen = self.body(**parameters.body_arguments()).joints
        rooted = (seen - seen[:, :1])[:, :PLACING_JOINTS]
        transl = fitted_photo_translation(rooted, camera, side_px=side_px, focal_sides=config.focal_sides, **place)
        points = self.body(**in_photo.body_arguments(), transl=transl)
        return _Placed(
            parameters=in_photo, transl_m=transl, camera=camera, joints_m=points.joints, keypoints_m=points.keypoints
        ).on_cpu()

    def _floats(self, values: object) -> Tensor:
        return torch.from_numpy(np.array(values, np.float32)).to(self.device)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Placed:
    """People of one or several photos, each in the camera of its photo."""

    parameters: EhmParameters
    transl_m: Tensor
    """(B, 3)."""
    camera: Tensor
    """(B, 3) of the crops."""
    joints_m: Tensor | None = None
    """(B, 55, 3)."""
    keypoints_m: Tensor | None = None
    """(B, 133, 3)."""

    def map(self, function: Callable[[Tensor], Tensor]) -> _Placed:
        """The same with a function applied to every tensor."""
        names = ("transl_m", "camera", "joints_m", "keypoints_m")
        found = {name: value for name in names if (value := getattr(self, name)) is not None}
        moved = {name: function(value) for name, value in found.items()}
        return dataclasses.replace(self, parameters=self.parameters.map(function), **moved)

    def on_cpu(self) -> _Placed:
        return self.map(Tensor.cpu)

    def part(self, rows: slice) -> _Placed:
        return self.map(lambda tensor: tensor[rows])

    @classmethod
    def joined(cls, batches: Sequence[_Placed]) -> _Placed:
        """The people of all batches, one after the other."""
        names = ("transl_m", "camera", "joints_m", "keypoints_m")
        found = {name: [getattr(batch, name) for batch in batches] for name in names}
        parameters = {
            name: torch.cat([getattr(batch.parameters, name) for batch in batches])
            for name in batches[0].parameters.named()
        }
        merged = {name: torch.cat(values) for name, values in found.items() if values[0] is not None}
        return cls(parameters=EhmParameters(**parameters), **merged)


def usable_device(device: torch.device | str) -> torch.device:
    """The device by its name.

    Raises:
        ValueError: There is no such device here.
    """
    try:
        wanted = torch.device(device)
        torch.zeros(1, device=wanted)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {str(device)!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return wanted


def check_coefficients(config: RegressorConfig, body: KeypointBody) -> None:
    """Refuses a body that does not have the coefficients that a network speaks of.

    Raises:
        ValueError: Some number differs.
    """
    for name in ("num_betas", "num_flame_shape", "num_expression"):
        if getattr(config, name) != getattr(body, name):
            raise ValueError(
                f"the network gives {getattr(config, name)} coefficients ({name}), the body model takes "
                f"{getattr(body, name)}; use the body model that the network was trained with"
            )


def _squares(photo: PhotoPeople) -> tuple[Square, ...]:
    boxes = np.asarray(photo.boxes_xyxy, np.float64).reshape(-1, 4)
    height, width = photo.rgb.shape[:2]
    for box in boxes:
        if box_problem(box, width, height) is not None:
            raise ValueError(
                f"box {np.round(box, 1).tolist()} is not finite, too small or outside its photo ({width} x {height} px)"
            )
    return tuple(crop_square(box) for box in boxes)


def _nobody(config: RegressorConfig, *, with_points: bool) -> _Placed:
    shapes = {
        "global_orient": (3, 3),
        "body_pose": (NUM_BODY_JOINTS, 3, 3),
        "left_hand_pose": (NUM_HAND_JOINTS, 3, 3),
        "right_hand_pose": (NUM_HAND_JOINTS, 3, 3),
        "betas": (config.num_betas,),
        "head_orient": (3, 3),
        "jaw_pose": (3, 3),
        "eye_pose": (2, 3, 3),
        "eyelids": (2,),
        "flame_shape": (config.num_flame_shape,),
        "flame_expression": (config.num_expression,),
        "head_scale": (3,),
    }
    return _Placed(
        parameters=EhmParameters(**{name: torch.zeros(0, *shape) for name, shape in shapes.items()}),
        transl_m=torch.zeros(0, 3),
        camera=torch.zeros(0, 3),
        joints_m=torch.zeros(0, NUM_SMPLX_JOINTS, 3) if with_points else None,
        keypoints_m=torch.zeros(0, NUM_KEYPOINTS, 3) if with_points else None,
    )


def _of_photo(photo: PhotoPeople, squares: tuple[Square, ...], placed: _Placed) -> PhotoPrediction:
    focal, principal = photo.camera()
    return PhotoPrediction(
        parameters=placed.parameters,
        transl_m=placed.transl_m,
        crop_camera=placed.camera,
        squares=squares,
        focal_px=focal,
        principal_px=principal,
        joints_m=placed.joints_m,
        keypoints_px=None if placed.keypoints_m is None else project(placed.keypoints_m.numpy(), focal, principal),
    )

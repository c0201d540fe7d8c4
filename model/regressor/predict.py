"""Prediction: photos and boxes of people in, EHM-s people in the camera of their photo out.

People of many photos share the batches of the network. Each is cut as in training, but without augmentation.

Legend: P people of a photo, C side of a crop in px.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from operator import itemgetter
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from model.batches import cat_rows, map_tensors
from model.body.keypoint_body import KeypointBody
from model.estimators.base import Array
from model.execution import Mode, Precision
from model.imaging.boxes import box_problem
from model.imaging.crop import crop_square, crop_transform, cut_crop
from model.imaging.crop_camera import fitted_photo_translation, is_shown, photo_orient, photo_translation
from model.imaging.squares import Square
from model.regressor.config import RegressorConfig
from model.regressor.network import EhmRegressor, Prediction, normalise
from model.regressor.photo_people import PhotoPeople, PhotoPrediction, PlacedPeople
from model.regressor.runtime import accelerate, for_precision

PLACING_JOINTS = 25
"""Root, body, jaw and eyes place a body in its photo, as far as the crop shows them; thirty finger joints would outvote
them."""


class Predictor:
    """A network ready to predict."""

    def __init__(
        self,
        network: EhmRegressor,
        *,
        device: torch.device | str = "cpu",
        precision: Precision = "fp32",
        mode: Mode = "eager",
        batch_size: int = 32,
        body: KeypointBody | None = None,
    ) -> None:
        """Takes a network.

        Args:
            network: In evaluation mode; it is moved to the device.
            device: Where it runs.
            precision: ``fp32``, ``tf32`` (matrix products on a GPU) or ``bf16`` (backbone under autocast).
            mode: How the network runs (``model.regressor.runtime``). ``compile`` and ``graph`` take their time now, and
                always run whole batches: fewer people are filled up with empty crops.
            batch_size: Largest number of people in a batch.
            body: Gives joints and keypoints, and the people are placed by them. Without it a person is placed by the
                pelvis alone, which is less exact for near ones, and no body model is touched.

        Raises:
            ValueError: Precision, mode, batch size or device are not possible here, the network is in training mode,
                or the body has other coefficients.
        """
        if precision not in get_args(Precision):
            raise ValueError(f"precision: expected one of {', '.join(get_args(Precision))}, got {precision!r}")
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
        self.device = usable_device(device)
        if network.training:
            raise ValueError("the network is in training mode: call eval() before it predicts")
        self.network, self.body, self.batch_size = for_precision(network, precision), body, batch_size
        if body is not None:
            check_coefficients(network.config, body)
            body.to(self.device)
        self.network.to(self.device)
        size, self._is_fixed = network.config.crop_px, mode != "eager"
        with torch.inference_mode():
            empty = torch.zeros(batch_size if self._is_fixed else 1, 3, size, size, dtype=torch.uint8)
            self._run = accelerate(self._see, (empty.to(self.device),), mode=mode, precision=precision)

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
        everyone = cat_rows(batches) if batches else None
        results, first = [], 0
        for photo, own in zip(photos, squares, strict=True):
            if everyone is None or not own:
                placed = PlacedPeople.nobody(self.network.config, with_points=self.body is not None)
            else:
                placed = map_tensors(everyone, itemgetter(slice(first, first + len(own))))
            first += len(own)
            results.append(placed.in_photo(photo, own))
        return results

    @torch.inference_mode()
    def _batch(self, people: Sequence[tuple[PhotoPeople, Square]]) -> PlacedPeople:
        """Cuts, predicts and places up to ``batch_size`` people."""
        config = self.network.config
        size = config.crop_px
        cut = [cut_crop(photo.rgb, crop_transform(square, size), size) for photo, square in people]
        crops = torch.from_numpy(np.stack(cut).transpose(0, 3, 1, 2)).to(self.device)
        prediction = self._run(self._filled(crops))
        told = slice(len(people))
        parameters = map_tensors(prediction.parameters, lambda tensor: tensor[told].float())
        camera = prediction.camera[told].float()
        cameras = [photo.camera() for photo, _ in people]
        place = {
            "centre_px": self._floats([square.centre_px for _, square in people]),
            "focal_px": self._floats([focal for focal, _ in cameras]),
            "principal_px": self._floats([principal for _, principal in cameras]),
            "roll_rad": self._floats([square.roll_rad for _, square in people]),
        }
        side_px = self._floats([square.side_px for _, square in people])
        turned = {name: photo_orient(getattr(parameters, name), **place) for name in ("global_orient", "head_orient")}
        in_photo = dataclasses.replace(parameters, **turned)
        if self.body is None:
            transl = photo_translation(camera, side_px=side_px, focal_sides=config.focal_sides, **place)
            placed = PlacedPeople(parameters=dataclasses.replace(in_photo, transl_m=transl), camera=camera)
            return map_tensors(placed, Tensor.cpu)
        seen = self.body(parameters).joints
        rooted = (seen - seen[:, :1])[:, :PLACING_JOINTS]
        transl = fitted_photo_translation(
            rooted,
            camera,
            side_px=side_px,
            focal_sides=config.focal_sides,
            deciding=is_shown(rooted, camera, config.focal_sides),
            **place,
        )
        in_photo = dataclasses.replace(in_photo, transl_m=transl)
        points = self.body(in_photo)
        placed = PlacedPeople(parameters=in_photo, camera=camera, joints_m=points.joints, keypoints_m=points.keypoints)
        return map_tensors(placed, Tensor.cpu)

    def _see(self, crops: Tensor) -> Prediction:
        """The network on crops (B, 3, C, C) uint8."""
        return self.network(normalise(crops))

    def _filled(self, crops: Tensor) -> Tensor:
        """The crops, as many as the network was prepared for."""
        if not self._is_fixed:
            return crops
        return torch.cat([crops, crops.new_zeros(self.batch_size - len(crops), *crops.shape[1:])])

    def _floats(self, values: object) -> Tensor:
        return torch.from_numpy(np.array(values, np.float32)).to(self.device)


def usable_device(device: torch.device | str) -> torch.device:
    """The device by its name.

    Raises:
        ValueError: There is no such device here.
    """
    try:
        wanted = torch.device(device)
        torch.zeros(1, device=wanted).cpu()  # the meta device has shapes, but no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"device {str(device)!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return wanted


def check_coefficients(
    config: RegressorConfig, body: KeypointBody, *, network_name: str = "the network", body_name: str = "the body model"
) -> None:
    """Refuses a body that does not have the coefficients that a network speaks of.

    Args:
        config: Size of the network.
        body: The body.
        network_name: Where the network comes from, for the sentence.
        body_name: The same of the body.

    Raises:
        ValueError: Some number differs.
    """
    taken = dataclasses.asdict(body.size)
    for name, given in dataclasses.asdict(config.size).items():
        if given != taken[name]:
            raise ValueError(
                f"{network_name} gives {given} coefficients ({name}), {body_name} takes {taken[name]}; use the body "
                "model that the network was trained with"
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

"""Avatars of predicted people: all that drawing needs is read at once, then each photo is drawn."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from model.batches import take_rows
from model.body.ehms import EHMs
from model.body.skeleton import BODY
from model.imaging.boxes import longer_side
from model.imaging.camera import Camera
from model.regressor.photo_people import PhotoPrediction
from tasks.display import Display
from tasks.film import check_encoder
from tasks.people_renderer import open_renderer
from tasks.predict.avatar.drawing import Avatars, PhotoWithPeople
from tasks.predict.avatar.masks import Masks
from tasks.predict.avatar.motion import read_motion
from tasks.predict.people import FoundPeople
from tasks.predict.settings import AvatarConfig
from tasks.settings import BodyModelConfig

log = logging.getLogger(__name__)

MAX_DISTANCE = 0.08
"""Of a prediction from the keypoints, in shares of the box; the regressor of rendered people is at .03 on them."""


class PredictedAvatars:
    """Draws the people who were predicted of photos."""

    def __init__(self, config: AvatarConfig, body_model: BodyModelConfig, body: EHMs) -> None:
        """Reads all that drawing needs.

        Args:
            config: Which files.
            body_model: Which body the people have.
            body: That body, with their numbers of coefficients.

        Raises:
            ValueError: A file is absent, damaged, or of another body; films cannot be written here.
        """
        renderer = open_renderer(config.renderer, "avatar.renderer", body_model).renderer
        check_encoder()
        motion = None
        if config.motion is not None:
            motion = read_motion(Path(config.motion), body.assets.entry, fps=config.fps)
        self._avatars, self._masks = Avatars(renderer, body, config, motion), Masks()

    def draw(
        self, name: str, rgb: np.ndarray, found: FoundPeople, prediction: PhotoPrediction, display: Display | None
    ) -> Iterator[tuple[str, bytes]]:
        """Name and content of the files of everybody whose prediction fits the photo: see ``Avatars.draw``.

        Where it does not, the looks would be those of the background; the log names who has no avatar for that.

        Args:
            name: Of the photo, for messages.
            rgb: (H, W, 3) uint8.
            found: Its people.
            prediction: Those of them whose boxes are usable.
            display: Shows how many pictures are drawn.
        """
        numbers, masks, off = np.flatnonzero(found.usable), self._masks.of(rgb, found), distance(found, prediction)
        for index in np.flatnonzero(prediction.is_finite & (off > MAX_DISTANCE)):
            log.warning(
                "%s: no avatar of person %d, whose prediction lies %.0f %% of the box's longer side beside the "
                "keypoints, %.0f %% are allowed",
                *(name, numbers[index], 100 * off[index], 100 * MAX_DISTANCE),
            )
        chosen = np.flatnonzero(prediction.is_finite & (off <= MAX_DISTANCE))
        photo = PhotoWithPeople(
            name=name,
            rgb=rgb,
            people=take_rows(prediction.parameters, torch.from_numpy(chosen)),
            numbers=numbers[chosen].tolist(),
            masks=[masks[index] for index in chosen],
            camera=Camera(
                focal_px=torch.tensor([prediction.focal_px], dtype=torch.float32),
                principal_px=torch.tensor(prediction.principal_px[None], dtype=torch.float32),
            ),
        )
        return self._avatars.draw(photo, display)


def distance(found: FoundPeople, prediction: PhotoPrediction) -> np.ndarray:
    """(U,) median distance of predicted body points from the seen keypoints of U usable people, in longer sides of
    the box; 0 where there are none."""
    if found.output is None or prediction.keypoints_px is None:
        return np.zeros(len(prediction))
    seen = np.isfinite(found.output.sigma_px[found.usable][:, BODY])
    off = np.linalg.norm(found.output.keypoints[found.usable][:, BODY, :2] - prediction.keypoints_px[:, BODY], axis=-1)
    medians = [np.median(row[is_seen]) if is_seen.any() else 0.0 for row, is_seen in zip(off, seen, strict=True)]
    return np.array(medians) / longer_side(found.boxes_xyxy[found.usable])

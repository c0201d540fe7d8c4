"""Which pixels of a photo are whose, so that nobody wears the background."""

from __future__ import annotations

import logging

import numpy as np

from model.estimators.base import PersonBatch, default_camera
from model.estimators.mediapipe.masks import MediapipeMasks
from tasks.predict.people import FoundPeople

log = logging.getLogger(__name__)


class Masks:
    """Masks by MediaPipe's pose network, of people who were found by their keypoints."""

    def __init__(self) -> None:
        """Takes the networks; without the package mediapipe nobody has a mask, which the log says."""
        try:
            self._masks = MediapipeMasks()
        except ImportError as error:
            log.warning("avatars are drawn without masks of the people in the photos: %s", error)
            self._masks = None

    def of(self, rgb: np.ndarray, found: FoundPeople) -> list[np.ndarray | None]:
        """(H, W) uint8 as `datasets_manifest.sources.masks` has them, of each of the U usable people of a photo.

        None of somebody in whose box the network sees another person, and of a whole image as one person.
        """
        usable, output = found.usable, found.output
        if self._masks is None or output is None or not usable.any():
            return [None] * int(usable.sum())
        focal, principal = default_camera(rgb.shape[1], rgb.shape[0])
        num = int(usable.sum())
        return self._masks.estimate(
            PersonBatch(
                images=[rgb] * num,
                boxes_xyxy=output.boxes_xyxy[usable],
                keypoints=output.keypoints[usable],
                sigma_px=output.sigma_px[usable],
                focal_px=np.full(num, focal),
                principal_px=np.tile(principal, (num, 1)),
                evidence={name: values[usable] for name, values in output.evidence.items()},
            )
        )

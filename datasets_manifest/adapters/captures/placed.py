"""Cameras whose places the capture knows photo by photo: those that stand, and those that people wear."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from datasets_manifest.adapters.camera_files import CameraFile


class Worn(NamedTuple):
    """Glasses of a person."""

    wearer: int
    """Number of the person."""
    place: Callable[[int], np.ndarray | None]
    """From the number of a photo to (3, 4) world to camera, metres; None where nobody knows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedCameras(CameraFile):
    """Cameras of whose photos some are placed."""

    poses: Mapping[str, Mapping[int, np.ndarray]] = field(default_factory=dict)
    """Camera that stands -> number of a photo that is placed -> (3, 4) world to camera, metres."""
    worn: Mapping[str, Worn] = field(default_factory=dict)
    """Cameras that people wear, which are in ``cameras`` for their lenses."""

    def world_to_camera(self, name: str, number: int | None = None) -> np.ndarray:
        """(3, 4) of the photo that is placed and nearest in time; of the first without a number."""
        if name not in self.poses:
            return CameraFile.world_to_camera(self, name)
        placed = self.poses[name]
        return placed[min(placed) if number is None else min(placed, key=lambda own: (abs(own - number), own))]

    def place(self, name: str, number: int) -> np.ndarray | None:
        """See ``CameraFile``; what is worn is where it is in that very photo."""
        return self.worn[name].place(number) if name in self.worn else self.world_to_camera(name, number)

    def wearer(self, name: str) -> int | None:
        """See ``CameraFile``."""
        return self.worn[name].wearer if name in self.worn else None

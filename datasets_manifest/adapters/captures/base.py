"""What a format of captures gives beside photos: cameras, and people in 3D."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from datasets_manifest.adapters.base import PersonRecord
from datasets_manifest.adapters.camera_files import CameraEntry, CameraFile
from datasets_manifest.adapters.captures.seen import box_of
from datasets_manifest.schema.trusted import TRUSTED_PARTS, TrustedPart
from datasets_manifest.schema.truth_3d import PointsAre, Truth3d

WORN_PARTS: frozenset[TrustedPart] = frozenset({"left_hand", "right_hand"})
"""Of a person who wears the camera: it sees hands, arms and perhaps knees, upside down and from where no estimator of
bodies has learnt them."""
SizeOf = Callable[[str], tuple[int, int] | None]
"""Width and height of a camera's photos by its name, px; None of photos that cannot be read."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KnownPeople:
    """People of a scene in its world."""

    points_m: Mapping[int, Mapping[int, np.ndarray]] = field(default_factory=dict)
    """Number of the photo -> number of the person in the scene -> (133, 4) x, y, z metres, score."""
    points_are: PointsAre = "keypoints"
    """Where in the body they lie."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What of the files is not among them, in the words of the summary."""

    def seen_by(
        self, number: int, camera: CameraEntry, world_to_camera: np.ndarray, wearer: int | None = None
    ) -> tuple[PersonRecord, ...]:
        """The people of a photo: those of whom the camera has enough in view.

        Args:
            number: Of the photo.
            camera: As it is calibrated.
            world_to_camera: (3, 4) metres.
            wearer: Number of the person who wears the camera, of whom hands alone are trusted.
        """
        people = []
        for track, points in sorted(self.points_m.get(number, {}).items()):
            box = box_of(points, camera, world_to_camera)
            if box is not None:
                truth = Truth3d(frame="world", keypoints_m=points, points_are=self.points_are)
                trusted = WORN_PARTS if track == wearer else frozenset(TRUSTED_PARTS)
                people.append(PersonRecord(index=track, bbox_xyxy=box, truth_3d=truth, track=track, trusted=trusted))
        return tuple(people)


class Capture(Protocol):
    """Reads one format."""

    def cameras(self, scene: str, file: str, size_of: SizeOf) -> CameraFile:
        """The cameras that count.

        Args:
            scene: Its name.
            file: File or folder of the cameras, below the root.
            size_of: Of the photos there are.

        Raises:
            ValueError: A file is not there or wrong; the sentence names it.
        """
        ...

    def people(self, scene: str, numbers: range) -> KnownPeople:
        """People in 3D of the photos that are numbered so.

        Raises:
            ValueError: As ``cameras``.
        """
        ...

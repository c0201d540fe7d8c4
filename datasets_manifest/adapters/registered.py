"""Photos of one person each with a registered mesh and OpenPose's points beside them, as EHF has them.

The box is the extent of OpenPose's points, widened. The mesh is only named here: evaluation alone reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, PositiveFloat

from datasets_manifest.adapters.base import Entry, ImageRecord, LeftOut, PersonRecord
from datasets_manifest.adapters.coco_values import RowError
from datasets_manifest.adapters.people.reading import with_missing_photos
from datasets_manifest.adapters.people.values import box_around, numbers
from datasets_manifest.adapters.registry import register
from datasets_manifest.paths import inside
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.settings import Text
from datasets_manifest.sources.image_source import ImageSource

_WIDENED = 1.2
"""A box over the extent of its points."""
_POINTS = ("pose_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d", "face_keypoints_2d")
"""Of OpenPose's file: the body's are needed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredLayout:
    """What lies beside a photo, and the camera of all of them."""

    photos: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Patterns of photos below the root; {number} below is their name up to the first _."""
    mesh: Text
    """PLY file of the mesh, such as {number}_align.ply."""
    points: Text
    """JSON file of OpenPose, such as {number}_2Djnt.json."""
    focal_px: PositiveFloat
    """Focal length."""
    principal_px: tuple[float, float]
    """Principal point."""


@register("registered")
class RegisteredAdapter:
    """Photos with one person each. An image's id is its path below the root."""

    Layout: ClassVar[type] = RegisteredLayout
    BOXES: ClassVar[frozenset[str]] = frozenset({"manifest", "detector"})
    KEYPOINTS: ClassVar[frozenset[str]] = frozenset({"none"})

    def __init__(self, images: ImageSource, layout: RegisteredLayout, *, boxes: str, keypoints: str) -> None:
        self._images, self._layout, self._boxes = images, layout, boxes

    def entries(self) -> Iterator[Entry]:
        """Photos in the order of their names; of two of one number, as .png and .jpg, the first."""
        root = self._images.root
        names = sorted({path.relative_to(root).as_posix() for p in self._layout.photos for path in root.glob(p)})
        photo_of: dict[str, str] = {}
        for name in names:
            photo_of.setdefault(_beside(name, "{number}"), name)
        yield LeftOut("photos of a number that another file has left out", len(names) - len(photo_of))
        yield from with_missing_photos(self._images, map(self._record, photo_of.values()))

    def _record(self, name: str) -> ImageRecord:
        people: tuple[PersonRecord, ...] = ()
        if self._boxes == "manifest":
            try:
                people = (self._person(name),)
            except RowError as error:
                detail = f"{_beside(name, self._layout.points)}: {error}"
                people = (PersonRecord(index=0, error_code=error.code, error_detail=detail),)
        camera: dict[str, Any] = {"focal_px": self._layout.focal_px, "principal_px": self._layout.principal_px}
        return ImageRecord(image_id=name, path=name, people=people, **camera)

    def _person(self, name: str) -> PersonRecord:
        path = inside(self._images.root, _beside(name, self._layout.points), links="follow")
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise RowError(f"it cannot be read ({error}); fetch it again.", ErrorCode.SOURCE_ROW_INVALID) from error
        said = content.get("people") if isinstance(content, dict) else None
        if not isinstance(said, list) or len(said) != 1 or not isinstance(said[0], dict):
            raise RowError("expected OpenPose's points of one person.")
        rows = [np.reshape(said[0].get(part) or [], -1).tolist() for part in _POINTS]
        flat = numbers({"points": [value for row in rows for value in row]}, "points", (None,))
        if flat.size % 3 or not rows[0]:
            raise RowError("expected x, y and score of each point, those of the body among them.")
        points = flat.reshape(-1, 3)
        seen = points[points[:, 2] > 0, :2]
        if not len(seen):
            raise RowError("no point is seen, so that there is no box.", ErrorCode.BOX_INVALID)
        low, high = seen.min(axis=0), seen.max(axis=0)
        return PersonRecord(
            index=0,
            bbox_xyxy=box_around((low + high) / 2, (high - low) * _WIDENED),
            mesh=_beside(name, self._layout.mesh),
        )


def _beside(photo: str, pattern: str) -> str:
    """Path of a file by the number of a photo, in the photo's folder."""
    path = PurePosixPath(photo)
    return path.with_name(pattern.replace("{number}", path.name.partition("_")[0])).as_posix()

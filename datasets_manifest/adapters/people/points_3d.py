"""What a manifest says of the 3D points of published records, which do not say it themselves: frame, unit, where they
lie in the body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from datasets_manifest.adapters.base import PersonRecord
from datasets_manifest.schema.truth_3d import PointsAre

_ARRAYS = ("keypoints_3d", "body_keypoints_3d", "extra_keypoints_3d", "S")
_MM = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class Points3dLayout:
    """Of points in 3D that labels are to be fitted to."""

    frame: Literal["camera_relative", "camera"]
    """camera_relative: along the axes of the photo's camera (x right, y down, z forward), from an origin of their own,
    such as the root; camera: from the camera."""
    unit: Literal["m", "mm"] = "m"
    """Of the file."""
    are: PointsAre | None = None
    """keypoints where annotators see them, or joints inside the body, as those of markers are; null: as the set of
    points has them."""

    def read(self, reader: Callable[..., PersonRecord], record: Mapping[str, Any], *others: Any) -> PersonRecord:
        """A person whose points in 3D are known to be so, by the reader of a record and what else that takes."""
        person = reader(record if self.unit == "m" else _in_metres(record), *others)
        truth = person.truth_3d
        if truth is None:
            return person
        relative, are = self.frame == "camera_relative", self.are or truth.points_are
        return replace(person, truth_3d=replace(truth, root_relative=relative, points_are=are, points_turned=True))


def _in_metres(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record whose points in 3D are no longer millimetres; its reader tells of values that are no numbers."""
    scaled = {}
    for name in _ARRAYS:
        if record.get(name) is not None:
            with suppress(TypeError, ValueError):
                points = np.array(record[name], np.float64)
                points[..., :3] *= _MM
                scaled[name] = points
    return {**record, **scaled}

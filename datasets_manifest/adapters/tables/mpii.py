"""MPII as mmpose and HRNet have it in JSON: a list of people, each with centre, scale and 16 joints.

Coordinates come from MATLAB, which counts pixels from 1. The centre lies at the chest: it is moved down by 15 px of a
scale of 1, as all readers of these files do. Boxes are 200 px of the scale.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from datasets_manifest.adapters.base import Entry, ImageRecord, Missing, PersonRecord
from datasets_manifest.adapters.coco_values import is_text
from datasets_manifest.adapters.json_values import json_list
from datasets_manifest.adapters.people.hmr2 import PIXELS_OF_SCALE
from datasets_manifest.adapters.people.reading import people_or_reasons, photo_path
from datasets_manifest.adapters.people.values import box_around, numbers, placed
from datasets_manifest.adapters.tables.layout import TableLayout
from datasets_manifest.paths import inside
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.keypoint_sets import KEYPOINT_SETS
from datasets_manifest.sources.image_source import ImageSource

_POINTS = KEYPOINT_SETS["mpii"]
_CHEST_PX = np.array([0.0, 15.0])
"""From the centre of the file to the middle of the person, of a scale of 1."""


def entries(images: ImageSource, layout: TableLayout) -> Iterator[Entry]:
    """Photos, sorted by name; those of the whole data set are 25 thousand, so that they are held."""
    path = inside(images.root, layout.annotations, links="follow")  # The manifest names it, not the data.
    people_of: defaultdict[str, list[tuple[dict[str, Any], str]]] = defaultdict(list)
    for position, row in enumerate(json_list(path)):
        where = f"{layout.annotations}[{position}]"
        if isinstance(row, dict) and is_text(row.get("image")):
            people_of[row["image"]].append((row, str(position)))
        else:
            yield Missing.of(where, ErrorCode.SOURCE_ROW_INVALID, "the person's image has no name that can be read.")
    for name, rows in sorted(people_of.items()):
        problems, people = people_or_reasons(_person, rows, layout.annotations)
        yield from problems
        yield ImageRecord(image_id=name, path=photo_path(layout.images, name), people=tuple(people))


def _person(row: Mapping[str, Any], index: int) -> PersonRecord:
    scale = numbers(row, "scale", ())
    joints = numbers(row, "joints", (16, 2)) - 1
    seen = numbers(row, "joints_vis", (16,))
    found = placed(np.concatenate([joints, (seen > 0)[:, None]], axis=1), _POINTS)
    center = numbers(row, "center", (2,)) + _CHEST_PX * scale - 1
    return PersonRecord(
        index=index,
        bbox_xyxy=box_around(center, scale * PIXELS_OF_SCALE),
        keypoints=found.placed,
        other_points=found.others,
    )

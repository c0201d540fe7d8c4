"""AI Challenger's own JSON: a list of photos with people by name, corners of boxes, and 14 points of x, y, flag.

Its flag is 1 for a visible point, 2 for a hidden one, 3 for one that is not labelled, other than in the COCO form of
the same data, where 2 is visible.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from datasets_manifest.adapters.base import Entry, ImageRecord, Missing, PersonRecord
from datasets_manifest.adapters.coco_values import HIDDEN_SCORE, RowError, is_text
from datasets_manifest.adapters.json_values import json_list
from datasets_manifest.adapters.people.reading import fill_in, people_or_reasons, photo_path
from datasets_manifest.adapters.people.values import box_of, numbers, placed
from datasets_manifest.adapters.tables.layout import TableLayout
from datasets_manifest.paths import inside
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.keypoint_sets import KEYPOINT_SETS
from datasets_manifest.sources.image_source import ImageSource

_POINTS = KEYPOINT_SETS["aic"]
_SCORES = {1: 1.0, 2: HIDDEN_SCORE, 3: 0.0}


def entries(images: ImageSource, layout: TableLayout) -> Iterator[Entry]:
    """Photos in the order of the file, none of them held but one."""
    path = inside(images.root, layout.annotations, links="follow")  # The manifest names it, not the data.
    seen: set[str] = set()
    for position, row in enumerate(json_list(path)):
        name = row.get("image_id") if isinstance(row, dict) else None
        where = f"{layout.annotations}[{position}]"
        if not isinstance(name, str) or not is_text(name) or name in seen:
            problem = "is listed twice" if is_text(name) else "has no image_id that can be read"
            yield Missing.of(where, ErrorCode.SOURCE_ROW_INVALID, f"the photo {problem}.")
            continue
        seen.add(name)
        place = photo_path(layout.images, fill_in(layout.photo or "{image_id}.jpg", image_id=name))
        boxes, points = (row.get(key) for key in ("human_annotations", "keypoint_annotations"))
        people: list[PersonRecord] = []
        if isinstance(boxes, dict) and isinstance(points, dict):
            names = sorted({*boxes, *points}, key=lambda human: (len(human), human))
            rows = [({"box": boxes.get(human), "keypoints": points.get(human)}, human) for human in names]
            problems, people = people_or_reasons(_person, rows, where)
            yield from problems
        else:
            detail = f"{where}: human_annotations and keypoint_annotations must be objects of people."
            yield Missing.of(where, ErrorCode.SOURCE_ROW_INVALID, detail, has_row=True)
            people = [PersonRecord(index=0, error_code=ErrorCode.SOURCE_ROW_INVALID, error_detail=detail)]
        yield ImageRecord(image_id=name, path=place, people=tuple(people))


def _person(row: Mapping[str, Any], index: int) -> PersonRecord:
    points = numbers(row, "keypoints", (3 * len(_POINTS.points),)).reshape(-1, 3)
    unknown = [flag for flag in points[:, 2] if flag not in _SCORES]
    if unknown:
        raise RowError(f"a flag of keypoints must be 1 (visible), 2 (hidden) or 3 (not labelled), got {unknown[0]:g}.")
    points[:, 2] = np.array([_SCORES[flag] for flag in points[:, 2]])
    found = placed(points, _POINTS)
    box = box_of(numbers(row, "box", (4,)), "xyxy")
    return PersonRecord(index=index, bbox_xyxy=box, keypoints=found.placed, other_points=found.others)

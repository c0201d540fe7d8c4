"""Rows of part files for frames in which somebody who passes was not found: they show nothing, no part is valid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import Columns, Values, joined, table_from_columns
from datasets_manifest.schema.fields import FLAGS, fixed_length
from datasets_manifest.schema.labels import Status, image_id_of, make_sample_id
from tasks.annotate.groups.bridges import Gap

Parts = dict[str, Columns]
"""Rows of the same people in each part file."""


def with_gap_rows(
    parts: Parts, gaps: Sequence[Gap], plan: Columns, within: np.ndarray
) -> tuple[Parts, np.ndarray, np.ndarray]:
    """Rows (N) of the parts with one for each gap.

    A person whom the data set names, and of whom nothing was found, has a row already; others are given a number in the
    photo that nobody has.

    Args:
        parts: Rows of people.
        gaps: Frames in which one of them was not found.
        plan: Of the shard.
        within: (N,) who each is, within the camera.

    Returns:
        The rows, new ones at the end; the row of each gap; and where each row belongs among the N, by halves.
    """
    people = parts["keypoints"]
    ids, persons, status = (people[name] for name in ("sample_id", "person", "status"))
    here: defaultdict[str, list[int]] = defaultdict(list)
    for row, sample_id in enumerate(ids):
        here[image_id_of(sample_id)].append(row)
    next_person = {image: int(persons[rows].max()) + 1 for image, rows in here.items()}
    gap_rows: list[int] = []
    new: list[tuple[str, int, int, int]] = []
    for gap in gaps:
        image = image_id_of(plan["sample_id"][gap.plan_row])
        named = (row for row in here[image] if status[row] == Status.FAILED and within[row] == within[gap.before])
        row = next(named, None)
        if row is None:
            row = len(ids) + len(new)
            new.append((image, next_person[image], here[image][-1], gap.before))
            next_person[image] += 1
        gap_rows.append(row)
    at = np.arange(len(ids), dtype=float)
    if new:
        images, numbers, photos, before = zip(*new, strict=True)
        at = np.concatenate([at, np.array(photos) + 0.5])
        key = people.take(np.array(photos))
        own: dict[str, Values] = {name: key.table[name] for name in ("dataset", "split", "image")}
        own["sample_id"] = [
            make_sample_id(dataset, split, image, person)
            for dataset, split, image, person in zip(key["dataset"], key["split"], images, numbers, strict=True)
        ]
        own |= {"person": numbers, "status": [Status.OK] * len(new)}
        size = people.take(np.array(before)).table
        own |= {name: size[name] for name in ("image_width", "image_height")}
        parts = {name: _joined(rows, own) for name, rows in parts.items()}
    return parts, np.array(gap_rows, int), at


def _joined(rows: Columns, own: dict[str, Values]) -> Columns:
    """The rows of a part, and below them such as show nothing."""
    schema, count = rows.table.schema, len(own["sample_id"])
    flags: dict[str, Values] = {
        field.name: np.zeros((count, *([] if (length := fixed_length(field)) is None else [length])), bool)
        for field in schema
        if field.type in (pa.bool_(), FLAGS)
    }
    return Columns(joined([rows.table, table_from_columns(own | flags, schema)], schema))

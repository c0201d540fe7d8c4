"""Who of one set of labels is who in another: people of a photo by their boxes, shard by shard.

Sets may have other shards and other ids of people. Only the ids of photos are held of a whole set.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.labels import LABEL_SCHEMA, image_id_of, label_schema
from datasets_manifest.schema.people import is_bridged, is_empty_photo
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.snapshot import Group, shard_files
from datasets_manifest.stores import Place
from tasks.evaluate.matching import assigned


class Paired(NamedTuple):
    """People of some photos in both sets."""

    a: Columns
    """(P) rows of the first."""
    b: Columns
    """(P) rows of the same people in the second."""
    only_a: int
    """People whom the second has not."""
    only_b: int
    """And whom the first has not."""


def label_groups(root: Place) -> dict[Group, list[Place]]:
    """Files of labels by data set and split.

    Raises:
        ValueError: There are none.
    """
    found = defaultdict[Group, list[Place]](list)
    for path in shard_files(root):
        folder = path.absolute().parent
        found[folder.parent.name, folder.name].append(path)
    if not found:
        raise ValueError(f"{root} has no labels; name a folder that pear annotate wrote, such as labels")
    return dict(found)


def same_groups(a: dict[Group, list[Place]], b: dict[Group, list[Place]]) -> list[tuple[Group, Group]]:
    """Which data sets to compare: those that both have, or the only one of each.

    Raises:
        ValueError: They have none in common, and one has several.
    """
    common = [(group, group) for group in a if group in b]
    if not common and len(a) == len(b) == 1:
        return [(next(iter(a)), next(iter(b)))]
    if not common:
        names = [", ".join("/".join(group) for group in own) for own in (a, b)]
        raise ValueError(f"no data set is in both: the first has {names[0]}, the second {names[1]}; name one of each")
    return common


def paired_people(a: Sequence[Place], b: Sequence[Place]) -> Iterator[Paired]:
    """People of both sets, a shard of the first at a time, and at last those of photos that only the second has."""
    others = _ByPhoto(b)
    for path in a:
        rows = _people(path)
        yield _paired(rows, others.take(dict.fromkeys(_photos(rows))))
    if rest := others.num_left:
        nobody = Columns(label_schema(in_groups=True).empty_table())
        yield Paired(nobody, nobody, 0, rest)


def _people(path: Place) -> Columns:
    """Rows that are people of their photo, with or without a label."""
    with Shard(path) as shard:
        table = shard.table(label_schema(in_groups=True))
    return Columns(table.filter(pa.array(~is_empty_photo(table) & ~is_bridged(table))))


def _photos(rows: Columns) -> list[str]:
    return [image_id_of(sample_id) for sample_id in rows["sample_id"]]


def _paired(a: Columns, b: Columns) -> Paired:
    own = defaultdict[str, tuple[list[int], list[int]]](lambda: ([], []))
    for side, rows in enumerate((a, b)):
        has_box = rows.has("bbox_xyxy")
        for row, photo in enumerate(_photos(rows)):
            if has_box[row]:
                own[photo][side].append(row)
    pairs = [
        (first[i], second[j])
        for first, second in own.values()
        if first and second
        for i, j in assigned(a["bbox_xyxy"][first].astype(np.float64), b["bbox_xyxy"][second].astype(np.float64))
    ]
    rows = np.array(pairs, np.int64).reshape(-1, 2)
    return Paired(a.take(rows[:, 0]), b.take(rows[:, 1]), a.num_rows - len(rows), b.num_rows - len(rows))


class _ByPhoto:
    """The people of a set by their photos."""

    def __init__(self, paths: Sequence[Place]) -> None:
        self._paths = paths
        self._shards = defaultdict[str, list[int]](list)
        self._counts = defaultdict[str, int](int)
        for number, path in enumerate(paths):
            with Shard(path) as shard:
                table = shard.table(LABEL_SCHEMA, ["sample_id", "status", "error_code"])
            rows = Columns(table.filter(pa.array(~is_empty_photo(table) & ~is_bridged(table))))
            for photo in _photos(rows):
                self._counts[photo] += 1
                if number not in self._shards[photo]:
                    self._shards[photo].append(number)
        # Photos follow each other alike in both sets, mostly.
        self._read = lru_cache(maxsize=2)(lambda number: _people(self._paths[number]))

    def take(self, photos: dict[str, None]) -> Columns:
        """The people of some photos, who are then no longer left."""
        shards = sorted({number for photo in photos for number in self._shards.get(photo, ())})
        tables = [label_schema(in_groups=True).empty_table()]
        for number in shards:
            rows = self._read(number)
            tables.append(rows.take(np.array([photo in photos for photo in _photos(rows)], bool)).table)
        for photo in photos:
            self._counts.pop(photo, None)
        return Columns(pa.concat_tables(tables[1:] or tables).unify_dictionaries())

    @property
    def num_left(self) -> int:
        """People of photos that nobody took."""
        return sum(self._counts.values())

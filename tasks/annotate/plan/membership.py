"""Which photo is in which shard. A photo stays in its shard, whatever comes or goes beside it; new ones open others.
The photos of a group are in one shard, a new one is where the others are.

The plans say it, and where one is gone, the labels.
"""

from __future__ import annotations

import hashlib
import json
import logging
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice

import numpy as np
import pyarrow as pa

from datasets_manifest.adapters.base import ImageRecord
from datasets_manifest.schema.labels import SCHEMA_VERSION, image_id_of, label_schema
from datasets_manifest.schema.part_files import PART_SCHEMAS
from datasets_manifest.shards.footer import Footer, ShardError
from datasets_manifest.shards.shard import Shard
from datasets_manifest.stores import Place
from tasks.annotate.plan_files import PlanFile, plan_files
from tasks.annotate.workspace import Group, ShardRef, Workspace, shard_paths

log = logging.getLogger(__name__)

_PHOTOS_AT_ONCE = 1024
"""Photos that are looked for together."""


class Membership:
    """The photos of a split's shards; of each of the N photos a hash and a number are kept, 12 bytes."""

    def __init__(self, workspace: Workspace, group: Group) -> None:
        """Reads the plans of a split, and the labels of shards without one."""
        hashes, shards = array("Q"), array("i")
        self._contents: dict[int, bytes] = {}
        self._groups: dict[int, int] = {}
        photos = dict(self._planned_photos(workspace, group))
        self.planned = frozenset(photos)
        """Numbers of the shards that have a plan."""
        # Plans of an earlier program were a file a shard, as labels are.
        for folder, schema in (
            (workspace.plan_folder(group), PART_SCHEMAS["plan"]),
            (workspace.step_folder("refine").joinpath(*group), label_schema(in_groups=True)),
        ):
            for shard, path in shard_paths(folder):
                if shard.index not in photos:
                    photos[shard.index] = self._read_photos(path, schema, shard.index)
        self.known = frozenset(photos)
        """The same, and of those that have labels alone."""
        for index in sorted(photos):
            hashes.extend(photos[index])
            shards.extend([index] * len(photos[index]))
        self.next_index = max(photos, default=-1) + 1
        """Number of the first new shard."""
        # Of a photo that two files claim, the first has it.
        found, first = np.unique(np.frombuffer(hashes, np.uint64), return_index=True)
        self._hashes, self._shards = found, np.frombuffer(shards, np.int32)[first]
        indices, counts = np.unique(self._shards, return_counts=True)
        self.missing: dict[int, int] = dict(zip(indices.tolist(), counts.tolist(), strict=True))
        """Photos of each shard that ``cut`` has not come to yet."""

    def _planned_photos(self, workspace: Workspace, group: Group) -> Iterator[tuple[int, array[int]]]:
        for path in plan_files(workspace, group):
            try:
                with PlanFile(path) as file:
                    rows, footers, version = file.columns(["sample_id", "group"]), file.footers, file.schema_version
            except (FileNotFoundError, ShardError) as error:
                log.warning("%s What labels do not tell of its shards is planned anew.", error)
                continue
            ids, groups, end = rows["sample_id"], rows["group"], 0
            for index, footer in footers.items():
                first, end = end, end + footer.row_count
                if version == SCHEMA_VERSION:
                    self._contents[index] = _content(footer)
                yield index, self._photos_of(ids[first:end], groups[first:end], index)

    def _read_photos(self, path: Place, schema: pa.Schema, index: int) -> array[int]:
        try:
            with Shard(path) as file:
                rows = file.columns(schema, ["sample_id", "group"])
        except (FileNotFoundError, ShardError):
            return array("Q")
        return self._photos_of(rows["sample_id"], rows["group"], index)

    def _photos_of(self, sample_ids: np.ndarray, groups: np.ndarray, index: int) -> array[int]:
        """Hashes of the photos of people; of None as group there is none."""
        for name in set(groups) - {None}:
            self._groups.setdefault(_hash(name), index)
        return array("Q", {_hash(image_id_of(sample_id)) for sample_id in sample_ids})

    def is_planned(self, shard: ShardRef, footer: Footer) -> bool:
        """Whether the shard has a plan with this footer already."""
        return shard.index in self._contents and self._contents[shard.index] == _content(footer)

    def cut(self, photos: Iterable[ImageRecord], size: int) -> Iterator[tuple[int, list[ImageRecord]]]:
        """Puts photos into their shards, new ones into new shards.

        A shard is given as soon as all its photos are there, so that hardly more than one waits at a time; one that
        lacks photos which vanished is given at the end.

        Args:
            photos: All of the split, in any order that is the same every time; those of a group follow each other.
            size: Photos of a new shard; of more, where a group has more.

        Yields:
            Number and photos of a shard.

        Raises:
            ValueError: Photos of other groups are between those of one.
        """
        waiting: dict[int, list[ImageRecord]] = {}
        new: list[ImageRecord] = []
        index = self.next_index
        for home, known, own in self._at_home(photos):
            if home is None:
                new += own
                if len(new) >= size:
                    yield index, new
                    new, index = [], index + 1
                continue
            waiting.setdefault(home, []).extend(own)
            for shard in known:
                self.missing[shard] -= 1
            for shard in dict.fromkeys(known) if len(known) > 1 else known:
                if not self.missing[shard] and shard in waiting:
                    yield shard, waiting.pop(shard)
        yield from sorted(waiting.items())
        if new:
            yield index, new

    def _at_home(
        self, photos: Iterable[ImageRecord]
    ) -> Iterator[tuple[int | None, Sequence[int], Sequence[ImageRecord]]]:
        """Photos that belong together, most of them alone: the shard that they go to, if there is one, and of those
        that are in shards already the numbers of these."""
        for group, own in _by_group(photos):
            homes = self._shards_of(own)
            if group is None:
                for photo, home in zip(own, homes, strict=True):
                    yield home, () if home is None else (home,), (photo,)
            else:
                known = [home for home in homes if home is not None]
                yield known[0] if known else self._groups.get(_hash(group)), known, own

    def _shards_of(self, photos: Sequence[ImageRecord]) -> list[int | None]:
        """The shard that each photo is in already."""
        if not len(self._hashes):
            return [None] * len(photos)
        wanted = np.array([_hash(photo.image_id) for photo in photos], np.uint64)
        at = np.minimum(np.searchsorted(self._hashes, wanted), len(self._hashes) - 1)
        is_known = self._hashes[at] == wanted
        return [home if known else None for home, known in zip(self._shards[at].tolist(), is_known, strict=True)]


def _by_group(photos: Iterable[ImageRecord]) -> Iterator[tuple[str | None, list[ImageRecord]]]:
    """Groups with their photos, and those that stand alone, some at a time; raises ValueError for photos between those
    of a group."""
    seen: set[int] = set()
    for name, run in groupby(photos, lambda photo: None if photo.place is None else photo.place.group):
        if name is None:
            while own := list(islice(run, _PHOTOS_AT_ONCE)):
                yield None, own
            continue
        own = list(run)
        if (number := _hash(name)) in seen:
            raise ValueError(
                f"group {name!r}: its photos do not follow each other, {own[0].image_id!r} comes after those of "
                "another; list all photos of a group in turn"
            )
        seen.add(number)
        yield name, own


def _hash(image_id: str) -> int:
    """64 bits: of 10^6 photos no two have the same with a probability of 1 - 3e-8; two that had would share a shard."""
    return int.from_bytes(hashlib.blake2b(image_id.encode(), digest_size=8).digest(), "little")


def _content(footer: Footer) -> bytes:
    """What decides whether a plan may stay."""
    stated = json.dumps([footer.config_hash, dict(footer.manifest)], sort_keys=True)
    return hashlib.blake2b(stated.encode(), digest_size=16).digest()

"""Which photo is in which shard. A photo stays in its shard, whatever comes or goes beside it; new ones open others.
The photos of a group are in one shard, a new one is where the others are.

The plan files say it, and where one is gone, the labels.
"""

from __future__ import annotations

import hashlib
import itertools
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator

import numpy as np

from datasets_manifest.adapters.base import ImageRecord
from datasets_manifest.canonical import canonical_json
from datasets_manifest.schema.labels import SCHEMA_VERSION, image_id_of, label_schema
from datasets_manifest.schema.part_files import PART_SCHEMAS
from datasets_manifest.shards.footer import Footer, ShardError
from datasets_manifest.shards.shard import Shard
from datasets_manifest.stores import Place
from tasks.annotate.workspace import Group, ShardRef, Workspace, shard_paths


class Membership:
    """The photos of a split's shards; of each of the N photos a hash and a number are kept, 12 bytes."""

    def __init__(self, workspace: Workspace, group: Group) -> None:
        """Reads every plan file of a split, and the labels of shards without one."""
        hashes, shards = array("Q"), array("i")
        self._planned: dict[int, bytes] = {}
        self._groups: dict[int, int] = {}
        known = _indices(workspace.work.joinpath("plan", *group)) | _indices(workspace.labels.joinpath(*group))
        for index in sorted(known):
            own = self._photos_of(ShardRef(dataset=group[0], split=group[1], index=index), workspace)
            hashes.extend(own)
            shards.extend([index] * len(own))
        self.next_index = max(known, default=-1) + 1
        """Number of the first new shard."""
        # Of a photo that two files claim, the first has it.
        found, first = np.unique(np.frombuffer(hashes, np.uint64), return_index=True)
        self._hashes = array("Q", found.tobytes())
        self._shards = np.frombuffer(shards, np.int32)[first]
        indices, counts = np.unique(self._shards, return_counts=True)
        self.missing: dict[int, int] = dict(zip(indices.tolist(), counts.tolist(), strict=True))
        """Photos of each shard that ``cut`` has not come to yet."""

    def _photos_of(self, shard: ShardRef, workspace: Workspace) -> set[int]:
        for step, schema in (("plan", PART_SCHEMAS["plan"]), ("refine", label_schema(in_groups=True))):
            path = workspace.plan_path(shard) if step == "plan" else workspace.step_path(step, shard)
            try:
                with Shard(path) as file:
                    rows = file.columns(schema, ["sample_id", "group"])
                    if step == "plan" and file.footer.schema_version == SCHEMA_VERSION:
                        self._planned[shard.index] = _content(file.footer)
            except (FileNotFoundError, ShardError):
                continue
            for name in set(rows["group"][rows.has("group")]):
                self._groups.setdefault(_hash(name), shard.index)
            return {_hash(image_id_of(sample_id)) for sample_id in rows["sample_id"]}
        return set()

    def is_planned(self, shard: ShardRef, footer: Footer) -> bool:
        """Whether the shard's plan file has this footer already."""
        return self._planned.get(shard.index) == _content(footer)

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
        for group, own in _by_group(photos):
            known = [shard for shard in map(self._shard_of, own) if shard is not None]
            home = known[0] if known else None if group is None else self._groups.get(_hash(group))
            if home is None:
                new += own
                if len(new) >= size:
                    yield index, new
                    new, index = [], index + 1
                continue
            waiting.setdefault(home, []).extend(own)
            for shard in known:
                self.missing[shard] -= 1
            for shard in dict.fromkeys(known):
                if not self.missing[shard] and shard in waiting:
                    yield shard, waiting.pop(shard)
        yield from sorted(waiting.items())
        if new:
            yield index, new

    def _shard_of(self, photo: ImageRecord) -> int | None:
        if not self._hashes:
            return None
        wanted = _hash(photo.image_id)
        at = bisect_left(self._hashes, wanted)
        return int(self._shards[at]) if at < len(self._hashes) and self._hashes[at] == wanted else None


def _indices(folder: Place) -> set[int]:
    return {shard.index for shard, _ in shard_paths(folder)}


def _by_group(photos: Iterable[ImageRecord]) -> Iterator[tuple[str | None, list[ImageRecord]]]:
    """Groups with their photos, and every other photo by itself; raises ValueError for photos between those of one."""
    seen: set[int] = set()
    for group, own in itertools.groupby(photos, lambda photo: photo.place and photo.place.group):
        if group is None:
            yield from ((None, [photo]) for photo in own)
            continue
        of_group = list(own)
        if (number := _hash(group)) in seen:
            raise ValueError(
                f"group {group!r}: its photos do not follow each other, {of_group[0].image_id!r} comes after those of "
                "another; list all photos of a group in turn"
            )
        seen.add(number)
        yield group, of_group


def _hash(image_id: str) -> int:
    """64 bits: of 10^6 photos no two have the same with a probability of 1 - 3e-8; two that had would share a shard."""
    return int.from_bytes(hashlib.blake2b(image_id.encode(), digest_size=8).digest(), "little")


def _content(footer: Footer) -> bytes:
    """What decides whether a plan file may stay."""
    stated = canonical_json([footer.config_hash, dict(footer.manifest)])
    return hashlib.blake2b(stated.encode(), digest_size=16).digest()

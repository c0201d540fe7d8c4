"""Which photo is in which shard. A photo stays in its shard, whatever comes or goes beside it; new ones open others.

The plan files say it, and where one is gone, the labels.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from datasets_manifest.adapters.base import ImageRecord
from datasets_manifest.canonical import canonical_json
from datasets_manifest.schema.labels import LABEL_SCHEMA, SCHEMA_VERSION, image_id_of
from datasets_manifest.schema.part_files import PLAN_SCHEMA
from datasets_manifest.shards.footer import Footer, ShardError
from datasets_manifest.shards.shard import Shard
from tasks.annotate.workspace import Group, ShardRef, Workspace, shard_paths


class Membership:
    """The photos of a split's shards; of each of the N photos a hash and a number are kept, 12 bytes."""

    def __init__(self, workspace: Workspace, group: Group) -> None:
        """Reads every plan file of a split, and the labels of shards without one."""
        hashes, shards = array("Q"), array("i")
        self._planned: dict[int, bytes] = {}
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
        for step, schema in (("plan", PLAN_SCHEMA), ("refine", LABEL_SCHEMA)):
            path = workspace.plan_path(shard) if step == "plan" else workspace.step_path(step, shard)
            try:
                with Shard(path) as file:
                    ids = file.columns(schema, ["sample_id"])["sample_id"]
                    if step == "plan" and file.footer.schema_version == SCHEMA_VERSION:
                        self._planned[shard.index] = _content(file.footer)
            except (FileNotFoundError, ShardError):
                continue
            return {_hash(image_id_of(sample_id)) for sample_id in ids}
        return set()

    def is_planned(self, shard: ShardRef, footer: Footer) -> bool:
        """Whether the shard's plan file has this footer already."""
        return self._planned.get(shard.index) == _content(footer)

    def cut(self, photos: Iterable[ImageRecord], size: int) -> Iterator[tuple[int, list[ImageRecord]]]:
        """Puts photos into their shards, new ones into new shards.

        A shard is given as soon as all its photos are there, so that hardly more than one waits at a time; one that
        lacks photos which vanished is given at the end.

        Args:
            photos: All of the split, in any order that is the same every time.
            size: Photos of a new shard.

        Yields:
            Number and photos of a shard.
        """
        waiting: dict[int, list[ImageRecord]] = {}
        new: list[ImageRecord] = []
        index = self.next_index
        for photo in photos:
            own = self._shard_of(photo)
            if own is None:
                new.append(photo)
                if len(new) == size:
                    yield index, new
                    new, index = [], index + 1
                continue
            waiting.setdefault(own, []).append(photo)
            self.missing[own] -= 1
            if not self.missing[own]:
                yield own, waiting.pop(own)
        yield from sorted(waiting.items())
        if new:
            yield index, new

    def _shard_of(self, photo: ImageRecord) -> int | None:
        if not self._hashes:
            return None
        wanted = _hash(photo.image_id)
        at = bisect_left(self._hashes, wanted)
        return int(self._shards[at]) if at < len(self._hashes) and self._hashes[at] == wanted else None


def _indices(folder: Path) -> set[int]:
    return {shard.index for shard, _ in shard_paths(folder)}


def _hash(image_id: str) -> int:
    """64 bits: of 10^6 photos no two have the same with a probability of 1 - 3e-8; two that had would share a shard."""
    return int.from_bytes(hashlib.blake2b(image_id.encode(), digest_size=8).digest(), "little")


def _content(footer: Footer) -> bytes:
    """What decides whether a plan file may stay."""
    stated = canonical_json([footer.config_hash, dict(footer.manifest)])
    return hashlib.blake2b(stated.encode(), digest_size=16).digest()

"""The labels of a run's shards, published in files of many shards each; only those whose shards changed are written."""

from __future__ import annotations

import hashlib
import logging
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from datasets_manifest.canonical import canonical_json, config_hash
from datasets_manifest.schema.labels import SCHEMA_VERSION
from datasets_manifest.shards.footer import Footer, ShardError
from datasets_manifest.shards.joined import joined_name, write_joined
from datasets_manifest.shards.object_entry import entry_of_object
from datasets_manifest.shards.shard import Shard, read_footer
from datasets_manifest.source_date import utc_now
from datasets_manifest.stores import Place
from tasks.annotate.label_files import label_files
from tasks.annotate.stale import set_aside
from tasks.annotate.workspace import Group, ShardRef, SplitShards, Workspace

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Stated:
    """What a shard says of itself: another one, or the same made again, says something else."""

    digest: bytes
    row_count: int
    failed_count: int
    empty_count: int

    @classmethod
    def of(cls, footer: Footer) -> _Stated:
        said = [footer.config_hash, footer.manifest, footer.code_version, footer.created_utc, footer.schema_version]
        counts = footer.row_count, footer.failed_count, footer.empty_count
        digest = hashlib.blake2b(canonical_json([said, counts]).encode(), digest_size=16).digest()
        return cls(digest, *counts)


class _Changed(Exception):
    """A shard is no longer what it was when the labels were read."""


class JoinedLabels:
    """Files of ``output.shards_per_file`` shards, for whoever holds the claim to publish."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace, self._size = workspace, workspace.shards_per_file
        self._found: dict[Group, dict[int, _Stated]] = {}
        self._outdated: set[Group] = set()

    def add(self, shard: ShardRef, labels: Shard) -> None:
        """Takes a shard that can be read."""
        self._found.setdefault(shard.group, {})[shard.index] = _Stated.of(labels.footer)
        if labels.footer.schema_version != SCHEMA_VERSION:
            self._outdated.add(shard.group)

    def publish(self, shards: SplitShards, fault: str) -> str:
        """Writes the files of a split whose shards are others than those that they state, and sets those aside whose
        shards are gone, or whose numbers are not those of the present setting.

        Args:
            shards: That are planned.
            fault: What is wrong with the labels, which then stay as they are.

        Returns:
            Why they stay as they are; empty where they do not.
        """
        group = shards.group
        if fault or group in self._outdated:
            why = "of the fault" if fault else "some shards are of an earlier version, which annotating all makes again"
            return f"Labels of {'/'.join(group)} in {self._workspace.labels} stay as they were, because {why}."
        files: dict[int, list[int]] = {}
        for index in sorted(self._found.get(group, {})):
            files.setdefault(index // self._size, []).append(index)
        self._clear(shards, files)
        written = sum(self._write(group, number, indices) for number, indices in files.items())
        if written:
            log.info("%s: %d of %d label files written", "/".join(group), written, len(files))
        return ""

    def _clear(self, shards: SplitShards, files: dict[int, list[int]]) -> None:
        """So that nobody is in two files, what is no longer right goes before anything is written."""
        stale = [
            path
            for (first, last), path in label_files(self._workspace, shards.group)
            if (first % self._size or last != first + self._size - 1)
            or (first // self._size not in files and not _any_in(shards.indices, first, last))
        ]
        if stale:
            log.warning(
                "%s: %d label files, of shards that are gone or of another number of them, set aside in %s",
                "/".join(shards.group), len(stale), set_aside(self._workspace, stale),
            )  # fmt: skip

    def _write(self, group: Group, number: int, indices: Sequence[int]) -> bool:
        """Writes a file unless it is as it should be, and says whether it did."""
        first = number * self._size
        path = self._workspace.labels.joinpath(*group) / f"{joined_name(first, first + self._size - 1)}.parquet"
        stated = self._found[group]
        places = {i: self._workspace.step_path("refine", _ref(group, i)) for i in indices}
        try:
            with Shard(places[indices[0]]) as shard:
                footer, schema = shard.footer, shard.schema
            inputs = config_hash([sorted(schema.names), [[i, stated[i].digest.hex()] for i in indices]])
            if _inputs_of(path) == inputs:
                return False
            counts = {
                name: sum(getattr(stated[i], name) for i in indices)
                for name in ("row_count", "failed_count", "empty_count")
            }
            of_dataset = {key: footer.manifest[key] for key in ("id", "version", "hash", "licence")}
            manifest = {**of_dataset, "inputs_hash": inputs, "shards": [[i, stated[i].row_count] for i in indices]}
            whole = replace(footer, manifest=manifest, shard=path.stem, created_utc=utc_now(), **counts)
            write_joined(path, whole, schema, self._tables(group, places, schema))
        except (_Changed, FileNotFoundError):
            log.info("%s stays as it was: another run is at its shards, and publishes them", path)
            return False
        return True

    def _tables(self, group: Group, places: dict[int, Place], schema: pa.Schema) -> Iterator[pa.Table]:
        for index, path in places.items():
            with Shard(path) as shard:
                if _Stated.of(shard.footer) != self._found[group][index] or {*shard.schema.names} != {*schema.names}:
                    raise _Changed
                yield shard.table(schema)


def _ref(group: Group, index: int) -> ShardRef:
    return ShardRef(dataset=group[0], split=group[1], index=index)


def _any_in(indices: Sequence[int], first: int, last: int) -> bool:
    at = bisect_left(indices, first)
    return at < len(indices) and indices[at] <= last


def _inputs_of(path: Place) -> str | None:
    """What a file states of its shards; None for one that is not there or cannot be read."""
    if not isinstance(path, Path) and (entry := entry_of_object(path)) is not None:
        return entry.inputs_hash
    try:
        return str(read_footer(path).manifest.get("inputs_hash"))
    except (FileNotFoundError, ShardError):
        return None

"""Plans on disk: the shards of a split, some hundred a file, one behind the other, with the footer of each.

A file holds the shards of a fixed range of numbers, so that a million photos are some dozen files, and a photo that
changes costs one of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datasets_manifest.schema.columns import Columns, has_status
from datasets_manifest.schema.group_columns import lens_columns
from datasets_manifest.schema.labels import Status, with_widths
from datasets_manifest.schema.part_files import PART_SCHEMAS
from datasets_manifest.schema.people import is_empty_photo
from datasets_manifest.shards.footer import Footer, ShardError
from datasets_manifest.shards.joined import joined_range
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.store import write_shard
from datasets_manifest.source_date import utc_now
from tasks.annotate.workspace import Group, ShardRef, Workspace

_KEY = "shards"
_ROWS_A_GROUP = 2048
"""Rows that are read to have those of one shard."""
_HASHES = ("inputs_hash", "unmasked_hash", "parts_hash")
"""What each shard has of its own in its footer's manifest."""
_LENS = "lens_coefficients"


class PlannedShard:
    """A shard as its file of plans has it: the footer at once, rows when they are asked for, both of the same file."""

    def __init__(self, file: PlanFile, index: int) -> None:
        """Takes an open file that has the shard."""
        self._file, self._index = file, index

    @property
    def footer(self) -> Footer:
        """How the shard was planned."""
        return self._file.footers[self._index]

    def columns(self, names: Sequence[str] | None = None) -> Columns:
        """Its rows, all columns of ``PART_SCHEMAS["plan"]`` or some; what its data set does not say is null."""
        return Columns(self._file.rows(self._index, names))


class PlanFile:
    """A file of plans, opened."""

    def __init__(self, path: Path) -> None:
        """Reads what is stated of its shards.

        Raises:
            FileNotFoundError: No such file.
            ShardError: It is no readable file of plans.
        """
        self.path, self._file = path, Shard(path)
        try:
            self._stated = json.loads(self._file.stated(_KEY))
            self.numbers: tuple[int, ...] = tuple(index for index, *_ in self._stated["each"])
            """Of the shards, in order."""
            self._first_rows = np.cumsum([0, *(rows for _, _, rows, *_ in self._stated["each"])])
            if self._first_rows[-1] != self._file.num_rows:
                raise ValueError(f"{self._first_rows[-1]} rows are stated, there are {self._file.num_rows}")
        except (KeyError, TypeError, ValueError) as error:
            self._file.close()
            raise _no_plans(path, error) from error
        self._places = {index: place for place, index in enumerate(self.numbers)}

    def __enter__(self) -> PlanFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @cached_property
    def footers(self) -> Mapping[int, Footer]:
        """How each shard was planned, by number, in order; raises ShardError."""
        try:
            return dict(_footers(self._stated, self._file.footer))
        except (KeyError, TypeError, ValueError) as error:
            raise _no_plans(self.path, error) from error

    @property
    def schema_version(self) -> int:
        """Of its rows."""
        return self._file.footer.schema_version

    def columns(self, names: Sequence[str]) -> Columns:
        """Some columns of all shards, one behind the other."""
        return self._file.columns(PART_SCHEMAS["plan"], names)

    def rows(self, index: int, names: Sequence[str] | None = None) -> pa.Table:
        """The rows of a shard, as ``PlannedShard.columns``."""
        place = self._places[index]
        first, end = self._first_rows[place : place + 2].tolist()
        return _of_own_width(self._file.rows(PART_SCHEMAS["plan"], first, end, names))


def _no_plans(path: Path, error: Exception) -> ShardError:
    return ShardError(f"{path} is no file of plans ({error}); delete it and run pear annotate.")


def _of_own_width(table: pa.Table) -> pa.Table:
    """The same rows with the number of lens coefficients that they have, which other shards may have more of."""
    if _LENS not in table.column_names:
        return table
    lengths = pc.list_value_length(table[_LENS])
    width = pc.max(lengths).as_py()
    return table if width is None else table.cast(with_widths(table.schema, pa.schema(lens_columns(width))))


def _footers(stated: Mapping[str, Any], whole: Footer) -> Iterator[tuple[int, Footer]]:
    common = [
        replace(whole, config=one["config"], code_version=one["code_version"], created_utc=one["created_utc"])
        for one in stated["common"]
    ]
    hashes = [config.config_hash for config in common]
    for index, of, rows, failed, empty, own in stated["each"]:
        footer = replace(
            common[of],
            manifest=stated["common"][of]["manifest"] | own,
            shard=f"{index:05d}",
            row_count=rows,
            failed_count=failed,
            empty_count=empty,
        )
        vars(footer)["config_hash"] = hashes[of]
        yield index, footer


def write_plan_file(path: Path, plans: Mapping[int, tuple[pa.Table, Footer]]) -> None:
    """Writes the plans of some shards in the place of a file.

    Args:
        path: As ``Workspace.plan_path``.
        plans: Rows and footer by number, at least one; the footers' counts are made anew.
    """
    tables, footers = zip(*(plans[index] for index in sorted(plans)), strict=True)
    is_alike = all(table.schema == tables[0].schema for table in tables)  # Most are, and to make them so is dear.
    rows = pa.concat_tables(tables, promote_options="none" if is_alike else "default")
    rows = rows.unify_dictionaries().combine_chunks()
    bounds = np.cumsum([0, *(table.num_rows for table in tables)])
    failed, empty = (np.diff(np.concatenate([[0], np.cumsum(flags)])[bounds]).tolist() for flags in _flags(rows))
    common: list[dict[str, Any]] = []
    each, now = [], utc_now()
    for place, (index, footer) in enumerate(zip(sorted(plans), footers, strict=True)):
        shared = {name: value for name, value in footer.manifest.items() if name not in _HASHES}
        own = {name: footer.manifest[name] for name in _HASHES if name in footer.manifest}
        said = {"config": footer.config, "code_version": footer.code_version, "manifest": shared}
        said["created_utc"] = footer.created_utc or now
        if said not in common:
            common.append(said)
        each.append([index, common.index(said), tables[place].num_rows, failed[place], empty[place], own])
    stated = {"common": [json.loads(json.dumps(said, sort_keys=True)) for said in common], "each": each}
    whole = replace(footers[-1], shard=path.stem, created_utc="", manifest=stated["common"][-1]["manifest"])
    write_shard(path, rows, whole, stated={_KEY: json.dumps(stated)}, group_ends=_group_ends(bounds))


def _flags(rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    return has_status(rows, Status.FAILED), is_empty_photo(rows)


def _group_ends(bounds: np.ndarray) -> list[int]:
    """Where groups of rows end, of whole shards."""
    ends = [0]
    for end in bounds[1:].tolist():
        if end - ends[-1] >= _ROWS_A_GROUP or end == bounds[-1]:
            ends.append(end)
    return ends[1:]


def plan_files(workspace: Workspace, group: Group) -> list[Path]:
    """The files of the plans of a split, in the order of their shards."""
    found = {path: joined_range(path) for path in workspace.plan_folder(group).glob("*.parquet")}
    return [path for path, shards in sorted(found.items(), key=lambda item: item[1] or ()) if shards is not None]


def planned_footers(workspace: Workspace, groups: Iterable[Group] | None = None) -> Iterator[tuple[ShardRef, Footer]]:
    """Every shard that is planned, in order, with its footer.

    Args:
        workspace: Where they are.
        groups: Splits of data sets; None for all.

    Raises:
        ShardError: A file of plans cannot be read.
    """
    for group in workspace.planned_groups() if groups is None else groups:
        for path in plan_files(workspace, group):
            with PlanFile(path) as file:
                for index, footer in file.footers.items():
                    yield ShardRef(dataset=group[0], split=group[1], index=index), footer


def planned_shards(workspace: Workspace, groups: Iterable[Group] | None = None) -> Iterator[ShardRef]:
    """The same without their footers."""
    for group in workspace.planned_groups() if groups is None else groups:
        for index in _numbers(workspace, group):
            yield ShardRef(dataset=group[0], split=group[1], index=index)


def planned_numbers(workspace: Workspace) -> dict[Group, set[int]]:
    """The numbers of all that are planned, by data set and split."""
    found = {group: set(_numbers(workspace, group)) for group in workspace.planned_groups()}
    return {group: numbers for group, numbers in found.items() if numbers}


def _numbers(workspace: Workspace, group: Group) -> Iterator[int]:
    for path in plan_files(workspace, group):
        with PlanFile(path) as file:
            yield from file.numbers


def planned_shard(workspace: Workspace, shard: ShardRef) -> PlannedShard:
    """The plan of a shard.

    Raises:
        FileNotFoundError: It is not planned.
        ShardError: Its file cannot be read.
    """
    file = PlanFile(workspace.plan_path(shard))
    if shard.index in file.numbers:
        return PlannedShard(file, shard.index)
    with file:
        raise FileNotFoundError(f"shard {shard.name} is not planned in {file.path}")


def is_planned(workspace: Workspace, shard: ShardRef) -> bool:
    """Whether a shard has a plan that can be read."""
    try:
        with PlanFile(workspace.plan_path(shard)) as file:
            return shard.index in file.numbers
    except (FileNotFoundError, ShardError):
        return False

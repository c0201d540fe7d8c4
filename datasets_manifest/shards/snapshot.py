"""Finished labels as a whole: every shard readable, one setting a data set, every sample once, faults by data set."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import Columns, has_status
from datasets_manifest.schema.labels import LABEL_SCHEMA, Status
from datasets_manifest.schema.people import PeopleCount
from datasets_manifest.shards.footer import ForeignFileError, ShardError, differing_settings
from datasets_manifest.shards.joined import shard_numbers
from datasets_manifest.shards.journal import LABELS, Entry, Journal, file_key, sample_digest
from datasets_manifest.shards.shard import Shard, read_footer, read_shard
from datasets_manifest.stores import Listed, Place, listed, place_of

_SHOWN = 10
"""Faults that are named in full."""

Group = tuple[str, str]
"""A data set and a split of it, as the folders of its labels are called."""


Visit = Callable[[Shard, pa.Table, Entry], None]
"""Takes a shard of labels, its rows and its entry."""


class SnapshotError(ValueError):
    """A folder of labels may not be used as a whole."""


@dataclass(kw_only=True, slots=True)
class GroupSnapshot:
    """Labels of one split of a data set."""

    shards: set[int] = field(default_factory=set)
    """Numbers of those that can be read, where the names of their files are numbers."""
    count: PeopleCount = field(default_factory=PeopleCount)
    """People and photos."""
    failures: Counter[str] = field(default_factory=Counter)
    """Failed people by error code."""
    settings: dict[str, tuple[int, Place]] = field(default_factory=dict)
    """By config hash: how many shards were made with it, and the first of them."""

    @property
    def num_shards(self) -> int:
        """Those that can be read; a file whose name is no number is one."""
        return sum(num for num, _ in self.settings.values())


@dataclass(kw_only=True, slots=True)
class Snapshot:
    """What a folder of labels holds, and what is wrong with it."""

    root: Place
    """The folder."""
    groups: dict[Group, GroupSnapshot] = field(default_factory=lambda: defaultdict(GroupSnapshot))
    """By data set and split, in the order of their paths."""
    faults: dict[frozenset[Group], _Faults] = field(default_factory=lambda: defaultdict(_Faults))
    """Faults, by the data sets that have them: two for a sample that both have."""
    unread: dict[Group, set[int]] = field(default_factory=lambda: defaultdict(set))
    """Numbers of shards whose file cannot be read, which is a fault."""
    foreign: list[Place] = field(default_factory=list)
    """Parquet files that this project did not write; they are passed over."""

    @property
    def num_shards(self) -> int:
        """Those that can be read."""
        return sum(group.num_shards for group in self.groups.values())

    @property
    def count(self) -> PeopleCount:
        """People and photos of all."""
        return sum((group.count for group in self.groups.values()), PeopleCount())

    def fault(self, among: Collection[Group] | None = None) -> str:
        """What is wrong with some groups, or with all: sentences, the first ten in full; empty if nothing is."""
        chosen = [own for groups, own in self.faults.items() if among is None or groups <= set(among)]
        num, shown = sum(own.count for own in chosen), [text for own in chosen for text in own.shown][:_SHOWN]
        if not num:
            return ""
        more = f" ... and {num - len(shown)} more" if num > len(shown) else ""
        return f"Labels in {self.root} are not a snapshot: " + " ".join(shown) + more

    @property
    def foreign_warning(self) -> str:
        """A sentence on the foreign files; empty if there are none."""
        if not self.foreign:
            return ""
        many = f"{len(self.foreign)} Parquet file{'s' * (len(self.foreign) > 1)}"
        return f"Passed over below {self.root}: {many} not written by this project, such as {self.foreign[0]}."

    def add_fault(self, sentence: str, *groups: Group) -> None:
        """Notes a fault of some groups."""
        self.faults[frozenset(groups)].add(sentence)


@dataclass(slots=True)
class _Faults:
    """The first faults, and how many there are."""

    shown: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, sentence: str) -> None:
        self.count += 1
        if len(self.shown) < _SHOWN:
            self.shown.append(sentence)


@overload
def shard_files(root: Path) -> Iterator[Path]: ...
@overload
def shard_files(root: Place | str) -> Iterator[Place]: ...
def shard_files(root: Place | str) -> Iterator[Place]:
    """Every Parquet file below a folder in order, hidden ones left out; of one folder at a time."""
    return (place_of(entry.path) for entry in shard_entries(root))


def shard_entries(root: Place | str) -> Iterator[os.DirEntry[str] | Listed]:
    """The same as entries of their folders, whose size and time cost little."""
    return (entry for _, entries in shard_folders(root) for entry in entries)


def shard_folders(root: Place | str) -> Iterator[tuple[str, Sequence[os.DirEntry[str] | Listed]]]:
    """The same by folder: its path, and its files in order. Folders come after the files beside them."""
    place = place_of(root)
    if not isinstance(place, Path):
        found = (entry for entry in listed(place) if entry.path.endswith(".parquet"))
        for folder, own in groupby(found, lambda entry: entry.path.rpartition("/")[0]):
            yield folder, list(own)
        return
    entries = sorted(os.scandir(place), key=attrgetter("name")) if place.is_dir() else []
    folders, files = list[os.DirEntry[str]](), list[os.DirEntry[str]]()
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            folders.append(entry)
        elif entry.name.endswith(".parquet") and not entry.name.startswith("."):
            files.append(entry)
    yield str(place), files
    for entry in folders:
        if not entry.name.startswith("."):
            yield from shard_folders(entry.path)


def read_snapshot(
    labels_dir: Place | str,
    *,
    visit: Visit | None = None,
    journal: Journal | None = None,
    deep: bool = False,
) -> Snapshot:
    """Reads every label shard below a folder, ``<data set>/<split>/<shard>.parquet``. Memory: 16 bytes a row.

    Args:
        labels_dir: Folder of labels.
        visit: Called with each shard that can be read, its rows and its entry, in the order of their paths, so that who
            needs the rows as well reads them once; a ShardError of it is one of the faults.
        journal: Says what is in a file, unless there is a visit or a deep look, and gets an entry of each that is read.
        deep: Whether every file is read and compared with its entry.

    Returns:
        What is there. Faults are: a shard that is unreadable, disagrees with its footer or with its entry in the
        journal, two settings in a data set, a sample that occurs twice. Hidden files and folders are not looked at,
        foreign Parquet files only counted.
    """
    snapshot = Snapshot(root=place_of(labels_dir))
    ids = bytearray()
    for file in shard_entries(snapshot.root):
        path = place_of(file.path)
        group, key, state = _group_of(path), file_key(LABELS, file.path), file.stat()
        known = None if journal is None else journal.get(key, state)
        entry = None if deep else known
        if entry is None or visit is not None:
            try:
                with Shard(path) as shard:
                    table = shard.table(LABEL_SCHEMA)
                    entry = entry or Entry.of(shard.footer, table)
                    if visit is not None:
                        visit(shard, table, entry)
            except ForeignFileError:
                snapshot.foreign.append(path)
                continue
            except ShardError as error:
                snapshot.add_fault(str(error), group)
                snapshot.unread[group] |= shard_numbers(path)
                continue
            if (failed := int(has_status(table, Status.FAILED).sum())) != entry.failed_count:
                snapshot.add_fault(f"Shard {path} has {failed} failed rows, its footer {entry.failed_count}.", group)
            elif known is not None and known != entry:
                snapshot.add_fault(f"Shard {path} has changed since it was written, but not its size and time.", group)
            elif journal is not None:
                journal.add(key, state, entry)
        own = snapshot.groups[group]
        own.shards |= (numbers := shard_numbers(path))
        own.count += entry.count
        own.failures.update(failure["code"] for failure in entry.failures)
        num, first = own.settings.get(entry.config_hash, (0, path))
        own.settings[entry.config_hash] = num + max(len(numbers), 1), first
        ids += entry.ids
    for sentence, first, again in _repeated(snapshot.root, ids):
        snapshot.add_fault(sentence, first, again)
    for group, own in snapshot.groups.items():
        if len(own.settings) > 1:
            snapshot.add_fault(_mixed(group, own), group)
    return snapshot


def check_snapshot(
    labels_dir: Place | str,
    *,
    expected_rows: int | None = None,
    visit: Visit | None = None,
) -> Snapshot:
    """``read_snapshot`` of labels that must be without fault.

    Args:
        labels_dir: As there.
        expected_rows: Number of rows that the plan asks for, to prove that none is lost.
        visit: As there.

    Raises:
        SnapshotError: There is a fault, no shard, or another number of rows. All faults are counted, the first ten
            named in full.
    """
    snapshot = read_snapshot(labels_dir, visit=visit)
    if expected_rows is not None and (num := snapshot.count.rows) != expected_rows:
        snapshot.add_fault(f"There are {num} rows, the plan has {expected_rows}.")
    if not snapshot.groups and not snapshot.faults:
        snapshot.add_fault(f"There is no shard below {labels_dir}. {snapshot.foreign_warning}".strip())
    if fault := snapshot.fault():
        raise SnapshotError(fault)
    return snapshot


def _group_of(path: Place) -> Group:
    folder = path.absolute().parent
    return folder.parent.name, folder.name


def _mixed(group: Group, labels: GroupSnapshot) -> str:
    known = sorted(labels.settings.items(), key=lambda entry: -entry[1][0])
    counts = " and ".join(f"{num} of {digest[:12]} ({path.name})" for digest, (num, path) in known)
    most, other = (read_footer(path) for _, (_, path) in known[:2])
    return (
        f"Shards of {'/'.join(group)} are of {len(known)} settings, {counts}; in the second, "
        f"{differing_settings(other.config, most.config)}. Annotate the data set again with one of them; labels of "
        "other settings belong into a folder of their own (--set output.labels=...)."
    )


def _repeated(root: Place, ids: bytearray) -> Iterator[tuple[str, Group, Group]]:
    """A sentence for every sample that occurs again, with the two data sets; shards are read a second time only if
    there is one."""
    high, low = np.frombuffer(ids, np.uint64).reshape(-1, 2).T
    if not (np.diff(np.sort(high)) == 0).any():
        return
    order = np.lexsort((low, high))
    same = (np.diff(high[order]) == 0) & (np.diff(low[order]) == 0)
    twice = {bytes(ids[16 * row : 16 * row + 16]) for row in order[1:][same]}
    first_file: dict[str, Place] = {}
    for path in shard_files(root):
        try:
            names = Columns(read_shard(path, LABEL_SCHEMA, ["sample_id"]))["sample_id"].tolist()
        except ShardError:
            continue
        for name in names:
            if sample_digest(name) in twice:
                if first := first_file.get(name):
                    yield f"Sample {name} occurs in {first} and again in {path}.", _group_of(first), _group_of(path)
                first_file.setdefault(name, path)

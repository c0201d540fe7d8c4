"""The finished files of a workspace in short: from its journal, or read and entered there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.footer import ShardError
from datasets_manifest.shards.journal import Entry, Journal, file_key, folder_key
from datasets_manifest.shards.object_entry import entry_of_object
from datasets_manifest.shards.shard import Shard
from datasets_manifest.stores import FileState, place_of
from tasks.annotate.workspace import Group, ShardRef, Workspace, numbered_files, numbered_folders


def open_journal(workspace: Workspace, *, with_people: bool = True) -> Journal:
    """The journal of a workspace; as ``Journal``."""
    return Journal(workspace.work / "state", with_people=with_people)


def finished_files(
    workspace: Workspace,
    step: str,
    journal: Journal,
    among: Collection[ShardRef] | None = None,
    *,
    with_people: bool = True,
) -> Iterator[tuple[ShardRef, Entry | ShardError]]:
    """The shards that have a file at a step, in order, and what it says, or why it cannot be read.

    Args:
        workspace: Where they are.
        step: Which step.
        journal: Knows most of them.
        among: The shards that are asked for; None for all.
        with_people: Whether of labels their people are asked for, not hashes and counts alone, which an object in a
            store states without being read.
    """
    for (dataset, split), index, file in numbered_files(workspace.step_folder(step)):
        shard = ShardRef(dataset=dataset, split=split, index=index)
        if among is not None and shard not in among:
            continue
        key, state = file_key(step, file.path), file.stat()
        entry = journal.get(key, state) or (None if with_people else _stated(file.path))
        entry = entry or _read(step, file.path, state, journal)
        if entry is not None:
            yield shard, entry


def _stated(path: str) -> Entry | None:
    """What an object in a store says of itself, which is not entered: it knows nothing of the people."""
    place = place_of(path)
    return None if isinstance(place, Path) else entry_of_object(place)


def finished_counts(
    workspace: Workspace, step: str, journal: Journal, planned: Mapping[Group, Collection[int]]
) -> Iterator[tuple[Group, int, Entry | ShardError]]:
    """What the files of a step count: data set and split, number of files, and their counts together; or one file, and
    why it cannot be read.

    Args:
        workspace: Where they are.
        step: Which step.
        journal: Its entries are taken together, as one of each of a million files would be dear.
        planned: The shards that count, by data set and split.
    """
    found: defaultdict[Group, list[int]] = defaultdict(list)
    for group, files in numbered_folders(workspace.step_folder(step)):
        wanted, folder = planned.get(group, ()), folder_key(step, group)
        for index, file in files:
            if index not in wanted:
                continue
            key, state = folder + file.name, file.stat()
            entered = journal.find(key, state)
            if entered is not None:
                found[group].append(entered)
            elif (entry := journal.get(key, state) or _read(step, file.path, state, journal)) is not None:
                yield group, 1, entry
    # Reading may have moved entries from memory to the journal's files, never changed their numbers.
    yield from ((group, len(entered), journal.sum(entered)) for group, entered in found.items())


def _read(step: str, path: str, state: FileState, journal: Journal) -> Entry | ShardError | None:
    """What a file says, which is entered; None where it is gone."""
    try:
        with Shard(path) as read:
            entry = Entry.of(read.footer, read.table(LABEL_SCHEMA) if step == "refine" else None)
    except FileNotFoundError:
        return None
    except ShardError as error:
        return error
    journal.add(file_key(step, path), state, entry)
    return entry

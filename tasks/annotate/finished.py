"""The finished files of a workspace in short: from its journal, or read and entered there."""

from __future__ import annotations

from collections.abc import Iterator

from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.footer import ShardError
from datasets_manifest.shards.journal import Entry, Journal, file_key
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.snapshot import shard_entries
from tasks.annotate.workspace import ShardRef, Workspace


def open_journal(workspace: Workspace) -> Journal:
    """The journal of a workspace."""
    return Journal(workspace.work / "state")


def finished_files(workspace: Workspace, step: str, journal: Journal) -> Iterator[tuple[ShardRef, Entry | ShardError]]:
    """The shards that have a file at a step (or of ``plan``), in order, and what it says, or why it cannot be read."""
    for file in shard_entries(workspace.step_folder(step)):
        *_, dataset, split, name = file.path.split("/")  # a path object costs ten times as much as all else here
        number = name.removesuffix(".parquet")
        if not number.isdecimal():
            continue
        shard = ShardRef(dataset=dataset, split=split, index=int(number))
        key, state = file_key(step, file.path), file.stat()
        entry = journal.get(key, state)
        if entry is None:
            try:
                with Shard(file.path) as read:
                    entry = Entry.of(read.footer, read.table(LABEL_SCHEMA) if step == "refine" else None)
                journal.add(key, state, entry)
            except FileNotFoundError:
                continue
            except ShardError as error:
                yield shard, error
                continue
        yield shard, entry

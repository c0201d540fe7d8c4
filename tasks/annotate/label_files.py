"""Labels that are published in files of several shards: where those are, and what may not lie beside them.

With ``output.shards_per_file`` of more than one the labels of each shard are work, ``parts/refine``, and
``labels/<dataset>/<split>/00000-00255.parquet`` is made of them by a run that publishes.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow.compute as pc

from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.joined import joined_range, shard_of_row
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.snapshot import shard_files
from datasets_manifest.stores import Place
from tasks.annotate.stale import is_foreign
from tasks.annotate.workspace import Group, ShardRef, Workspace, numbered_files, shard_of, shard_paths


def label_files(workspace: Workspace, group: Group) -> Iterator[tuple[tuple[int, int], Place]]:
    """The files of several shards of a split, in order: first and last number by name, and path."""
    for path in shard_files(workspace.labels.joinpath(*group)):
        found = joined_range(path)
        if found is not None and not is_foreign(path):
            yield found, path


def shard_of_label(workspace: Workspace, path: Place, sample_id: str) -> ShardRef | None:
    """The shard that a label in a file is of; None where the file is none of the labels of a workspace."""
    dataset, split = path.parent.parent.name, path.parent.name
    if (workspace.labels / dataset / split).resolve() != path.parent.resolve():
        return None
    if (shard := shard_of(path)) is not None or joined_range(path) is None:
        return shard
    with Shard(path) as labels:
        row = pc.index(labels.table(LABEL_SCHEMA, ["sample_id"])["sample_id"], sample_id).as_py()
        return None if row < 0 else ShardRef(dataset=dataset, split=split, index=shard_of_row(labels.footer, row))


def check_label_files(workspace: Workspace, group: Group) -> None:
    """Refuses to annotate beside labels in files of another kind, in which the same people would be once more.

    Raises:
        ValueError: There are some, or what files of several shards were made of is gone; the sentence says what to do.
    """
    name, folder, size = "/".join(group), workspace.labels.joinpath(*group), workspace.shards_per_file
    shards = (workspace.part_folder / "refine").joinpath(*group)
    joined = any(label_files(workspace, group))
    if size == 1 and joined:
        raise ValueError(
            f"the labels of {name} in {folder} are in files of several shards each, and output.shards_per_file is 1: "
            f"give the number of before; or move those files elsewhere and {shards} to {folder}, which needs no label "
            "made again; or set all aside and begin anew (--replace)"
        )
    if size > 1 and any(not is_foreign(path) for _, path in shard_paths(folder)):
        raise ValueError(
            f"the labels of {name} in {folder} are in files of one shard each, and output.shards_per_file is {size}: "
            f"move {folder} to {shards}, of which the next run makes files of {size}; or give 1 as before, or a folder "
            "of its own (--set output.labels=...); or set all aside and begin anew (--replace)"
        )
    if joined and not any(workspace.plan_folder(group).glob("*.parquet")) and not any(numbered_files(shards)):
        raise ValueError(
            f"the labels of {name} in {folder} were made of {shards}, and neither that nor the plan of the data set is "
            "there any more, so that the same people could get other numbers: give them a folder of their own (--set "
            "output.labels=...), or set them aside and begin anew (--replace)"
        )

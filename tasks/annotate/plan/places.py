"""One id is one place of photos: labels of a place are not replaced by those of another unless that is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from datasets_manifest.adapters.base import Inventory
from datasets_manifest.manifest import open_adapter
from datasets_manifest.named_sources import is_manifest
from datasets_manifest.sources.frame_choice import FrameChoice
from tasks.annotate.dataset_records import read_record
from tasks.annotate.datasets import Dataset
from tasks.annotate.label_files import check_label_files
from tasks.annotate.plan.membership import Membership
from tasks.annotate.plan.plan import with_rows
from tasks.annotate.plan.plan_rows import plan_footer, plan_table
from tasks.annotate.plan_files import plan_files
from tasks.annotate.workspace import ShardRef, Workspace, shard_paths


def check_places(datasets: Sequence[Dataset], workspace: Workspace) -> None:
    """Refuses to annotate other photos, or fewer frames, under the id of ones that have labels; those may have moved.

    Raises:
        ValueError: A data set was annotated from another place, or with frames that are not among these, or as
            ``check_label_files``; the sentence says what to do.
    """
    for dataset in datasets:
        check_label_files(workspace, dataset.group)
        labels = shard_paths(workspace.step_folder("refine").joinpath(*dataset.group))
        if dataset.is_rendered or not (plan_files(workspace, dataset.group) or any(labels)):
            continue
        try:
            record = read_record(workspace, dataset.group)
        except ValueError:  # Of labels without a record nobody knows where they came from.
            continue
        before, now = _place(record.manifest, record.root), _place(dataset.source, dataset.manifest.root)
        if before != now and not _is_moved(dataset, workspace):
            raise ValueError(
                f"{'/'.join(dataset.group)} was annotated from {before}, not from {now}; give these photos another id "
                "(--id NAME), or set those labels aside and begin anew (--replace)"
            )
        if not dataset.frames.includes(record.frames):
            raise ValueError(
                f"{'/'.join(dataset.group)} was annotated with {_words(record.frames)}, and {_words(dataset.frames)} "
                "would take labels away; choose those again, or more, give these another id (--id NAME), or set those "
                "labels aside and begin anew (--replace)"
            )


def _place(source: str, root: str) -> str:
    """A path of photos is its own place; the root of its data set may be a folder with others beside it."""
    return root if is_manifest(source) else source


def _words(frames: FrameChoice) -> str:
    return " and ".join(f"--{name} {value:g}" for name, value in frames.stated.items()) or "all frames"


def _is_moved(dataset: Dataset, workspace: Workspace) -> bool:
    """Whether the first shard that is planned would be planned just so from where the photos are now."""
    images, members = dataset.open(), Membership(workspace, dataset.group)
    records = Inventory().records(open_adapter(dataset.manifest, images).entries(), lambda _: None)
    for index, photos in members.cut(with_rows(records, dataset.manifest), 1):
        shard = ShardRef(dataset=dataset.group[0], split=dataset.group[1], index=index)
        if index < members.next_index:
            table = plan_table(photos, dataset.manifest)
            return members.is_planned(shard, plan_footer(shard, table, photos, dataset.manifest, images))
    return False

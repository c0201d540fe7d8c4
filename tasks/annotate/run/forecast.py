"""What a run would do, told beforehand; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from datasets_manifest.adapters.base import Inventory
from datasets_manifest.manifest import open_adapter
from tasks.annotate.corrections import corrections_of
from tasks.annotate.datasets import Dataset, find_datasets
from tasks.annotate.plan.membership import Membership
from tasks.annotate.plan.places import check_places
from tasks.annotate.plan.plan import with_rows
from tasks.annotate.plan.shard_plans import shard_plans
from tasks.annotate.plan.stored_plan import StoredPlan
from tasks.annotate.provenance import step_footer
from tasks.annotate.settings import AnnotateConfig, Origin
from tasks.annotate.steps.job import done_counts
from tasks.annotate.summary import seconds_a_shard
from tasks.annotate.workspace import Group, ShardRef, Workspace
from tasks.display import clock
from tasks.wording import counted


def forecast(origin: Origin) -> Iterator[str]:
    """A line a data set: what was listed, shards that are done and to do; then how long these take, where it is known.

    Raises:
        ValueError: As a run would raise before it begins.
    """
    config = origin.config()
    workspace = Workspace.of(config.output)
    datasets = find_datasets(config, workspace, origin.folder)
    check_places(datasets, workspace)
    open_shards = 0
    for dataset in datasets:
        name = "/".join(dataset.group)
        if dataset.is_rendered and not Path(dataset.manifest.root).is_dir():
            yield f"{name}: {counted(dataset.manifest.typed_layout.num_images, 'photo')} to render first"
            continue
        summary, done, shards = _look(dataset, workspace, config)
        open_shards += shards - done
        yield f"{name}: {summary}; {counted(shards, 'shard')}: {done} done, {shards - done} to do"
    seconds = sum(seconds_a_shard(workspace).values()) * open_shards / config.run.workers
    yield f"{counted(open_shards, 'shard')} to do" + (f", about {clock(seconds)}" if seconds else "")


def _look(dataset: Dataset, workspace: Workspace, config: AnnotateConfig) -> tuple[str, int, int]:
    """What was listed, finished shards, all shards."""
    manifest, inventory = dataset.manifest, Inventory()
    images = dataset.open()
    records = inventory.records(open_adapter(manifest, images).entries(), lambda _: None)
    done = shards = 0
    with _planned(workspace, dataset.group) as planned_in:
        membership = Membership(planned_in, dataset.group)
    cut = membership.cut(with_rows(records, manifest), config.run.images_per_shard)
    refs = ((ShardRef(dataset=manifest.id, split=manifest.split, index=index), photos) for index, photos in cut)
    for shard, _, table, planned in shard_plans(refs, manifest, images):
        corrections = corrections_of(map(str, table["sample_id"].to_pylist()), shard, config)
        labels = step_footer("refine", config, shard, planned.manifest, corrections)
        done += done_counts(workspace.step_path("refine", shard), labels) is not None
        shards += 1
    return inventory.summary, done, shards


@contextmanager
def _planned(workspace: Workspace, group: Group) -> Iterator[Workspace]:
    """The workspace with the plan that a run would go by: the one in the store, if there is one there."""
    with TemporaryDirectory() as scratch:
        elsewhere = replace(workspace, work=Path(scratch))
        stored = StoredPlan(elsewhere, group)
        stored.fetch()
        yield elsewhere if stored.is_there else workspace

"""Planning by settings alone."""

from pathlib import Path

import pyarrow as pa

from datasets_manifest.schema.part_files import PLAN_SCHEMA
from datasets_manifest.shards.footer import Footer
from tasks.annotate.datasets import find_datasets
from tasks.annotate.plan.plan import DatasetPlan, list_dataset, plan_dataset
from tasks.annotate.plan_files import planned_shard, write_plan_file
from tasks.annotate.settings import AnnotateConfig, Origin
from tasks.annotate.workspace import ShardRef, Workspace


def plan_of(config: AnnotateConfig, workspace: Workspace) -> DatasetPlan:
    """Plans the one data set that the settings name."""
    (dataset,) = find_datasets(config, workspace, Path.cwd())
    listing = list_dataset(dataset, workspace, config)
    return plan_dataset(listing, workspace, config, Origin(params=Path("params.yaml").absolute()))


def read_plan(workspace: Workspace, shard: ShardRef) -> pa.Table:
    """The plan of a shard, with the columns that its data set has need of."""
    table = planned_shard(workspace, shard).columns().table
    return table.select(
        [name for name in table.column_names if name in PLAN_SCHEMA.names or table[name].null_count < len(table)]
    )


def plan_footer_of(workspace: Workspace, shard: ShardRef) -> Footer:
    """How a shard was planned."""
    return planned_shard(workspace, shard).footer


def write_plan(workspace: Workspace, shard: ShardRef, table: pa.Table, footer: Footer) -> None:
    """Makes a shard the only one of its file of plans."""
    write_plan_file(workspace.plan_path(shard), {shard.index: (table, footer)})

"""The plan of a data set that several workers share: one of them makes it, those that come meanwhile wait for it.

work/plan/<dataset>/<split>/planned.json    the plan beside it is whole; what its maker has to say of it
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from datasets_manifest.files import write_text
from datasets_manifest.settings import read_settings
from tasks.annotate.datasets import Dataset
from tasks.annotate.plan.plan import DatasetPlan, list_dataset, plan_dataset
from tasks.annotate.settings import AnnotateConfig, Origin
from tasks.annotate.workspace import SplitShards, Workspace, shard_paths


@dataclass(frozen=True, kw_only=True, slots=True)
class _Planned:
    """What a plan that is whole says of itself."""

    summary: str
    """As ``DatasetPlan.summary``."""
    problem: str
    """As ``DatasetPlan.problem``."""


def shared_plan(
    dataset: Dataset, workspace: Workspace, config: AnnotateConfig, origin: Origin, *, is_shared: bool
) -> DatasetPlan:
    """The plan of a data set, for a caller whom nobody else plans beside.

    Args:
        dataset: What is planned.
        workspace: Where files are.
        config: All settings.
        origin: Where they came from.
        is_shared: Whether others are at work on the data set, so that their plan is taken as it is. Else the data set
            is listed anew, as by any run.

    Raises:
        ValueError: As by ``list_dataset``.
    """
    path = workspace.record_path(dataset.group).with_name("planned.json")
    found = _read(path) if is_shared else None
    if found is not None:
        indices = sorted(shard.index for shard, _ in shard_paths(workspace.work.joinpath("plan", *dataset.group)))
        shards = SplitShards(dataset.manifest.id, dataset.manifest.split, indices)
        return DatasetPlan(manifest=dataset.manifest, shards=shards, summary=found.summary, problem=found.problem)
    path.unlink(missing_ok=True)  # Whoever is killed while planning leaves no plan that seems whole.
    plan = plan_dataset(list_dataset(dataset, workspace, config), workspace, config, origin)
    write_text(path, json.dumps(asdict(_Planned(summary=plan.summary, problem=plan.problem)), indent=2) + "\n")
    return plan


def _read(path: Path) -> _Planned | None:
    try:
        return read_settings(_Planned, json.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, ValueError):
        return None

"""The plan of a data set that several workers share: one of them makes it, those that come meanwhile wait for it.

work/plan/<dataset>/<split>/planned.json    the plan beside it is whole; what its maker has to say of it
work/plan/<dataset>/<split>/planned_before.json    the same of an earlier run
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from datasets_manifest.files import write_text
from datasets_manifest.settings import read_settings
from tasks.annotate.datasets import Dataset
from tasks.annotate.plan.places import check_places
from tasks.annotate.plan.plan import DatasetPlan, list_dataset, plan_dataset
from tasks.annotate.plan.stored_plan import StoredPlan
from tasks.annotate.plan_files import planned_shards
from tasks.annotate.settings import AnnotateConfig, Origin
from tasks.annotate.workspace import Group, SplitShards, Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class _Planned:
    """What a plan that is whole says of itself."""

    summary: str
    """As ``DatasetPlan.summary``."""
    problem: str
    """As ``DatasetPlan.problem``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenPlan:
    """A plan that is being made; whoever is killed meanwhile leaves none that seems whole."""

    path: Path
    """Of ``planned.json``."""
    stored: StoredPlan
    """The same in the store."""
    is_own: bool
    """Whether there was no plan of another machine that was not followed here yet."""

    @classmethod
    def begin(cls, workspace: Workspace, group: Group, *, anew: bool = False) -> OpenPlan:
        """Begins with the plan that lies in the store; ``anew``: with none."""
        path, stored = _path(workspace, group), StoredPlan(workspace, group)
        known = [known for known in (path, _earlier(path)) if known.is_file()]
        for one in known:
            one.unlink()
        was_made_here = bool(known)
        is_other = not anew and stored.fetch()
        return cls(path=path, stored=stored, is_own=not stored.is_there or (was_made_here and not is_other))

    def finish(self, plan: DatasetPlan) -> None:
        """Gives the plan to others: first to other machines, so that no worker here goes by one that they lack."""
        self.stored.put()
        said = asdict(_Planned(summary=plan.summary, problem=plan.problem))
        write_text(self.path, json.dumps(said, indent=2) + "\n")


def set_plan_back(workspace: Workspace, group: Group) -> None:
    """Makes a whole plan one of an earlier run, which no worker takes, for whoever comes to a data set first."""
    path = _path(workspace, group)
    if path.is_file():
        path.replace(_earlier(path))


def set_plan_forth(workspace: Workspace, group: Group) -> None:
    """Undoes it where nobody has begun a plan since, as of a run that was refused."""
    path = _path(workspace, group)
    if _earlier(path).is_file() and not path.is_file():
        _earlier(path).replace(path)


def _earlier(path: Path) -> Path:
    return path.with_name("planned_before.json")


def _path(workspace: Workspace, group: Group) -> Path:
    return workspace.record_path(group).with_name("planned.json")


def shared_plan(
    dataset: Dataset, workspace: Workspace, config: AnnotateConfig, origin: Origin, *, is_shared: bool
) -> DatasetPlan:
    """The plan of a data set, for a caller who holds its claim (``plans_held``).

    Args:
        dataset: What is planned.
        workspace: Where files are.
        config: All settings.
        origin: Where they came from.
        is_shared: Whether others are at work on the data set, so that their plan is taken as it is. Else the data set
            is listed anew, as by any run.

    Raises:
        ValueError: As by ``list_dataset`` and ``check_places``; or labels in a store are there without their plan, or
            photos of a plan of another machine are not.
    """
    found = _read(_path(workspace, dataset.group)) if is_shared else None
    if found is not None:
        indices = [shard.index for shard in planned_shards(workspace, [dataset.group])]
        shards = SplitShards(dataset.manifest.id, dataset.manifest.split, indices)
        return DatasetPlan(manifest=dataset.manifest, shards=shards, summary=found.summary, problem=found.problem)
    check_places([dataset], workspace)  # Before anything is changed.
    begun = OpenPlan.begin(workspace, dataset.group)
    begun.stored.check_unplanned()
    if begun.stored.is_there:
        check_places([dataset], workspace)
    plan = plan_dataset(list_dataset(dataset, workspace, config), workspace, config, origin, is_own=begun.is_own)
    begun.finish(plan)
    return plan


def _read(path: Path) -> _Planned | None:
    try:
        return read_settings(_Planned, json.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, ValueError):
        return None

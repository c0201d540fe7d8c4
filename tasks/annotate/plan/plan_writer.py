"""Writing the plans of a split while it is listed: a file is written once the last of its shards is known, and only if
it is to say something else than it does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa

from datasets_manifest.shards.footer import Footer
from tasks.annotate.plan.membership import Membership
from tasks.annotate.plan.shard_plans import ShardPlan
from tasks.annotate.plan_files import PlanFile, write_plan_file
from tasks.annotate.stale import set_aside
from tasks.annotate.workspace import Group, ShardRef, Workspace, plan_range


class PlanWriter:
    """The plans of a split in the making. Of those that stay as they are nothing is held in memory."""

    def __init__(self, workspace: Workspace, group: Group, members: Membership) -> None:
        """Takes where they go, and what there was before."""
        self._workspace, self._group, self._next = workspace, group, members.next_index
        self._planned, self._known = _by_file(members.planned), _by_file(members.known)
        self._waiting: defaultdict[int, dict[int, tuple[pa.Table, Footer] | None]] = defaultdict(dict)
        self._added: list[int] = []

    def add(self, index: int, plan: ShardPlan | None) -> None:
        """Takes the plan of a shard, None for one that stays as it is; new shards in order."""
        file = _file_of(index)
        self._waiting[file][index] = None if plan is None else (plan.table, plan.footer)
        self._added.append(index)
        growing = _file_of(max(index, self._next))  # Lower numbers are those of known shards.
        for one in {file, _file_of(max(self._next, index - 1))} - {growing}:
            if one in self._waiting and self._waiting[one].keys() >= self._known.get(one, set()):
                self._write(one)

    def finish(self) -> list[int]:
        """Writes what is left, sets files of which no shard is left aside, and gives the numbers of all, in order."""
        for file in list(self._waiting):
            self._write(file)
        kept = {self._path(file) for file in _by_file(self._added)}
        found = self._workspace.plan_folder(self._group).glob("*.parquet")
        if other := sorted(path for path in found if path not in kept):
            set_aside(self._workspace, other)
        return sorted(self._added)

    def _path(self, index: int) -> Path:
        return self._workspace.plan_path(ShardRef(dataset=self._group[0], split=self._group[1], index=index))

    def _write(self, file: int) -> None:
        plans, path = self._waiting.pop(file), self._path(file)
        if plans.keys() == self._planned.get(file, set()) and not any(plans.values()):
            return
        with ExitStack() as stack:
            before = stack.enter_context(PlanFile(path)) if None in plans.values() else None
            whole = {
                index: (before.rows(index), before.footers[index]) if plan is None and before is not None else plan
                for index, plan in plans.items()
            }
            write_plan_file(path, {index: plan for index, plan in whole.items() if plan is not None})


def _file_of(index: int) -> int:
    """Number of the first shard that may be in the file of one."""
    return plan_range(index)[0]


def _by_file(indices: Iterable[int]) -> dict[int, set[int]]:
    found: defaultdict[int, set[int]] = defaultdict(set)
    for index in indices:
        found[_file_of(index)].add(index)
    return found

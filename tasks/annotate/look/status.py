"""What is done, as the files say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from datasets_manifest.schema.people import PeopleCount
from datasets_manifest.shards.footer import ShardError
from datasets_manifest.shards.journal import Entry
from tasks.annotate.commands import command
from tasks.annotate.finished import finished_counts, open_journal
from tasks.annotate.plan_files import planned_numbers
from tasks.annotate.settings import Origin
from tasks.annotate.summary import seconds_a_shard
from tasks.annotate.workspace import STEPS, ShardRef, Workspace, shard_of
from tasks.display import clock
from tasks.wording import counted


@dataclass(kw_only=True, slots=True)
class StepState:
    """How far a step is with the shards of a data set."""

    done: int = 0
    """Shards with a file."""
    failed: int = 0
    """Shards of which an error is recorded."""
    unreadable: int = 0
    """Shards whose file cannot be read."""
    people: int = 0
    """People in the files."""
    failed_people: int = 0
    """Those of them who failed."""
    empty_photos: int = 0
    """Photos without people."""


@dataclass(kw_only=True, slots=True)
class DatasetState:
    """How far a split of a data set is."""

    dataset: str
    """Manifest id."""
    split: str
    """Split of the data set."""
    planned: int = 0
    """Shards."""
    labels: PeopleCount = field(default_factory=PeopleCount)
    """People and photos of the published labels."""
    steps: dict[str, StepState] = field(default_factory=lambda: {step: StepState() for step in STEPS})
    """By step, in order; ``refine`` publishes the labels."""

    @property
    def labelled(self) -> int:
        """Shards with labels."""
        return self.steps["refine"].done

    def lines(self) -> Iterator[str]:
        """The data set as a whole, then its steps."""
        share = 100 * self.labelled // max(self.planned, 1)
        yield f"{self.dataset}/{self.split}: {share} % labelled; {self.labels.sentence}"
        for step, state in self.steps.items():
            extra = "".join(
                f", {count} shards {name}"
                for name, count in (("failed", state.failed), ("unreadable", state.unreadable))
                if count
            )
            empty = f", {counted(state.empty_photos, 'photo')} without people" if state.empty_photos else ""
            yield (
                f"{self.dataset}/{self.split} {step}: {state.done} of {self.planned} shards{extra}, "
                f"{state.people} people, {state.failed_people} failed{empty}"
            )


def dataset_states(workspace: Workspace) -> list[DatasetState]:
    """How far each planned split of a data set is, in order of their names."""
    planned = planned_numbers(workspace)
    states = {
        group: DatasetState(dataset=group[0], split=group[1], planned=len(planned[group])) for group in sorted(planned)
    }
    journal = open_journal(workspace, with_people=False)
    for step in STEPS:
        for group, num_files, entry in finished_counts(workspace, step, journal, planned):
            _count(states[group], step, num_files, entry)
        for shard in recorded_failures(workspace, step):
            if shard.index in planned.get(shard.group, ()):
                states[shard.group].steps[step].failed += 1
    journal.save()
    return list(states.values())


def seconds_left(states: list[DatasetState], workspace: Workspace, workers: int) -> float | None:
    """What the shards that lack a file take, after the last run of each step; None where nothing is known of one."""
    cost = seconds_a_shard(workspace)
    missing = {step: sum(state.planned - state.steps[step].done for state in states) for step in STEPS}
    if any(count and step not in cost for step, count in missing.items()):
        return None
    return sum(count * cost[step] for step, count in missing.items() if count) / workers


def status_lines(states: list[DatasetState], workspace: Workspace, workers: int, origin: Origin) -> Iterator[str]:
    """The data sets, then all of them together."""
    if not states:
        yield f"nothing is planned in {workspace.work} yet ({command(origin, 'annotate')} starts a run)"
        return
    for state in states:
        yield from state.lines()
    planned, labelled = sum(state.planned for state in states), sum(state.labelled for state in states)
    left = seconds_left(states, workspace, workers)
    told = f", about {clock(left)} to go" if left else ""
    labels = sum((state.labels for state in states), PeopleCount())
    yield f"all: {labelled} of {planned} shards labelled ({100 * labelled // planned} %){told}; {labels.sentence}"


def recorded_failures(workspace: Workspace, step: str) -> list[ShardRef]:
    """The shards of which an error at a step is recorded, in order."""
    records = sorted((workspace.work / "failed" / step).glob("*/*/*.json"))
    return [shard for path in records if (shard := shard_of(path)) is not None]


def _count(state: DatasetState, step: str, num_files: int, entry: Entry | ShardError) -> None:
    own = state.steps[step]
    if isinstance(entry, ShardError):
        own.unreadable += 1
        return
    own.done += num_files
    own.people += entry.num_people
    own.failed_people += entry.num_failed
    own.empty_photos += entry.empty_count
    if step == "refine":
        state.labels += entry.count

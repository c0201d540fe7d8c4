"""How far a run is and how long it takes still, by what each step costs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from tasks.annotate.summary import ShardSummary, StepTimes
from tasks.annotate.workspace import STEPS, ShardRef
from tasks.display import Display


@dataclass(slots=True)
class _Step:
    """One step over the shards of a run."""

    finished: int = 0
    """Shards that are through it, well or not."""
    last: str = ""
    """How the last of them ended."""
    times: StepTimes = field(default_factory=StepTimes)
    """Of those that it was done for."""


@dataclass(slots=True)
class Progress:
    """Counts finished shard parts and tells how far the run is; safe to call from several threads."""

    shards: int
    """Shards of the run."""
    workers: int
    """Shard parts that are worked on at a time."""
    block: int
    """Shards that take their steps together."""
    log: logging.Logger | logging.LoggerAdapter
    """Where the lines on failed parts go, each at once."""
    display: Display
    """What shows how far it is."""
    earlier: Mapping[str, float] = field(default_factory=dict)
    """Seconds a shard of each step in an earlier run, for the steps that were not done in this one yet."""
    now: Callable[[], float] = time.perf_counter
    """Clock, seconds."""
    skipped: int = 0
    """Shard parts that were done before."""
    failed: int = 0
    """Those without a file."""
    people: int = 0
    """People whose keypoints were made."""
    failed_shards: set[str] = field(default_factory=set)
    """Names of the shards that lack a part."""
    _steps: dict[str, _Step] = field(default_factory=lambda: {step: _Step() for step in STEPS})
    _worked_since: float | None = None
    """When the first part began that was not there."""
    _at_work: float = 1.0
    """Shard parts that were worked on at a time until the last block was over."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._at_work = self.workers

    @property
    def finished(self) -> int:
        """Shard parts that are over, well or not."""
        return sum(step.finished for step in self._steps.values())

    @property
    def times(self) -> dict[str, StepTimes]:
        """What each step cost that was done for a shard."""
        return {name: step.times for name, step in self._steps.items() if step.times.shards}

    def add(self, *summaries: ShardSummary) -> None:
        """Counts shard parts that one worker did one after the other, and shows how far the run is; a part that failed
        is told at once."""
        with self._lock:
            if self._worked_since is None and any(own.state != "skipped" for own in summaries):
                self._worked_since = self.now() - sum(own.seconds for own in summaries)
            for summary in summaries:
                self._count(summary)
            told = [f"{self.skipped} there already"] if self.skipped else []
            told += [f"{self.failed} failed"] if self.failed else []
            if self.people and (elapsed := self._elapsed_s()):
                told.append(f"{self.people / elapsed:.2f} people/s")
            self.display.show("shard parts", self.finished, self.shards * len(STEPS), ", ".join(told), self.left_s())
        for summary in summaries:
            for tried in summary.tries:
                self.log.warning("%s: %s", summary.run_name, tried)
            what = summary.message or f"{summary.rows} rows in {summary.seconds:.1f} s"
            level = logging.ERROR if summary.state == "failed" else logging.DEBUG
            self.log.log(level, "%s %s: %s", summary.run_name, summary.state, what)

    def skip(self, shards: Iterable[ShardRef]) -> None:
        """Counts shards that were done in all steps before."""
        for shard in shards:
            self.add(*(ShardSummary(step=step, shard=shard, state="skipped") for step in STEPS))

    def _count(self, summary: ShardSummary) -> None:
        step = self._steps[summary.step]
        step.finished, step.last = step.finished + 1, summary.state
        if summary.state == "skipped":
            self.skipped += 1
            return
        if summary.state == "failed":
            self.failed += 1
            self.failed_shards.add(summary.shard.name)
        else:
            step.times.add(summary)
            self.people += summary.people if summary.step == "keypoints" else 0
        if summary.step == STEPS[-1] and step.finished % self.block == 0 and (elapsed := self._elapsed_s()):
            # Not at other times: what the workers are in the middle of counts for nothing yet. Nor if nothing was done.
            self._at_work = sum(own.times.seconds for own in self._steps.values()) / elapsed or self._at_work

    def left_s(self) -> float | None:
        """Seconds that the rest of the shard parts takes; None while nothing was done or the cost of a step is not
        known."""
        if self._worked_since is None:
            return None
        costs = {name: self._cost(name) for name, step in self._steps.items() if step.finished < self.shards}
        if None in costs.values():
            return None
        work = sum((self.shards - self._steps[name].finished) * (cost or 0.0) for name, cost in costs.items())
        return work / self._at_work

    def _cost(self, name: str) -> float | None:
        """Seconds that a further shard takes at a step. Where the last one was there already, so are those that follow:
        either all of a step is done, or the first shards are, of which an earlier run was stopped."""
        step = self._steps[name]
        if step.last == "skipped":
            return 0.0
        if step.times.shards:
            return step.times.seconds / step.times.shards
        return 0.0 if step.last == "failed" else self.earlier.get(name)

    def _elapsed_s(self) -> float:
        return 0.0 if self._worked_since is None else self.now() - self._worked_since

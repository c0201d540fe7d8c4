"""The time left of a run: true to what each step costs, however the parts are spread over the workers."""

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.run.orchestrate import block_size, run_shards
from flows.run.progress import Progress
from tasks.annotate.settings import AnnotateConfig, RunConfig
from tasks.annotate.steps.order import READS
from tasks.annotate.summary import ShardSummary, StepTimes, seconds_a_shard, write_times
from tasks.annotate.workspace import STEPS, SplitShards, Workspace

LOG = logging.getLogger("progress")
DEMO = {"keypoints": 15.0, "body": 0.6, "hands": 0.5, "face": 0.4, "refine": 0.9}
"""Seconds a shard; the keypoints take 87 %."""


class Told:
    """What was shown last."""

    def show(self, what, done, total, note, left_s):
        self.what, self.done, self.total, self.note, self.left_s = what, done, total, note, left_s


class ManyWorkers:
    """Steps take constant seconds on a clock of its own; a worker that waits for another step is not free."""

    def __init__(self, workers, seconds, state_of):
        self.now, self.free = 0.0, [0.0] * workers
        self.seconds, self.state_of = seconds, state_of

    def submit(self, step, job, after):
        state = self.state_of(step, job.shard.index)
        seconds = self.seconds[step] if state == "done" else 0.0
        worker = self.free.index(min(self.free))
        begin = max([self.free[worker], *(handle.end for handle in after)])
        self.free[worker] = begin + seconds
        summary = ShardSummary(step=step, shard=job.shard, state=state, rows=8, people=8, seconds=seconds)
        return Handle(self, begin + seconds, summary)


class Handle:
    def __init__(self, workers, end, summary):
        self.workers, self.end, self.summary = workers, end, summary

    def result(self):
        self.workers.now = max(self.workers.now, self.end)
        return self.summary


def estimates(seconds, *, shards=40, workers=2, earlier=None, state_of=lambda _step, _shard: "done"):
    """Of each report of a run: shards that are whole, time of the report, time left that is told, time left."""
    pool, told = ManyWorkers(workers, seconds, state_of), Told()
    reports = []

    class Watched(Progress):
        def add(self, summary):
            super().add(summary)
            reports.append((self._steps["refine"].finished, pool.now, told.left_s))

    config = AnnotateConfig(run=RunConfig(workers=workers))
    progress = Watched(
        shards=shards,
        workers=workers,
        block=block_size(config.run),
        log=LOG,
        display=told,
        earlier=earlier or {},
        now=lambda: pool.now,
    )
    run_shards(SplitShards("many", "all", range(shards)), pool, progress, Workspace.of(config.output), config)
    return [(whole, at, left, pool.now - at) for whole, at, left in reports]


def check_from_the_first_block_on(reports, workers):
    whole_run = reports[-1][1]
    block = [report for report in reports if report[0] >= 2 * workers]
    assert block
    for _whole, _at, left, really in block:
        assert left == pytest.approx(really, abs=0.1 * whole_run)


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_the_end_is_foreseen_within_a_tenth_from_the_first_finished_block_on(workers):
    check_from_the_first_block_on(estimates(DEMO, workers=workers, shards=30 * workers), workers)


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(
    st.fixed_dictionaries({step: st.floats(0.01, 20) for step in STEPS}),
    st.integers(1, 6),
    st.integers(15, 40),
)
def test_whatever_the_steps_cost(seconds, workers, blocks):
    check_from_the_first_block_on(estimates(seconds, workers=workers, shards=2 * workers * blocks), workers)


def test_a_run_that_goes_on_foresees_its_end_too():
    reports = estimates(DEMO, shards=60, state_of=lambda _step, shard: "skipped" if shard < 24 else "done")
    assert all(left is None for whole, at, left, _ in reports if at == 0)
    check_from_the_first_block_on([report for report in reports if report[0] >= 28], 2)


def test_steps_that_are_there_already_cost_nothing():
    reports = estimates(DEMO, state_of=lambda step, _shard: "done" if step == "refine" else "skipped")
    check_from_the_first_block_on(reports, 2)


def test_an_earlier_run_says_what_the_steps_cost_that_were_not_done_yet():
    for _whole, _at, left, really in estimates(DEMO, earlier=DEMO):
        assert left == pytest.approx(really, rel=0.1, abs=40)
    _, _, left, really = estimates(DEMO, shards=400, earlier=DEMO)[0]
    assert left == pytest.approx(really, rel=0.02)


def test_before_a_step_was_ever_done_the_time_left_is_not_told():
    lefts = [left for whole, _, left, _ in estimates(DEMO) if whole == 0]
    assert set(lefts) == {None}


def test_a_run_whose_every_part_fails_ends_with_nothing_left():
    reports = estimates(DEMO, state_of=lambda step, _shard: "done" if step == "keypoints" else "failed")
    check_from_the_first_block_on(reports, 2)


def test_a_failed_part_is_told_at_once_and_the_others_only_shown(caplog):
    caplog.set_level(logging.INFO)
    told = Told()
    progress = Progress(shards=2, workers=1, block=2, log=LOG, display=told)
    shards = list(SplitShards("many", "all", range(2)))
    progress.add(ShardSummary(step="keypoints", shard=shards[0], state="done", rows=8, people=8, seconds=1.0))
    progress.add(ShardSummary(step="keypoints", shard=shards[1], state="failed", message="no space left"))
    assert caplog.messages == ["keypoints/many/all/00001 failed: no space left"]
    assert (told.what, told.done, told.total) == ("shard parts", 2, 10)
    assert told.note.startswith("1 failed, ")


def test_seconds_of_a_step_outlive_a_run_that_does_not_do_it(tmp_path):
    workspace = Workspace(work=tmp_path, labels=tmp_path)
    assert seconds_a_shard(workspace) == {}
    write_times(workspace, {"keypoints": StepTimes(shards=4, seconds=10.0), "refine": StepTimes(shards=2, seconds=1.0)})
    write_times(workspace, {"refine": StepTimes(shards=1, seconds=3.0)})
    assert seconds_a_shard(workspace) == {"keypoints": 2.5, "refine": 3.0}
    (tmp_path / "run.json").write_text('{"keypoints": {"sha')
    assert seconds_a_shard(workspace) == {}


def test_the_steps_of_the_law_are_those_of_a_run():
    assert set(DEMO) == set(READS)


def test_a_run_whose_first_shards_all_fail_has_a_time_left_too():
    told = Told()
    progress = Progress(
        shards=9, workers=2, block=2, log=LOG, display=told, earlier=DEMO, now=iter(range(1000)).__next__
    )
    for shard in SplitShards("many", "all", range(6)):
        progress.add(*(ShardSummary(step=step, shard=shard, state="failed", message="lost") for step in STEPS))
    assert (told.done, told.left_s) == (30, 0.0)
    assert len(progress.failed_shards) == 6

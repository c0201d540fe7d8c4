"""Submitting many tasks with a bounded number in flight."""

from __future__ import annotations

from collections import Counter

import pytest
from prefect_api import task_runs

from flows.run.pacing import submit_in_windows


class _Future:
    def __init__(self, log: list, item: int) -> None:
        self.item, self.done, self._log = item, False, log

    def wait(self) -> None:
        self.done = True
        self._log.append(self)


@pytest.mark.parametrize(("count", "window"), [(0, 4), (1, 1), (3, 4), (4, 4), (5, 4), (130, 64)])
def test_all_are_submitted_in_order_and_waited_for_within_the_window(count, window):
    waited: list[_Future] = []
    submitted: list[_Future] = []

    def submit(item: int) -> _Future:
        submitted.append(_Future(waited, item))
        assert sum(not future.done for future in submitted) <= window
        return submitted[-1]

    submit_in_windows(range(count), submit, window=window)
    assert [future.item for future in submitted] == list(range(count))
    assert all(future.done for future in submitted)


def test_items_are_read_lazily():
    read = []

    def items():
        for item in range(10):
            read.append(item)
            yield item

    def submit(item: int) -> _Future:
        assert len(read) == item + 1
        return _Future([], item)

    submit_in_windows(items(), submit, window=2)


def test_a_window_below_one_is_refused():
    with pytest.raises(ValueError, match="window must be at least 1, not 0"):
        submit_in_windows([1], lambda item: _Future([], item), window=0)


@pytest.mark.long
@pytest.mark.parametrize("count", [20, pytest.param(300, marks=pytest.mark.slow)])
def test_every_task_run_is_on_the_servers_record(api, count):
    from prefect import flow, task
    from prefect.context import FlowRunContext

    @task(name="step", task_run_name="hands/toy/{index:05d}")
    def step(index: int) -> None:
        if index % 10 == 3:
            raise RuntimeError("no luck")

    @flow(name=f"paced-{count}")
    def paced() -> str:
        futures = []
        submit_in_windows(range(count), lambda index: futures.append(step.submit(index)) or futures[-1])
        assert sum(future.state.is_failed() for future in futures) == count // 10
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        return str(context.flow_run.id)

    run_id = paced()
    found = Counter(own["state_name"] for own in task_runs(api, run_id, count))
    assert found == {"Completed": count - count // 10, "Failed": count // 10}

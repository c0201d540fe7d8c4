"""Time and memory are those of the call."""

import time

import torch

from benchmarks.measure import peak_growth_bytes, timed

CPU = torch.device("cpu")


def test_memory_that_a_call_holds_counts_even_when_it_is_freed_again() -> None:
    size = 64_000_000

    def hold() -> float:
        return float(torch.ones(size // 4).sum())

    hold()
    assert 0.8 * size < peak_growth_bytes(hold, CPU) < 1.5 * size


def test_waiting_costs_no_processor_time() -> None:
    result, seconds = timed(lambda: time.sleep(0.2) or "done", CPU)
    assert result == "done"
    assert seconds < 0.1


def test_work_costs_processor_time() -> None:
    def spin() -> None:
        end = time.process_time() + 0.1
        while time.process_time() < end:
            pass

    assert 0.09 < timed(spin, CPU)[1] < 0.3

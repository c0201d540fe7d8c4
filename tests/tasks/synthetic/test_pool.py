"""Several processes give what one gives, in the same order; an error comes through as it is."""

import functools
import os

import pytest
import torch

from tasks.synthetic.pool import call_in_processes


def report(power, index):
    if index == 7:
        raise ValueError(f"no result for {index}")
    return index**power, torch.get_num_threads(), os.getpid()


def test_one_process_is_this_one_with_one_thread_for_the_while():
    before = torch.get_num_threads()
    results = list(call_in_processes(functools.partial(report, 2), range(5), 1))
    assert results == [(k**2, 1, os.getpid()) for k in range(5)]
    assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match="no result for 7"):
        list(call_in_processes(functools.partial(report, 2), range(9), 1))
    assert torch.get_num_threads() == before


@pytest.mark.slow
def test_several_processes_keep_the_order():
    results = list(call_in_processes(functools.partial(report, 3), range(7), 2))
    assert [value for value, _, _ in results] == [k**3 for k in range(7)]
    assert {threads for _, threads, _ in results} == {1}
    assert os.getpid() not in {process for _, _, process in results}
    with pytest.raises(ValueError, match="no result for 7"):
        list(call_in_processes(functools.partial(report, 3), range(9), 2))

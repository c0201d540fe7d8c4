"""One function of a number, called for many numbers by several processes, each with one thread."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

import cv2
import torch

T = TypeVar("T")

_function: list[Callable[[int], Any]] = []
"""What a process that was started here calls."""


def call_in_processes(function: Callable[[int], T], numbers: Sequence[int], processes: int) -> Iterator[T]:
    """Results of ``function`` for some numbers, in their order, the same for any number of processes.

    Args:
        function: Must be picklable if there are several processes, with all that it holds; it is sent to each once.
        numbers: What it is called with.
        processes: 1 calls it here. More need a program that new processes can import.
    """
    if processes == 1:
        threads = torch.get_num_threads()
        try:
            torch.set_num_threads(1)  # a sum that is split among threads can have other last bits
            yield from map(function, numbers)
        finally:
            torch.set_num_threads(threads)
        return
    # Not forked: a child of a process whose torch has run threads can wait for ever for threads it does not have.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn, initializer=_start, initargs=(function,)) as pool:
        yield from pool.map(_call, numbers, chunksize=max(1, min(8, len(numbers) // (4 * processes))))


def _start(function: Callable[[int], Any]) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _function.append(function)


def _call(index: int) -> Any:
    return _function[0](index)

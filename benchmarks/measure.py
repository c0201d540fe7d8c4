"""Time and memory of a call."""

import ctypes
import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from benchmarks.process_memory import peak_bytes

Result = TypeVar("Result")
_PROCESS = Path("/proc/self")


def timed(call: Callable[[], Result], device: torch.device) -> tuple[Result, float]:
    """The result and its seconds: processor time of this process on a CPU, elapsed time on a CUDA device.

    Processor time hardly depends on who else uses the machine; with one thread it is what a core spends.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        begin = time.perf_counter()
        result = call()
        torch.cuda.synchronize(device)
        return result, time.perf_counter() - begin
    begin = time.process_time()
    result = call()
    return result, time.process_time() - begin


def peak_growth_bytes(call: Callable[[], object], device: torch.device) -> int:
    """How far a call lifts the memory in use: allocated memory on CUDA, resident memory of a fresh process on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    _return_freed_memory()
    before = _reset_peak()
    call()
    return max(0, peak_bytes() - before)


def _return_freed_memory() -> None:
    """Hands memory that was freed but kept by the C library back to the system: its reuse would count as no growth."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _reset_peak() -> int:
    """Sets the peak of the resident memory back to now, where the system can; the bytes to count from."""
    if not (_PROCESS / "clear_refs").exists():
        return peak_bytes()
    (_PROCESS / "clear_refs").write_text("5")
    return peak_bytes()

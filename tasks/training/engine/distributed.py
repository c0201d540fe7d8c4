"""The processes of one training: who am I, and what all of us say together.

torchrun tells each process its rank by environment variables. One process alone needs no group: it
answers itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, get_args

import torch
import torch.distributed as dist
from torch import Tensor

from tasks.settings import Device

TIMEOUT = timedelta(minutes=30)
"""How long a process waits for the others, longer than an evaluation or a checkpoint of the slowest takes."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessGroup:
    """This process among all of them."""

    rank: int
    """0 is the one that writes."""
    world_size: int
    """Number of processes."""
    device: torch.device
    """Where this process computes."""

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and says what happens."""
        return self.rank == 0

    def all_reduce(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all processes, on each of them."""
        if self.world_size == 1:
            return values
        total = values.clone()
        dist.all_reduce(total)
        return total

    def all_gather(self, value: Any) -> list[Any]:
        """One value of each process, in the order of ranks, on each of them; small things only, they are pickled."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values


@contextlib.contextmanager
def process_group(device: str = "auto") -> Iterator[ProcessGroup]:
    """Joins the other processes of this training, nccl on GPUs, gloo on a CPU; leaves them at the end.

    Args:
        device: ``cpu``, ``cuda`` or ``auto``: the GPU if there is one.

    Raises:
        ValueError: A GPU is asked for, but there are fewer than processes.
    """
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    group = ProcessGroup(rank=rank, world_size=size, device=choose_device(device, local_rank))
    if group.device.type == "cuda":
        torch.cuda.set_device(group.device)
    if size == 1:
        yield group
        return
    backend = "nccl" if group.device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=TIMEOUT)
    try:
        yield group
    except BaseException as error:
        # The frames of the error hold what uses the group (DDP's reducer). Freed after the group it can wait for ever.
        traceback.clear_frames(error.__traceback__)
        raise
    finally:
        dist.destroy_process_group()


def mean_of_processes(values: Tensor) -> Tensor:
    """The mean of a tensor over all processes that take part, for what only knows that it is called in each of them."""
    if not dist.is_initialized():
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


def choose_device(device: str, local_rank: int) -> torch.device:
    """The device of a process.

    Raises:
        ValueError: As for ``process_group``.
    """
    if device not in get_args(Device):
        raise ValueError(f"device: expected one of {', '.join(get_args(Device))}, got {device!r}")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cpu" or (device == "auto" and count == 0):
        return torch.device("cpu")
    if local_rank >= count:
        raise ValueError(
            f"process {local_rank} of this machine has no GPU: there are {count}; set processes to {count}"
        )
    return torch.device("cuda", local_rank)


def die_with_parent() -> None:
    """Asks Linux to end this process when the one that started it dies, however that happens; elsewhere does nothing.

    A trainer whose flow run was killed would go on writing checkpoints that nobody watches.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call
        os._exit(1)

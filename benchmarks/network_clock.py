"""How much of a run is spent inside networks."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from model.estimators.dwpose.sessions import OnnxNetwork


@dataclass(slots=True)
class NetworkClock:
    """Time inside torch modules and onnxruntime sessions, outermost calls only."""

    device: torch.device
    """Where the networks run; CUDA is waited for."""
    elapsed: float = 0.0
    """Seconds by the clock on the wall."""
    processor: float = 0.0
    """Seconds of the processor, of the calling thread: all of them where networks run on one thread."""
    _depth: int = 0
    _caller: int = field(default_factory=threading.get_ident)
    _started: tuple[float, float] = (0.0, 0.0)

    def enter(self) -> None:
        """A network is called."""
        if threading.get_ident() != self._caller:
            raise RuntimeError("the clock was started in another thread than the one that runs networks")
        self._depth += 1
        if self._depth == 1:
            self._started = self._now()

    def leave(self) -> None:
        """It is done."""
        self._depth -= 1
        if self._depth == 0:
            elapsed, processor = self._now()
            self.elapsed += elapsed - self._started[0]
            self.processor += processor - self._started[1]

    def _now(self) -> tuple[float, float]:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter(), time.thread_time()


@contextmanager
def network_clock(device: torch.device) -> Iterator[NetworkClock]:
    """Watches all networks that this thread runs."""
    clock = NetworkClock(device)
    run = OnnxNetwork.run

    def timed_run(self: OnnxNetwork, images: Any) -> Any:
        clock.enter()
        try:
            return run(self, images)
        finally:
            clock.leave()

    hooks = [
        register_module_forward_pre_hook(lambda *_: clock.enter()),
        register_module_forward_hook(lambda *_: clock.leave(), always_call=True),
    ]
    OnnxNetwork.run = timed_run  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield clock
    finally:
        OnnxNetwork.run = run
        for hook in hooks:
            hook.remove()

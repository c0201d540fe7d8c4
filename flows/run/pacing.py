"""Submit many tasks without losing any from the server's record.

Task states reach a Prefect server as asynchronous events through a queue of bounded length. A burst of some thousand
submissions overflows it, and the runs that fall out are never seen in the UI though they did run. Hence: only so many
in flight at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

WINDOW = 64
"""Tasks in flight at a time that neither starve the workers nor flood the event queue."""


class Waitable(Protocol):
    """The part of a Prefect future that pacing needs."""

    def wait(self) -> object:
        """Blocks until the task run is finished, whatever its state."""
        ...


Item = TypeVar("Item")
Future = TypeVar("Future", bound=Waitable)


def submit_in_windows(items: Iterable[Item], submit: Callable[[Item], Future], *, window: int = WINDOW) -> None:
    """Submits one task an item with at most ``window`` of them unfinished, and waits for all.

    The window slides: the next item goes in as soon as the oldest unfinished task is done, so one slow shard does not
    leave the other workers idle until a whole batch is over. Futures are not kept longer, and a failed task does not
    raise here: what its future's ``wait`` does not tell, nobody learns.

    Args:
        items: What to submit, in order; read lazily.
        submit: Called once an item, for example ``lambda shard: annotate.submit(shard)``.
        window: Largest number of unfinished tasks.

    Raises:
        ValueError: The window is smaller than 1.
    """
    if window < 1:
        raise ValueError(f"window must be at least 1, not {window}")
    in_flight: deque[Future] = deque()
    for item in items:
        if len(in_flight) == window:
            in_flight.popleft().wait()
        in_flight.append(submit(item))
    while in_flight:
        in_flight.popleft().wait()

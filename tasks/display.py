"""What whoever watches a long piece of work is told: how much of it is done, and how long it takes still."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Thing = TypeVar("Thing")

FIRST_LINE_S = 5.0
"""From the start to the first line of a log, and shortest time between two."""
LONGEST_S = 60.0
"""Longest time between two lines, while there is something new to tell."""


def clock(seconds: float) -> str:
    """``h:mm:ss``, or ``m:ss`` below an hour."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def time_left(seconds: float | None) -> str:
    """``6:38 left``; ``? left`` while nobody knows."""
    return f"{'?' if seconds is None else clock(seconds)} left"


class Display(Protocol):
    """Shows how far a piece of work is; may be told as often as there is something new."""

    def show(self, what: str, done: int, total: int, note: str, left_s: float | None) -> None:
        """Takes the state of the work.

        Args:
            what: What is counted, in the plural.
            done: How many are done.
            total: Of how many.
            note: More to be told, such as the speed; may be empty.
            left_s: Seconds that the rest takes; None while they cannot be told.
        """
        ...


class Counter:
    """Tells a display of things as they are done, each about as long as the others."""

    def __init__(self, what: str, total: int, display: Display | None, *, note: str = "") -> None:
        """Takes what ``Display.show`` is told; without a note it is told the rate."""
        self._what, self._total, self._display, self._note = what, total, display, note
        self._done, self._started = 0, time.perf_counter()

    def count(self, things: Iterable[Thing]) -> Iterator[Thing]:
        """The things, one by one; the total is of all that are counted, in one go or several."""
        for thing in things:
            self._done += 1
            if self._display is not None:
                seconds = max(time.perf_counter() - self._started, 1e-6)
                total = max(self._total, self._done)
                left_s = seconds * (total - self._done) / self._done
                note = self._note or f"{self._done / seconds:.1f}/s"
                self._display.show(self._what, self._done, total, note, left_s)
            yield thing


class Lines:
    """A line of a log every few seconds, in a long piece of work every hundredth of its time so far."""

    def __init__(
        self, log: logging.Logger | logging.LoggerAdapter, now: Callable[[], float] = time.perf_counter
    ) -> None:
        self._log, self._now = log, now
        self._what = ""
        self._started = self._last = 0.0

    def show(self, what: str, done: int, total: int, note: str, left_s: float | None) -> None:
        """See ``Display``. That all is done is not told: the results say so."""
        now = self._now()
        if what != self._what:
            self._what, self._started, self._last = what, now, now
        pause = min(max(FIRST_LINE_S, (now - self._started) / 100), LONGEST_S)
        if done < total and now - self._last >= pause:
            self._last = now
            told = [f"{done} of {total} {what}", note, time_left(left_s)]
            self._log.info("%s", ", ".join(filter(None, told)))

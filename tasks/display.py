"""What whoever watches a long piece of work is told: how much of it is done, and how long it takes still."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

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

"""Frames in which nobody is found where a person passes, for the fit to lead through."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from tasks.annotate.groups.places import Places
from tasks.annotate.settings import GroupsConfig
from tasks.tracks.views import NOBODY


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """A frame that shows nothing of somebody who passes."""

    plan_row: int
    """Which."""
    before: int
    """Row that shows the person last before."""
    detail: str
    """Why the person is thought to pass."""


def gaps_of(
    everywhere: Places, places: Places, tracks: np.ndarray, rows: np.ndarray, config: GroupsConfig
) -> list[Gap]:
    """The frames that are missing in the tracks of people, of those that are close enough in time to be led through.

    Args:
        everywhere: Places of all rows of the plan.
        places: Where N rows are.
        tracks: (N,) who it is.
        rows: Those of the N that show somebody.
        config: Longest gap, and how far frames may be apart in time.
    """
    known = rows[tracks[rows] != NOBODY]
    order = known[np.lexsort((places.frame[known], tracks[known], places.camera[known]))]
    found: list[Gap] = []
    for row, then in itertools.pairwise(order):
        if (places.camera[row], tracks[row]) != (places.camera[then], tracks[then]):
            continue
        last, next_ = int(places.frame[row]), int(places.frame[then])
        if next_ == last + 1:
            continue
        passed = (everywhere.camera == places.camera[row]) & (last <= everywhere.frame) & (everywhere.frame <= next_)
        frames, first = np.unique(everywhere.frame[passed], return_index=True)
        plan_rows = np.flatnonzero(passed)[first]
        is_led = (np.diff(everywhere.time_s[plan_rows]) <= 1.001 * config.clips.max_step_s).all()
        if len(frames) - 2 <= config.max_bridged and is_led:
            detail = f"nobody was found here, but in frames {last} and {next_}, between which the label leads"
            found += [Gap(plan_row=int(plan_row), before=int(row), detail=detail) for plan_row in plan_rows[1:-1]]
    return found

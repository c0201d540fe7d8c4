"""Which photos of several cameras were taken at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from datasets_manifest.sources.frame_choice import FrameChoice


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Taken:
    """What one camera took, in turn."""

    numbers: np.ndarray
    """(N,) numbers of its photos or frames, rising."""
    times_s: np.ndarray
    """(N,) when they were taken, by the clock of the scene."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Moments:
    """When photos were taken at once, and which."""

    all: Taken
    """Number and time of each moment."""
    of: Mapping[str, Mapping[int, int]]
    """Of each camera, number of the moment by number of the photo; photos of no moment are left out."""

    @property
    def numbers(self) -> range:
        """From the first to the last."""
        return range(int(self.all.numbers[0]), int(self.all.numbers[-1]) + 1) if len(self.all.numbers) else range(0)

    def chosen(self, choice: FrameChoice) -> set[int]:
        """Numbers of the moments that are wanted."""
        numbers, after_s = self.all.numbers.tolist(), (self.all.times_s - self.all.times_s[:1]).tolist()
        return {
            number
            for number, time_s, before_s in zip(numbers, after_s, [None, *after_s][: len(numbers)], strict=True)
            if choice.wants(number - numbers[0], time_s, before_s)
        }


def same_numbers(cameras: Mapping[str, Taken]) -> Moments:
    """Moments of cameras whose photos of a moment have one number, and one time."""
    numbers = np.concatenate([taken.numbers for taken in cameras.values()])
    times_s = np.concatenate([taken.times_s for taken in cameras.values()])
    distinct, first = np.unique(numbers, return_index=True)
    return Moments(
        all=Taken(numbers=distinct, times_s=times_s[first]),
        of={name: {number: number for number in taken.numbers.tolist()} for name, taken in cameras.items()},
    )


def nearest_times(cameras: Mapping[str, Taken]) -> Moments:
    """Moments of cameras that run at rates and begin at times of their own: those of the camera that took most.

    Of another camera a photo belongs to the moment that is nearest, if that is within half of the time between two
    moments, and none of its photos is nearer.
    """
    most = max(cameras.values(), key=lambda taken: len(taken.numbers))
    half_s = float(np.median(np.diff(most.times_s))) / 2 if len(most.times_s) > 1 else np.inf
    found: dict[str, dict[int, int]] = {}
    for name, taken in cameras.items():
        moment = _nearest(most.times_s, taken.times_s)
        apart_s = np.abs(taken.times_s - most.times_s[moment])
        nearest_first = np.argsort(apart_s, kind="stable")
        _, best = np.unique(moment[nearest_first], return_index=True)
        photos = np.sort(nearest_first[best])
        photos = photos[apart_s[photos] <= half_s]
        found[name] = dict(zip(taken.numbers[photos].tolist(), most.numbers[moment[photos]].tolist(), strict=True))
    return Moments(all=most, of=found)


def _nearest(times_s: np.ndarray, wanted_s: np.ndarray) -> np.ndarray:
    """(M,) which of rising times is nearest to each of M others."""
    after = np.searchsorted(times_s, wanted_s).clip(1, max(1, len(times_s) - 1)).clip(max=len(times_s) - 1)
    before = (after - 1).clip(0)
    return np.where(wanted_s - times_s[before] <= times_s[after] - wanted_s, before, after)

"""Which frames of videos are used, as settings say it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from pydantic import NonNegativeFloat, PositiveInt


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameChoice:
    """Which frames of a video are used; the first always is."""

    every: PositiveInt = 1
    """Every n-th frame."""
    fps: NonNegativeFloat = 0.0
    """At most so many a second, by the times of the frames; 0 is no limit."""

    def wants(self, index: int, time_s: float, previous_s: float | None) -> bool:
        """Whether a frame is used.

        Args:
            index: Number of the frame, from 0.
            time_s: When it is shown.
            previous_s: When the frame before it is shown, None for the first.
        """
        if previous_s is None:
            return True
        due = self.fps == 0 or int(time_s * self.fps + 1e-6) > int(previous_s * self.fps + 1e-6)
        return due and index % self.every == 0

    def includes(self, other: FrameChoice) -> bool:
        """Whether every frame that another choice uses is used, whatever the video."""
        is_as_often = self.fps == 0 or (other.fps > 0 and self.fps % other.fps == 0)
        return is_as_often and other.every % self.every == 0

    @property
    def stated(self) -> dict[str, float]:
        """What is not the default, by name: empty for all frames."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != f.default}


ALL_FRAMES = FrameChoice()

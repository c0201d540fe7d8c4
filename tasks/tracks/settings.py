"""Settings of tracks."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import NonNegativeInt, PositiveFloat


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackConfig:
    """How far somebody may be from where they are expected, and for how long they may be away."""

    max_gap: NonNegativeInt = 30
    """Frames that somebody may be away and still be the same person; of the frames that are looked at."""
    max_distance: PositiveFloat = 0.54
    """Mean distance of keypoints and box from where they are expected, by the longer side of the box, that is still the
    same person."""

"""Tracks of the people of videos, whose frames come one after the other."""

from __future__ import annotations

import numpy as np

from model.body.skeleton import BODY, FEET
from tasks.predict.inputs import InputFrame, Source
from tasks.predict.people import FoundPeople
from tasks.tracks.association import Tracker
from tasks.tracks.cuts import Look, is_cut, look_of
from tasks.tracks.settings import TrackConfig


class VideoTracks:
    """Follows people through one video after the other."""

    def __init__(self, config: TrackConfig) -> None:
        self._config = config
        self._source: Source | None = None
        self._look: Look | None = None
        self._tracker = Tracker(config)

    def add(self, frame: InputFrame, found: FoundPeople) -> list[int | None]:
        """Who each of the P people is; None in photos, and of people whose box cannot be used.

        Args:
            frame: The next photo or frame, which could be read.
            found: Its people.
        """
        assert frame.rgb is not None
        tracks: list[int | None] = [None] * len(found)
        if frame.frame is None:
            return tracks
        if frame.source is not self._source:
            self._source, self._look, self._tracker = frame.source, None, Tracker(self._config)
        look = look_of(frame.rgb)
        if self._look is not None and is_cut(self._look, look):
            self._tracker.cut()
        self._look = look
        numbers = self._tracker.add(found.boxes_xyxy[found.usable], _body_px(found))
        for person, number in zip(np.flatnonzero(found.usable), numbers.tolist(), strict=True):
            tracks[person] = number
        return tracks


def _body_px(found: FoundPeople) -> np.ndarray | None:
    """Body and feet (P, K, 2) px of the usable people, NaN where not seen; None of a whole image as one person."""
    if found.output is None:
        return None
    of_body = slice(BODY.start, FEET.stop)
    points = np.array(found.output.keypoints[found.usable, of_body, :2], np.float64)
    points[~np.isfinite(found.output.sigma_px[found.usable, of_body])] = np.nan
    return points

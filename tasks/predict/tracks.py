"""Tracks of the people of videos, whose frames come one after the other."""

from __future__ import annotations

import numpy as np

from tasks.predict.inputs import InputFrame, Source
from tasks.predict.people import FoundPeople
from tasks.tracks.cuts import look_of
from tasks.tracks.films import FilmTracks, body_points
from tasks.tracks.settings import TrackConfig


class VideoTracks:
    """Follows people through one video after the other."""

    def __init__(self, config: TrackConfig) -> None:
        self._config = config
        self._source: Source | None = None
        self._film = FilmTracks(config)

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
            self._source, self._film = frame.source, FilmTracks(self._config)
        of, output = found.usable, found.output
        points = None if output is None else body_points(output.keypoints[of], output.sigma_px[of])
        numbers = self._film.add(look_of(frame.rgb), found.boxes_xyxy[of], points)
        for person, number in zip(np.flatnonzero(of), numbers.tolist(), strict=True):
            tracks[person] = number
        return tracks

"""Who is who over the frames of a clip: the people of a frame are given to those of the frames before, all at once.

A person is a set of points, some of which may not be seen: keypoints, and the corners of the box. Somebody is expected
where a damped constant velocity takes them. What a pair costs is the mean distance of the points from there, by the
size of the box; the pairs of a frame are those that cost least together. Pixels are not looked at: where two people
pass behind each other, motion alone has to tell them apart, and sometimes fails.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.tracks.settings import TrackConfig

TOLERANCE_GROWTH = 0.05
"""By which share more somebody may be off for each frame since they were seen."""
NEW_SHARE = 0.4
"""Of the newest step in the velocity; the rest is what it was."""
MAX_STEPS = 8
"""Frames over which somebody who is away goes on at that velocity; then they are expected to stay."""


@dataclass(slots=True)
class _Track:
    """Somebody as last seen."""

    points: np.ndarray
    """(K, 2) px, NaN where not seen."""
    size: float
    """Longer side of the box, px."""
    velocity: np.ndarray
    """(2,) px a frame."""
    frame: int


class Tracker:
    """Follows the people of one clip; takes its frames in turn."""

    def __init__(self, config: TrackConfig | None = None) -> None:
        self.config = config or TrackConfig()
        self._tracks: dict[int, _Track] = {}
        self._frame = self._num_tracks = 0

    def cut(self) -> None:
        """Ends all tracks: the next frame is of another scene."""
        self._tracks.clear()

    def add(self, boxes_xyxy: np.ndarray, keypoints: np.ndarray | None = None) -> np.ndarray:
        """The tracks (P,) of the people of the next frame, numbers from 0.

        Args:
            boxes_xyxy: (P, 4) px.
            keypoints: (P, K, 2) px, NaN where not seen; K is the same in all frames. None has boxes alone.
        """
        boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
        corners = boxes.reshape(-1, 2, 2)
        points = corners if keypoints is None else np.concatenate([keypoints, corners], axis=1)
        sizes = (boxes[:, 2:] - boxes[:, :2]).max(1).clip(min=1.0)
        numbers = np.full(len(boxes), -1)
        known = list(self._tracks)
        for at, person in zip(*self._pairs(points), strict=True):
            numbers[person] = known[at]
        for person, number in enumerate(numbers):
            if number < 0:
                numbers[person], self._num_tracks = self._num_tracks, self._num_tracks + 1
                velocity = np.zeros(2)
            else:
                velocity = self._velocity(self._tracks[number], points[person])
            self._tracks[int(numbers[person])] = _Track(points[person], float(sizes[person]), velocity, self._frame)
        self.skip(1)
        return numbers

    def skip(self, frames: int) -> None:
        """Lets frames pass that nobody has looked at; less than one is none."""
        self._frame += max(frames, 0)
        oldest = self._frame - 1 - self.config.max_gap
        self._tracks = {number: track for number, track in self._tracks.items() if track.frame >= oldest}

    def _pairs(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which track, by its place among all, is whom (n,), (n,)."""
        if not len(points):  # then it is not known of how many points people are
            return np.zeros(0, int), np.zeros(0, int)
        from scipy.optimize import linear_sum_assignment  # Dear to import.

        cost = np.array([self._costs(track, points) for track in self._tracks.values()])
        cost = cost.reshape(len(self._tracks), len(points))
        tracks, people = linear_sum_assignment(np.minimum(cost, self.config.max_distance))
        near = cost[tracks, people] < self.config.max_distance
        return tracks[near], people[near]

    def _costs(self, track: _Track, points: np.ndarray) -> np.ndarray:
        """How far each of the people (P, K, 2) is from where a track is expected (P,)."""
        away = self._frame - track.frame
        expected = track.points + track.velocity * min(away, MAX_STEPS)
        distance = np.nanmean(np.linalg.norm(points - expected, axis=-1), axis=-1)
        return distance / (track.size * (1 + TOLERANCE_GROWTH * away))

    def _velocity(self, track: _Track, points: np.ndarray) -> np.ndarray:
        step = np.nanmean(points - track.points, axis=0) / (self._frame - track.frame)
        return (1 - NEW_SHARE) * track.velocity + NEW_SHARE * step

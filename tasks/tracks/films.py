"""Who is who over the photos that one camera took in turn, with their cuts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.body.skeleton import BODY_AND_FEET
from tasks.tracks.association import Tracker
from tasks.tracks.cuts import Look, is_cut
from tasks.tracks.pieces import NOBODY
from tasks.tracks.settings import TrackConfig


class FilmTracks:
    """Follows the people of one film; takes its frames in turn, those without people too."""

    def __init__(self, config: TrackConfig) -> None:
        self._look: Look | None = None
        self._tracker = Tracker(config)

    def add(self, look: Look | None, boxes_xyxy: np.ndarray, points_px: np.ndarray | None = None) -> np.ndarray:
        """The tracks (P,) of the people of the next frame, numbers from 0.

        Args:
            look: Of the frame; None where it could not be read.
            boxes_xyxy: (P, 4) px.
            points_px: (P, K, 2) of ``body_points``; None has boxes alone.
        """
        if look is not None:
            if self._look is not None and is_cut(self._look, look):
                self._tracker.cut()
            self._look = look
        return self._tracker.add(boxes_xyxy, points_px)

    def skip(self, frames: int) -> None:
        """Lets frames pass that nobody has looked at; less than one is none."""
        self._tracker.skip(frames)


def body_points(keypoints: np.ndarray, sigma_px: np.ndarray) -> np.ndarray:
    """Body and feet (P, K, 2) px by which people are followed, NaN where not seen, of keypoints (P, 133, 2+)."""
    points = np.array(keypoints[:, BODY_AND_FEET, :2], np.float64)
    points[~np.isfinite(sigma_px[:, BODY_AND_FEET])] = np.nan
    return points


@dataclass(frozen=True, kw_only=True, slots=True)
class FilmedPhoto:
    """A photo of a data set, and its P people."""

    film: tuple[str, str | None] | None
    """Group and camera; None of a photo that is in no group."""
    frame: int
    """Number of the moment."""
    look: Look | None
    """None where it could not be read."""
    boxes_xyxy: np.ndarray
    """(P, 4) px, NaN of people who cannot be followed."""
    points_px: np.ndarray
    """(P, K, 2) of ``body_points``, NaN where not seen."""
    known: np.ndarray
    """(P,) track that the data set states; ``NOBODY`` where it does not."""


def follow(photos: Sequence[FilmedPhoto], config: TrackConfig) -> list[np.ndarray]:
    """Tracks (P,) of the people of each photo, by camera; ``NOBODY`` of those who cannot be followed.

    Where the data set knows them they are its own; others have numbers beyond.
    """
    films: dict[tuple[str, str | None], list[int]] = {}
    for place in sorted(range(len(photos)), key=lambda place: photos[place].frame):
        film = photos[place].film
        if film is not None:
            films.setdefault(film, []).append(place)
    tracks = [photo.known.copy() for photo in photos]
    for places in films.values():
        frames = np.array([photos[place].frame for place in places])
        steps = np.diff(frames, prepend=frames[0])
        usual = np.percentile(steps[1:], 50, method="lower") if len(frames) > 1 else 1
        missing = np.rint(steps / max(usual, 1)).astype(int) - 1
        film, first = FilmTracks(config), 1 + max(int(photos[place].known.max(initial=NOBODY)) for place in places)
        for place, num_missing in zip(places, missing.tolist(), strict=True):
            photo = photos[place]
            own = (photo.known == NOBODY) & np.isfinite(photo.boxes_xyxy).all(1)
            film.skip(num_missing)
            tracks[place][own] = first + film.add(photo.look, photo.boxes_xyxy[own], photo.points_px[own])
    return tracks

"""People of a group as its cameras follow them, and the pieces of their tracks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fitting.inputs import Observations
from fitting.rigs.inputs import Rig
from model.imaging.camera import Camera

NOBODY = -1
"""Track of people who have none."""
_MAX_AWAY = 2
"""Moments that somebody may be away within a piece."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tracked:
    """P people in the photos of one group."""

    track: np.ndarray
    """(P,) int number within the camera; ``NOBODY`` for people who have none."""
    camera: np.ndarray
    """(P,) int number of the camera."""
    frame: np.ndarray
    """(P,) int number of the moment."""
    known: np.ndarray
    """(P,) bool: the track is the data set's, the same number the same person in every camera."""
    observations: Observations
    """Their keypoints."""
    pinholes: Camera
    """Of the photo of each."""
    world_to_camera: np.ndarray
    """(P, 3, 4) rotation and translation (metres), NaN where not known."""

    @property
    def rig(self) -> Rig:
        """Where the camera of each row stood; moments are those of the group, times do not count."""
        placed = torch.as_tensor(self.world_to_camera, dtype=torch.float64)
        return Rig(
            rotation=placed[..., :3],
            translation_m=placed[..., 3],
            moment=torch.from_numpy(self.frame.astype(np.int64)),
            time_s=torch.zeros(len(placed)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Rows of one camera's track that follow each other."""

    rows: np.ndarray
    """(N,) in the order of the moments."""
    frames: np.ndarray
    """(N,) their moments, rising."""

    def cut(self, frame: int) -> list[Piece]:
        """Before a moment, and from it on."""
        at = int(np.searchsorted(self.frames, frame))
        parts = [Piece(self.rows[own], self.frames[own]) for own in (slice(0, at), slice(at, None))]
        return [part for part in parts if len(part.rows)]

    def common(self, other: Piece) -> np.ndarray:
        """Rows (N, 2) of the two at the moments that they have in common."""
        _, own, others = np.intersect1d(self.frames, other.frames, return_indices=True)
        return np.stack([self.rows[own], other.rows[others]], 1)


def pieces_of(people: Tracked) -> list[Piece]:
    """Tracks of each camera, cut where somebody was away."""
    moments = np.unique(people.frame)
    step = float(np.median(np.diff(moments))) if len(moments) > 1 else 1.0
    rows = np.flatnonzero(people.track >= 0)
    order = rows[np.lexsort([people.frame[rows], people.track[rows], people.known[rows], people.camera[rows]])]
    frames = people.frame[order]
    is_other = np.any([np.diff(own[order]) != 0 for own in (people.camera, people.known, people.track)], axis=0)
    starts = np.flatnonzero(is_other | (np.diff(frames) > (_MAX_AWAY + 1.5) * step)) + 1
    parts = zip(np.split(order, starts), np.split(frames, starts), strict=True)
    return [Piece(own, when) for own, when in parts if len(own)]

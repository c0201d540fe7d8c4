"""Who is who in the groups of a shard, over all cameras."""

from __future__ import annotations

import numpy as np
import torch

from fitting.rigs.settings import RigConfig
from fitting.sparse_body import SparseBody
from model.batches import take_rows
from tasks.annotate.groups.places import Places
from tasks.annotate.groups.together import Given
from tasks.tracks.views import NOBODY, Tracked, group_tracks


def group_wide(
    body: SparseBody, given: Given, places: Places, tracks: np.ndarray, known: np.ndarray, config: RigConfig
) -> tuple[np.ndarray, list[str | None]]:
    """Tracks (N,) of people in all cameras of their group, and why one is in no other's.

    Args:
        body: The body.
        given: Keypoints, estimates and cameras of N rows.
        places: Where they are.
        tracks: (N,) who it is, within the camera.
        known: (N,) bool: the data set says so, and for all cameras.
        config: How far stated cameras are trusted.
    """
    found = tracks.copy()
    apart: list[str | None] = [None] * len(tracks)
    observations, _, camera = given
    for group in np.unique(places.group):
        rows = np.flatnonzero((places.group == group) & (tracks != NOBODY))
        if len(np.unique(places.camera[rows])) < 2:
            continue
        seen, pinholes = take_rows((observations, camera), torch.from_numpy(rows))
        people = Tracked(
            track=tracks[rows],
            camera=places.camera[rows],
            frame=places.frame[rows],
            known=known[rows],
            observations=seen,
            pinholes=pinholes,
            world_to_camera=places.world_to_camera[rows],
        )
        result = group_tracks(body, people, config)
        found[rows] = result.track
        for row, reason in zip(rows, result.reasons, strict=True):
            apart[row] = reason
    return found, apart

"""Whether people whom two cameras see at the same moments are one person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fitting.keypoint_term import precision_of
from fitting.rigs.agreement import about_views
from fitting.rigs.consensus import Consensus, consensus
from fitting.rigs.inputs import Views
from fitting.rigs.joint import seen_by
from fitting.rigs.settings import RigConfig
from fitting.sparse_body import SparseBody
from model.batches import take_rows
from tasks.tracks.pieces import Tracked

_AGREEING_SHARE = 0.75
_LEAST_SIDE = 2
"""Moments before and after a change."""
_CLEAR_CHANGE = 1.2
"""Of the mean score, of 2."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What two pieces of tracks say of each other at N moments at which they can be compared."""

    frames: np.ndarray
    """(N,) rising."""
    score: np.ndarray
    """(N,) -1 where they do not agree, or one of them agrees better with another; else what is left of the distance
    that is allowed, 0..1."""
    num_bodies: int
    """Moments at which both see the same points of a body, be it of whatever size."""

    @property
    def share(self) -> float:
        """Of the moments that agree; NaN without any."""
        return float((self.score >= 0).mean()) if len(self.score) else np.nan

    def is_one(self, enough: int) -> bool:
        """Whether they are one person, from so many moments that agree on."""
        return int((self.score >= 0).sum()) >= enough and self.share >= _AGREEING_SHARE

    def contrast(self, frame: int) -> float:
        """By how much the mean score before a moment differs from that after, 0..2; 0 where too few are on a side."""
        before = self.frames < frame
        if min(before.sum(), (~before).sum()) < _LEAST_SIDE:
            return 0.0
        return abs(float(self.score[before].mean() - self.score[~before].mean()))

    def change(self) -> int | None:
        """The moment with the most contrast, if there is a clear one."""
        by = [self.contrast(frame) for frame in self.frames]
        return int(self.frames[np.argmax(by)]) if by and max(by) >= _CLEAR_CHANGE else None


class Comparison:
    """Compares people of one group."""

    def __init__(self, body: SparseBody, people: Tracked, config: RigConfig) -> None:
        self._body, self._config, self._rig = body, config, people.rig
        self._camera, self._frame = people.camera, people.frame
        observed = people.observations
        keypoints = observed.keypoints_px.to(body.dtype)
        precision = precision_of(observed.sigma_px.to(body.dtype), keypoints)
        self._seen = people.pinholes.to(body.dtype), torch.where((precision > 0)[..., None], keypoints, 0.0), precision

    def verdicts(self, moments: Sequence[np.ndarray]) -> list[Verdict]:
        """What pairs of pieces say of each other at some moments, rows (N, 2) each, and all pairs together."""
        if not moments:
            return []
        rows = np.concatenate(moments)
        said = self._look(rows)
        off = said.off.amax(1).numpy()
        # Along nearly one line two views say nothing, not that they show two people.
        can_tell = ~np.isnan(off) & (said.parallax_rad.numpy() >= np.radians(self._config.min_parallax_deg))
        score = self._exclusive(rows, np.where(said.agrees.all(1).numpy(), 1 - off, -1.0))
        values = self._frame[rows[:, 0]], score, said.found.numpy(), can_tell
        ends = np.cumsum([len(own) for own in moments])[:-1]
        split = zip(*(np.split(value, ends) for value in values), strict=True)
        return [Verdict(when[tell], own[tell], int(found[tell].sum())) for when, own, found, tell in split]

    def _exclusive(self, rows: np.ndarray, score: np.ndarray) -> np.ndarray:
        """Scores (K,) of two people each (K, 2) with -1 where one of them has a better one in that camera."""
        kept = np.ones(len(rows), bool)
        for own, other in ((0, 1), (1, 0)):
            key = np.stack([rows[:, own], self._camera[rows[:, other]]], 1)
            number = np.unique(key, axis=0, return_inverse=True)[1].reshape(-1)
            best = np.full(number.max(initial=-1) + 1, -np.inf)
            np.maximum.at(best, number, score)
            kept &= score >= best[number]
        return np.where(kept, score, -1.0)

    def about(self, rows: np.ndarray) -> str | None:
        """Why two people each (N, 2) are not one at one of these moments; None where they are at all."""
        said = self._look(rows)
        apart = np.flatnonzero(~said.agrees.all(1).numpy())
        both = torch.ones(len(rows), 2, dtype=torch.bool)
        return about_views(said, both, int(apart[0]), 0, self._config) if len(apart) else None

    def _look(self, rows: np.ndarray) -> Consensus:
        """What two people each (K, 2) say of each other."""
        flat = torch.from_numpy(rows.reshape(-1))
        (camera, keypoints, precision), rig = take_rows((self._seen, self._rig), flat)
        moment = torch.arange(len(rows))
        views = Views(row=torch.arange(len(flat)).view(-1, 2), present=torch.ones(len(rows), 2, dtype=torch.bool))
        with torch.inference_mode():
            seen = seen_by(camera, keypoints, precision, rig, views, views.present, torch.zeros_like(moment))
            return consensus(self._body, seen, views.present, self._config)

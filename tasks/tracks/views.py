"""The same person over the cameras of a group: which tracks of different cameras show one person.

Two tracks are compared at a few moments: where do the two views put the body's points, does each see them there, and
are they a person's (`fitting.rigs.consensus`). Tracks are cut into pieces where somebody was away, and where what they
agree with changes: there one track may go on with somebody else. Pieces are joined by what is seen first, those that
fit best before the others, then by what the tracker of each camera says. Where two pieces were seen to be two people,
or would put somebody in two places of one photo, nothing is joined: a person in two halves costs less than two in one.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch

from fitting.rigs.agreement import about_rotation
from fitting.rigs.settings import RigConfig
from fitting.sparse_body import SparseBody
from tasks.tracks.comparison import Comparison, Verdict
from tasks.tracks.joining import joined
from tasks.tracks.pieces import NOBODY, Piece, Tracked, pieces_of

_MOMENTS = 10
"""At which two pieces are compared."""
_GOLDEN = (5**0.5 - 1) / 2
_ENOUGH_MOMENTS = 3
"""Of these that agree, so that two pieces are joined; where the group has so many."""
_ROUNDS = 3
"""Of cutting."""
_Pair: TypeAlias = tuple[Piece, Piece]


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupTracks:
    """Who each of P people is, whichever camera took them."""

    track: np.ndarray
    """(P,) int: those of the data set are kept, others count from 0 in the order in which people appear; ``NOBODY``."""
    reasons: tuple[str | None, ...]
    """Why a person is one with nobody whom another camera saw meanwhile; None where they are, or no other saw any."""


def group_tracks(body: SparseBody, people: Tracked, config: RigConfig | None = None) -> GroupTracks:
    """Numbers the people of a group, from the tracks that they have in each camera.

    Args:
        body: The body, for the lengths of limbs.
        people: Everybody whom a camera sees at a moment, in any order.
        config: How far the cameras are trusted.
    """
    group = _Group(body, people, config or RigConfig())
    for _ in range(_ROUNDS):
        group.compare()
        if not group.cut():
            break
    else:
        group.compare()
    label = group.joined()
    return GroupTracks(track=group.numbers(label), reasons=group.reasons(label))


class _Group:
    """The pieces of a group, and what they say of each other."""

    def __init__(self, body: SparseBody, people: Tracked, config: RigConfig) -> None:
        self._people, self._comparison = people, Comparison(body, people, config)
        self._verdicts: dict[_Pair, Verdict] = {}
        self._moments = np.unique(people.frame)
        self._enough = min(_ENOUGH_MOMENTS, len(self._moments))
        self._set(pieces_of(people))

    def _set(self, pieces: list[Piece]) -> None:
        people, first = self._people, np.array([piece.rows[0] for piece in pieces], int)
        self._pieces, self._first = pieces, first
        self._camera = people.camera[first]
        self._placed = people.rig.has_rotation.numpy()[first]
        self._known = np.where(people.known[first], people.track[first], NOBODY)
        start, stop = (np.array([piece.frames[at] for piece in pieces], int) for at in (0, -1))
        self._start, self._meet = start, (start[:, None] <= stop) & (start <= stop[:, None])

    def compare(self) -> None:
        """Compares the pieces."""
        pairs = self._candidates()
        verdicts = self._comparison.verdicts([self._some(*pair) for pair in pairs])
        self._verdicts = dict(zip(pairs, verdicts, strict=True))

    def _some(self, one: Piece, other: Piece) -> np.ndarray:
        """Rows (N, 2) of two pieces at some of the moments that they have in common, the same as of other pairs."""
        rows = one.common(other)
        rank = np.searchsorted(self._moments, self._people.frame[rows[:, 0]])
        # Parts of the golden section lie evenly, whichever share of them is taken.
        return rows[np.sort(np.argsort(rank * _GOLDEN % 1)[:_MOMENTS])]

    def _candidates(self) -> list[_Pair]:
        """Pieces of two cameras that were there at one time and of which the data set does not know who they are."""
        able = self._meet & (self._camera[:, None] < self._camera) & (self._placed[:, None] & self._placed)
        able &= (self._known[:, None] < 0) | (self._known < 0)
        return [(self._pieces[a], self._pieces[b]) for a, b in np.argwhere(able).tolist()]

    def cut(self) -> bool:
        """Cuts pieces that go on as somebody else; whether there were any.

        Of two pieces that agree for a part of the time either may; not one that agrees with a third throughout.
        """
        changes = {pair: verdict.change() for pair, verdict in self._verdicts.items()}
        steady: dict[Piece, list[Verdict]] = {}
        for pair, verdict in self._verdicts.items():
            if verdict.is_one(self._enough) and changes[pair] is None:
                for piece in pair:
                    steady.setdefault(piece, []).append(verdict)
        asked: dict[_Pair, np.ndarray] = {}
        doubted: dict[Piece, list[_Pair]] = {}
        for pair, change in changes.items():
            if change is None:
                continue
            frames = self._verdicts[pair].frames
            last = int(frames[frames < change][-1])
            others = [
                piece
                for piece in pair
                if not any(own.frames[0] <= last and change <= own.frames[-1] for own in steady.get(piece, ()))
            ]
            if others:
                rows = pair[0].common(pair[1])
                when = self._people.frame[rows[:, 0]]
                # With the moments by which the change was seen, so that it is found among those between.
                asked[pair] = rows[np.isin(when, frames) | ((last < when) & (when < change))]
            for piece in others:
                doubted.setdefault(piece, []).append(pair)
        exact = dict(zip(asked, self._comparison.verdicts(list(asked.values())), strict=True))

        def cut(piece: Piece) -> list[Piece]:
            own = [exact[pair] for pair in doubted.get(piece, ())]
            frames = np.unique(np.concatenate([piece.frames[:0], *(verdict.frames for verdict in own)]))
            contrast = [sum(verdict.contrast(frame) for verdict in own) for frame in frames]
            return piece.cut(int(frames[np.argmax(contrast)])) if own else [piece]

        self._set([part for piece in self._pieces for part in cut(piece)])
        return bool(doubted)

    def joined(self) -> np.ndarray:
        """Who each piece is (N,)."""
        place, count = {piece: at for at, piece in enumerate(self._pieces)}, len(self._pieces)
        score, is_one, apart = np.zeros((count, count)), *np.zeros((2, count, count), bool)
        for (one, other), verdict in self._verdicts.items():
            for at in ((place[one], place[other]), (place[other], place[one])):
                score[at], is_one[at] = verdict.score.sum(), verdict.is_one(self._enough)
                apart[at] = verdict.share < 0.5
        known = self._known
        same_camera, unknown = self._camera[:, None] == self._camera, (known[:, None] < 0) | (known < 0)
        apart = np.where(unknown, apart | (same_camera & self._meet), known[:, None] != known)
        label = np.where(known >= 0, known, known.max(initial=0) + 1 + np.arange(count))
        label = joined(label, score, is_one, apart)
        track = self._people.track[self._first]
        votes = np.where(track[:, None] == track, 1.0, -1.0) * (same_camera & (known[:, None] < 0) & (known < 0))
        return joined(label, votes, votes > 0, apart)

    def numbers(self, label: np.ndarray) -> np.ndarray:
        """Tracks (P,) of all people, from who each piece is (N,)."""
        track, taken = np.full(len(self._people.track), NOBODY), set(self._known.tolist())
        free = (number for number in itertools.count() if number not in taken)
        number = {int(own): int(own) for own in self._known[self._known >= 0]}
        for place in np.lexsort([self._first, self._start]):
            own = int(label[place])
            if own not in number:
                number[own] = next(free)
            track[self._pieces[place].rows] = number[own]
        return track

    def reasons(self, label: np.ndarray) -> tuple[str | None, ...]:
        """Why people (P,) are one with nobody of another camera, from who each piece is (N,)."""
        reasons: list[str | None] = [None] * len(self._people.track)
        for place, piece in enumerate(self._pieces):
            others = self._meet[place] & (self._camera != self._camera[place])
            is_alone = len(np.unique(self._camera[label == label[place]])) == 1
            if is_alone and self._known[place] < 0 and others.any():
                said = self._about(piece, place, others)
                for row in piece.rows.tolist():
                    reasons[row] = said
        return tuple(reasons)

    def _about(self, piece: Piece, place: int, others: np.ndarray) -> str:
        """Why a piece is none with any of the others (N,) that were there meanwhile."""
        if not self._placed[place]:
            rotation = self._people.world_to_camera[self._first[place], :, :3]
            is_stated = not np.isnan(rotation).all()
            return about_rotation(torch.from_numpy(rotation)) if is_stated else "where its camera stood is not known"
        pairs = [pair for pair in self._verdicts if piece in pair]
        if not pairs:
            return "where the other cameras stood is not known"
        pair = max(pairs, key=lambda pair: (self._verdicts[pair].num_bodies, self._verdicts[pair].score.sum()))
        rows = self._some(*pair)
        said = self._comparison.about(rows) if len(rows) else None
        return f"joined with nobody whom another camera saw: {said or 'too rarely seen together, or others fit better'}"

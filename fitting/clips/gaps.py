"""Frames of a clip, or hands, that nothing shows: bridged from the frames that do, and beliefs about them let go.

What is believed of a frame without keypoints is about a body of its own, neutral or as some estimate has it; it would
pull the clip there.

Legend: F frames, P unknowns.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fitting import so3
from fitting.clips.settings import ClipConfig
from fitting.priors import Gaussian, merge_gaussians
from fitting.problem import Problem
from fitting.unknowns import POSITION, State
from model.batches import choose_rows, take_rows
from model.body import skeleton

_DEG = math.pi / 180
_TURNING = ("global_orient", "body_pose", "jaw_pose", "eye_pose")
_STRAIGHT = ("hand_pca", "coefficients", "log_head_scale", "position", "eyelids")
_FREE_SHARE = 1e-2
"""What is left of the precision of a place of which nothing is believed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What the frames of a clip show."""

    body: Tensor
    """(F,) bool."""
    hands: Tensor
    """(F, 2) bool: enough keypoints, or an estimate."""

    @classmethod
    def of(cls, problem: Problem, fitted: Tensor) -> "Seen":
        """Of frames whose own fit, where there is one (F,), counts."""
        people, least = problem.people, problem.config.min_hand_points
        points = torch.stack([(people.precision[:, hand] > 0).sum(1) for hand in skeleton.HANDS], 1)
        hands = (points >= least) | people.coarse.hand_valid
        return cls(body=fitted, hands=hands & fitted[:, None])


def bridged(state: State, known: Tensor, time_s: Tensor) -> State:
    """The state (F) with frames that are not known (F,) between the nearest that are; all as they are if none is.

    Before the first and after the last known frame nothing moves.
    """
    if bool(known.all()) or not bool(known.any()):
        return state
    place = torch.arange(len(known), device=known.device)
    before = torch.where(known, place, -1).cummax(0).values
    after = torch.where(known, place, len(known)).flip(0).cummin(0).values.flip(0)
    before, after = torch.where(before < 0, after, before), torch.where(after >= len(known), before, after)
    span = (time_s[after] - time_s[before]).clamp(min=1e-9)
    share = ((time_s - time_s[before]) / span).to(state.dtype)
    low, high = take_rows(state, before), take_rows(state, after)

    return choose_rows(known, state, between(low, high, share))


def between(low: State, high: State, share: Tensor) -> State:
    """States part of the way (F,) from one to another (F): rotations go the shortest way, all else straight."""
    moved = {}
    for name in _STRAIGHT:
        start = getattr(low, name)
        moved[name] = start + share.view(-1, *[1] * (start.dim() - 1)) * (getattr(high, name) - start)
    for name in _TURNING:
        start = getattr(low, name)
        turn = so3.log(start.transpose(-1, -2) @ getattr(high, name))
        moved[name] = start @ so3.exp(turn * share.view(-1, *[1] * (turn.dim() - 1)))
    return replace(low, **moved)


def with_gaps_bridged(
    problem: Problem, state: State, seen: Seen, time_s: Tensor, config: ClipConfig
) -> tuple[Problem, State]:
    """Frames and hands that are not seen bridged, and believed to be about there."""
    people = problem.people
    state = bridged(state, seen.body, time_s)
    hands = state.hand_pca.clone()
    for side in range(2):
        hands[:, side] = bridged(state, seen.hands[:, side], time_s).hand_pca[:, side]
    state = replace(state, hand_pca=hands)
    state = replace(state, contour_bin=problem.model.contour_bin(state))
    start = choose_rows(seen.body, people.start, state)
    start = replace(start, hand_pca=torch.where(seen.hands[..., None], start.hand_pca, hands))
    coarse = replace(
        people.coarse,
        body_valid=people.coarse.body_valid & seen.body,
        face_valid=people.coarse.face_valid & seen.body,
        hand_valid=people.coarse.hand_valid & seen.hands,
    )
    sigma = torch.where(seen.body[:, None], people.pose_sigma_rad, config.bridge_sigma_deg * _DEG)
    people = replace(people, start=start, coarse=coarse, pose_sigma_rad=sigma)
    return replace(problem, people=people), state


def loosened(problem: Problem, prior: Gaussian, seen: Seen, config: ClipConfig) -> Gaussian:
    """A prior (F, P) with what it says of places and hands that are not seen let go."""
    layout, spread = problem.model.layout, problem.model.hand_spread
    mean, precision = prior.mean.clone(), prior.precision.clone()
    precision[:, POSITION] *= torch.where(seen.body, 1.0, _FREE_SHARE)[:, None]
    near = 1 / (config.bridge_sigma_deg * _DEG) ** 2
    for side in range(2):
        own = layout.hand(side)
        start = problem.people.start.hand_pca[:, side, : layout.num_hand]
        usual = (1 / spread[side, : layout.num_hand].square()).expand_as(start)
        believed = merge_gaussians(
            [
                Gaussian(mean=start, precision=torch.full_like(start, near)),
                Gaussian(mean=torch.zeros_like(start), precision=usual),
            ]
        )
        is_seen = seen.hands[:, side, None]
        mean[:, own] = torch.where(is_seen, mean[:, own], believed.mean)
        precision[:, own] = torch.where(is_seen, precision[:, own], believed.precision)
    return Gaussian(mean=mean, precision=precision)

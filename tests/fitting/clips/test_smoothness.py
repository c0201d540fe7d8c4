"""How smooth a clip is found to be, and which of its frames jump."""

import pytest
import torch

from benchmarks.clip_people import draw_motion
from fitting.clips.gaps import Seen
from fitting.clips.jumps import jumping
from fitting.clips.motion import ToWorld
from fitting.clips.settings import ClipConfig
from fitting.clips.smoothness import Smoothness
from fitting.so3 import exp
from fitting.sparse_body import SparseBody
from model.batches import map_tensors

FRAMES = 60
SEEN = Seen(body=torch.ones(FRAMES, dtype=torch.bool), hands=torch.ones(FRAMES, 2, dtype=torch.bool))
LEFT_HIP = 0
"""Of the joints of the body."""


@pytest.fixture
def smoothness(open_body: SparseBody) -> Smoothness:
    return Smoothness(open_body, ClipConfig(), in_metres=True)


def drawn(smoothness: Smoothness, level: float) -> torch.Tensor:
    """Second differences of so many times what is usual."""
    noise = torch.randn(FRAMES - 2, len(smoothness.usual), generator=torch.Generator().manual_seed(0))
    return noise.to(smoothness.usual) * smoothness.usual * level


def sigma(smoothness: Smoothness, residual: torch.Tensor, seen: Seen = SEEN) -> torch.Tensor:
    """Standard deviations found, over what is usual and allowed."""
    allowed = smoothness.usual * smoothness.slack[smoothness.group]
    return smoothness.weight(residual, seen).rsqrt() / allowed


def test_smoothness_is_that_of_the_clip(smoothness: Smoothness) -> None:
    sought = smoothness.group < smoothness.group.max()
    for level in (0.5, 1.0, 8.0):
        found = sigma(smoothness, drawn(smoothness, level))[sought]
        assert ((found / level - 1).abs() < 0.2).all()


def test_a_tenth_of_the_frames_does_not_make_a_clip_lively(smoothness: Smoothness) -> None:
    """A plain root mean square would be 316."""
    residual = drawn(smoothness, 1.0)
    residual[::10] *= 1e3
    of_body = (smoothness.group < smoothness.group.max()) & (
        smoothness.slack[smoothness.group] == ClipConfig().body_slack
    )
    assert (sigma(smoothness, residual)[of_body] < 2.5).all()


def test_what_is_not_seen_says_nothing(smoothness: Smoothness) -> None:
    hands = SEEN.hands.clone()
    hands[:, 0] = False
    found = sigma(smoothness, drawn(smoothness, 8.0), Seen(body=SEEN.body, hands=hands))
    left, right = (smoothness.group == group for group in smoothness.group.unique()[-3:-1])
    assert (found[left] * ClipConfig().hand_slack - 1).abs().max() < 1e-5
    assert (found[right] > 7).all()


def test_frames_that_jump_are_found_among_those_of_somebody_who_moves(open_body: SparseBody) -> None:
    state, _ = draw_motion(open_body, 1, FRAMES, seed=3, spacing=20)
    fitted = torch.ones(FRAMES, dtype=torch.bool)
    fitted[30:40] = False
    assert not jumping(open_body, state, fitted).any()
    odd = torch.tensor([7, 8, 20, 21, 22, 35, 41])
    state = map_tensors(state, torch.clone)
    state.body_pose[odd, LEFT_HIP] @= exp(torch.tensor([1.0, 0.0, 0.0]).to(state.body_pose))
    found = torch.nonzero(jumping(open_body, state, fitted)).flatten().tolist()
    assert found == [7, 8, 20, 21, 22, 41]  # nothing is said of a frame that does not count
    few = torch.arange(FRAMES) < 8
    assert not jumping(open_body, state, few).any()


def test_a_camera_that_turns_makes_nobody_jump(open_body: SparseBody) -> None:
    state, _ = draw_motion(open_body, 1, FRAMES, seed=3, spacing=20)
    about = torch.tensor([0.0, 2.5, 0.0]) * (torch.arange(FRAMES) % 2)[:, None]  # two cameras by turns
    turn = exp(about.to(state.body_pose))
    seen = map_tensors(state, torch.clone)
    seen.global_orient[:] = turn.mT @ state.global_orient
    world = ToWorld(turn=turn, shift_m=torch.zeros(FRAMES, 3).to(turn))
    assert not jumping(open_body, seen, SEEN.body, world).any()
    assert jumping(open_body, seen, SEEN.body).any()

"""The baselines that clips are compared with do what they are said to do."""

from dataclasses import replace

import pytest
import torch

from benchmarks.clip_people import draw_motion
from benchmarks.smoothing import filters, interpolated, smoothed
from fitting import so3
from fitting.sparse_body import SparseBody
from fitting.unknowns import State
from model.batches import take_rows
from model.body.assets import load_open_body

FRAMES = 30


@pytest.fixture(scope="module")
def open_body() -> SparseBody:
    return SparseBody.from_assets(load_open_body())


def steady(body: SparseBody) -> State:
    """Two people who turn and move at one speed each."""
    state = take_rows(draw_motion(body, 2, 1, seed=1)[0], torch.arange(2).repeat_interleave(FRAMES))
    time = torch.arange(FRAMES).repeat(2)[:, None] / FRAMES
    return replace(
        state,
        global_orient=state.global_orient @ so3.exp(time * torch.tensor([0.0, 1.0, 0.0])),
        hand_pca=state.hand_pca + 0.2 * time[..., None],
        position=state.position + 0.1 * time,
    )


@pytest.mark.parametrize("name", ["window of 9", "`--smooth`"])
def test_smoothing_takes_noise_away_and_leaves_steady_motion(open_body: SparseBody, name: str) -> None:
    true = steady(open_body)
    generator = torch.Generator().manual_seed(0)
    noise = so3.exp(0.1 * torch.randn(true.body_pose.shape[:-1], generator=generator))
    noisy = replace(true, body_pose=true.body_pose @ noise)
    found, still = (smoothed(open_body, state, filters(FRAMES, (9,))[name], FRAMES) for state in (noisy, true))
    error = so3.angle_between(found.body_pose, true.body_pose).mean()
    assert error < 0.6 * so3.angle_between(noisy.body_pose, true.body_pose).mean()
    for unknown, limit in (("global_orient", 1e-3), ("hand_pca", 1e-3), ("position", 1e-4)):
        assert (getattr(still, unknown) - getattr(true, unknown)).abs().max() < limit


def test_interpolation_fills_gaps_of_steady_motion(open_body: SparseBody) -> None:
    true = steady(open_body)
    seen = torch.ones(2 * FRAMES, dtype=torch.bool)
    seen[10:20] = seen[45:50] = False
    broken = replace(true, position=torch.where(seen[:, None], true.position, 5.0))
    assert (interpolated(broken, seen, FRAMES).position - true.position).abs().max() < 1e-5

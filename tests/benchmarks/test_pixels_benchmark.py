"""The benchmark of the refinement by pixels."""

import pytest
import torch

from benchmarks.pixel_people import Off, close_ups, make_trial, open_rest
from benchmarks.pixel_renderers import learn_renderer
from benchmarks.pixels import DRIFTING, LEARNT, SEED, arms, drift, measured
from fitting import so3
from fitting.pixel_settings import PixelConfig
from model.renderer.texture.renderer import TextureRenderer
from tasks.synthetic.pose import finger_axes

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def renderer() -> TextureRenderer:
    return learn_renderer(12, 4, spacing_m=0.02)


@pytest.mark.parametrize("name", ["hands", "hands in their true colours"])
def test_a_row_pairs_the_same_people_with_and_without_pixels(name: str, renderer: TextureRenderer):
    hands = next(arm for arm in arms(2) if arm.name == name)
    rows = measured(hands, renderer, PixelConfig(iterations=1), seed=5)
    assert [row["error"] for row in rows] == ["fingers deg", "hand PA mm", "in-plane mm"]
    for row in rows:
        assert row["count"] == 2
        assert abs(row["after"] - row["before"] - row["difference"]) < 1e-6
        assert 0 <= row["better"] <= 1


def test_fingers_off_along_hinges_bend_and_spread_and_do_not_twist():
    trial = make_trial(close_ups("left_hand", 1, seed=5), "left_hand", seed=5, off=Off(keypoints=0.03, hinge_deg=13.0))
    off = so3.log(trial.problem.people.coarse.hand_pose[0, 0]) - so3.log(trial.truth.left_hand_pose[0])
    bend, spread = (torch.from_numpy(axes).float() for axes in finger_axes(open_rest().joints_m, "left"))
    bent, spread_out, twisted = ((off * axis).sum(-1) for axis in (bend, spread, torch.cross(bend, spread, dim=-1)))
    assert 5 < bent.rad2deg().square().mean().sqrt() < 25
    assert (spread_out[::3].abs() > 1e-3).all()
    for held in (spread_out.view(5, 3)[:, 1:], twisted):
        assert held.abs().max() < 1e-4


@pytest.fixture(scope="module")
def drifts() -> dict[str, float]:
    rows = drift(DRIFTING, learn_renderer(LEARNT, 2), PixelConfig(), seed=SEED)
    return {row["error"]: row["after"] for row in rows}


def _open(error: str, most: float, found: float):
    return pytest.param(error, most, marks=pytest.mark.xfail(strict=True, reason=f"measured: {found:.3g}"), id=error)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("error", "most"),
    [
        _open("lips mm", 0.4, found=0.757),
        _open("jaw rad", 0.004, found=0.00833),
        _open("head scale %", 0.5, found=0.735),
        ("in-plane mm", 0.4),
    ],
)
def test_pixels_alone_hardly_move_a_true_face_of_true_colours(error: str, most: float, drifts: dict[str, float]):
    """Goals; those not met are open, with the mean that was measured."""
    assert drifts[error] <= most

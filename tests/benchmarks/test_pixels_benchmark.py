"""The benchmark of the refinement by pixels."""

import pytest

from benchmarks.pixel_renderers import learn_renderer
from benchmarks.pixels import DRIFTING, LEARNT, SEED, arms, drift, measured
from fitting.pixel_settings import PixelConfig


def test_a_row_pairs_the_same_people_with_and_without_pixels():
    hands = next(arm for arm in arms(2) if arm.framing == "left_hand")
    rows = measured(hands, learn_renderer(12, 4, spacing_m=0.02), PixelConfig(iterations=2), seed=5)
    assert [row["error"] for row in rows] == ["fingers deg", "hand PA mm", "in-plane mm"]
    for row in rows:
        assert row["count"] == 2
        assert abs(row["after"] - row["before"] - row["difference"]) < 1e-6
        assert 0 <= row["better"] <= 1


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

"""The benchmark of the refinement by pixels."""

from benchmarks.pixel_renderers import learn_renderer
from benchmarks.pixels import arms, measured
from fitting.pixel_settings import PixelConfig


def test_a_row_pairs_the_same_people_with_and_without_pixels():
    hands = next(arm for arm in arms(2) if arm.framing == "left_hand")
    rows = measured(hands, learn_renderer(12, 4, spacing_m=0.02), PixelConfig(iterations=2), seed=5)
    assert [row["error"] for row in rows] == ["fingers deg", "hand PA mm", "in-plane mm"]
    for row in rows:
        assert row["count"] == 2
        assert abs(row["after"] - row["before"] - row["difference"]) < 1e-6
        assert 0 <= row["better"] <= 1

"""What the benchmark of gaze measures."""

import pytest

from benchmarks.gaze import errors, faces

pytestmark = pytest.mark.long


@pytest.mark.filterwarnings("error")
def test_open_eyes_of_a_large_face_are_stated_and_those_of_a_small_one_are_not():
    people = list(faces(8, seed=0, supersample=1))
    large, small = (errors(people, scale) for scale in (1.0, 0.125))
    assert large["stated"] >= 0.5
    assert large["error"] < large["ahead"]
    assert small["stated"] == 0.0
    assert small["eye_px"] < 12.0
    assert "error" not in small

"""What the benchmark of people over several cameras counts, and its baseline on what is easy."""

import pytest

from benchmarks.joining_cases import by_rays, lost, score
from benchmarks.rig_crowd import make_crowd
from fitting.sparse_body import SparseBody
from model.body.assets import load_open_body


@pytest.fixture(scope="module")
def crowd():
    """Two people before two cameras for thirty moments."""
    return make_crowd(SparseBody.from_assets(load_open_body()), 2, 2, 30, seed=4)


def test_right_numbers_are_right_whatever_they_are(crowd):
    assert score(crowd.people, crowd.truth, 5 - crowd.truth) == {"wrong": 0, "missed": 0, "idf1": 1, "found": 2}


def test_numbers_of_each_camera_miss_everybody_and_one_number_for_all_is_half_wrong(crowd):
    own = crowd.truth + 2 * crowd.people.camera
    assert score(crowd.people, crowd.truth, own) == {"wrong": 0, "missed": 100, "idf1": 0.5, "found": 4}
    assert score(crowd.people, crowd.truth, 0 * own) == {"wrong": 50, "missed": 0, "idf1": 0.5, "found": 1}


@pytest.mark.parametrize("whole_tracks", [True, False])
def test_near_rays_are_enough_for_two_people_whose_tracks_are_right(crowd, whole_tracks):
    found = by_rays(crowd.people, whole_tracks=whole_tracks)
    assert score(crowd.people, crowd.truth, found)["idf1"] == 1


def test_who_is_lost_has_another_track_afterwards(crowd):
    people = lost(crowd, seed=1).people
    for camera, track in ((0, 0), (0, 1), (1, 0), (1, 1)):
        own = people.camera == camera
        before, after = (people.frame[own & (people.track == number)] for number in (track, track + 100))
        assert before.max() + 7 == after.min()

"""What the benchmark of tracks counts: changes of track, and whose detections are whose."""

import numpy as np
import pytest

from benchmarks.track_cases import NOBODY, Detections, score


def frame(*truth):
    count = len(truth)
    return Detections(boxes_xyxy=np.zeros((count, 4)), keypoints=np.zeros((count, 23, 2)), truth=np.array(truth, int))


FRAMES = [frame(0, 1), frame(1, 0), frame(0, 1), frame(1, 0)]


def scored(*tracks, frames=FRAMES):
    return score(frames, [np.array(own) for own in tracks])


def test_right_tracks_have_no_switch_whatever_their_numbers():
    assert scored([7, 3], [3, 7], [7, 3], [3, 7]) == {"switches": 0, "idf1": 1, "tracks": 2}


def test_two_people_who_are_swapped_half_way_are_half_right():
    assert scored([0, 1], [1, 0], [1, 0], [0, 1]) == {"switches": 2, "idf1": 0.5, "tracks": 2}


def test_somebody_new_in_every_frame_is_right_once():
    found = scored([0, 1], [2, 3], [4, 5], [6, 7])
    assert (found["switches"], found["tracks"]) == (6, 8)
    assert found["idf1"] == pytest.approx(2 * 2 / 16)


def test_who_is_not_there_counts_against_the_tracks_and_switches_nothing():
    frames = [frame(0, NOBODY), frame(NOBODY, 0)]
    assert scored([0, 1], [1, 0], frames=frames) == {"switches": 0, "idf1": pytest.approx(2 * 2 / 6), "tracks": 1}

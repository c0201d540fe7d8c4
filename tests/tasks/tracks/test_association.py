"""Laws of tracks: the order of detections and the direction of time do not matter, cuts and long absences end them."""

import numpy as np
import pytest

from tasks.tracks.association import Tracker
from tasks.tracks.settings import TrackConfig

NUM_POINTS = 5


def people(places):
    """Boxes and keypoints of people at some places (P, 2), one of their points unseen."""
    places = np.asarray(places, np.float64).reshape(-1, 2)
    figure = np.array([[0, 0], [10, 40], [-10, 80], [5, 120], [20, 20]], np.float64)
    points = places[:, None] + figure
    boxes = np.concatenate([points.min(1), points.max(1)], axis=1)
    points[:, 1] = np.nan
    return boxes, points


def follow(frames, config=None, cuts=()):
    """Tracks of the people of each frame."""
    tracker, tracks = Tracker(config), []
    for number, places in enumerate(frames):
        if number in cuts:
            tracker.cut()
        tracks.append(tracker.add(*people(places)).tolist())
    return tracks


def walks(seed, num_frames=40, num_people=4):
    """Places (F, P, 2) of people who walk past each other at some distance."""
    rng = np.random.default_rng(seed)
    start = np.stack([rng.uniform(0, 600, num_people), 90.0 * np.arange(num_people)], 1)
    speed = np.stack([rng.uniform(-8, 8, num_people), np.zeros(num_people)], 1)
    return start + speed * np.arange(num_frames)[:, None, None]


def groups(tracks):
    """Which (frame, person) are one track."""
    found = {}
    for frame, own in enumerate(tracks):
        for person, number in enumerate(own):
            found.setdefault(number, set()).add((frame, person))
    return sorted(map(sorted, found.values()))


@pytest.mark.parametrize("seed", range(5))
def test_people_who_pass_each_other_keep_their_tracks(seed):
    assert follow(walks(seed)) == [[0, 1, 2, 3]] * 40


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_detections_does_not_matter(seed):
    rng, frames = np.random.default_rng([seed, 1]), walks(seed) + np.random.default_rng(seed).normal(0, 4, (40, 4, 2))
    orders = [rng.permutation(4) for _ in frames]
    shuffled = follow([places[order] for places, order in zip(frames, orders, strict=True)])
    restored = [[own[place] for place in np.argsort(order)] for own, order in zip(shuffled, orders, strict=True)]
    assert groups(restored) == groups(follow(frames))


@pytest.mark.parametrize("seed", range(5))
def test_time_may_run_backwards(seed):
    frames = walks(seed) + np.random.default_rng(seed).normal(0, 4, (40, 4, 2))
    assert groups(follow(frames[::-1])[::-1]) == groups(follow(frames))


def test_a_cut_ends_every_track():
    tracks = follow(walks(0), cuts=[15])
    before, after = ({number for own in part for number in own} for part in (tracks[:15], tracks[15:]))
    assert len(before) == len(after) == 4
    assert not before & after


def test_frames_without_people_and_a_clip_of_one_frame():
    assert follow([[]]) == [[]]
    assert follow([[[5, 5], [300, 5]]]) == [[0, 1]]
    assert follow([[[5, 5]], [], [[6, 5]], []]) == [[0], [], [0], []]


@pytest.mark.parametrize(("away", "track"), [(3, 0), (4, 1)])
def test_who_is_away_for_longer_than_the_gap_is_somebody_new(away, track):
    frames = [[[50, 50]], *([[]] * away), [[50, 50]]]
    assert follow(frames, TrackConfig(max_gap=3))[-1] == [track]


def test_who_is_away_is_expected_where_they_were_heading():
    """Behind a wall two people swap sides; where they come out says who they are."""
    frames = [[[20 * frame, 0], [600 - 20 * frame, 5]] for frame in range(31)]
    hidden = [places if not 11 < number < 19 else [] for number, places in enumerate(frames)]
    assert follow(hidden)[-1] == [0, 1]


def test_who_is_too_far_from_where_they_are_expected_is_somebody_new():
    assert follow([[[0, 0]], [[40, 0]]])[-1] == [0]
    assert follow([[[0, 0]], [[140, 0]]])[-1] == [1]


def test_boxes_alone_are_enough():
    tracker = Tracker()
    assert [tracker.add(people(places)[0]).tolist() for places in walks(1)] == [[0, 1, 2, 3]] * 40


def test_numbers_are_never_given_twice():
    frames = [[[0, 0]], [[400, 0]], [[800, 0]], [[0, 400]]]
    assert follow(frames, TrackConfig(max_gap=0)) == [[0], [1], [2], [3]]

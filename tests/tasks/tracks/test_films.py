"""Tracks of the photos of groups: cameras apart, in the order of their moments, those of the data set kept."""

import cv2
import numpy as np
import pytest

from tasks.tracks.cuts import Look, look_of
from tasks.tracks.films import FilmedPhoto, follow
from tasks.tracks.pieces import NOBODY
from tasks.tracks.settings import TrackConfig

LOOKS = [
    look_of(cv2.resize(np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8), (96, 64)))
    for seed in range(2)
]
FIGURE = np.array([[0, 0], [10, 40], [-10, 80], [5, 120], [20, 20]], float)


def photo(frame, *left_px, film=("clip", None), look: Look | None = LOOKS[0], known=None):
    """A photo of people who stand beside each other; None is somebody who cannot be followed."""
    left = np.array([np.nan if x is None else x for x in left_px], float)
    points = np.stack([left, 0 * left], -1)[:, None] + FIGURE
    points[:, 2] = np.nan
    return FilmedPhoto(
        film=film,
        frame=frame,
        look=look,
        boxes_xyxy=np.stack([left - 10, 0 * left, left + 20, 120 + 0 * left], -1),
        points_px=points,
        known=np.full(len(left), NOBODY) if known is None else np.array(known),
    )


def tracks(*photos, **config):
    return [own.tolist() for own in follow(photos, TrackConfig(**config))]


def crossing(frames=range(24)):
    """Two people who pass each other, the order of the detections by place."""
    ways = [(20 * frame, 480 - 20 * frame) for frame in frames]
    return [photo(frame, *sorted(way)) for frame, way in zip(frames, ways, strict=True)]


def test_people_who_cross_keep_their_tracks():
    assert tracks(*crossing()) == [[0, 1]] * 13 + [[1, 0]] * 11


def test_photos_are_followed_by_their_moments_in_whatever_order_they_come():
    photos, order = crossing(), np.random.default_rng(0).permutation(24)
    found = tracks(*(photos[place] for place in order))
    assert [found[place] for place in np.argsort(order)] == tracks(*photos)


def test_a_cut_ends_the_tracks_also_where_frames_at_it_cannot_be_read():
    assert tracks(photo(0, 5), photo(1, look=None), photo(2, 5, look=LOOKS[1])) == [[0], [], [1]]
    assert tracks(photo(0, 5), photo(1, look=None), photo(2, 5)) == [[0], [], [0]]


def test_every_camera_of_every_group_counts_anew_and_photos_alone_not_at_all():
    films = [("clip", "left"), ("clip", "right"), ("other", "left"), None]
    found = tracks(*(photo(0, 5, 300, film=film) for film in films), photo(1, 5, film=films[1]))
    assert found == [[0, 1], [0, 1], [0, 1], [NOBODY, NOBODY], [0]]


def test_who_cannot_be_followed_has_no_track_and_is_in_nobodys_way():
    assert tracks(photo(0, None, 5), photo(1, 5, None), photo(2, None)) == [[NOBODY, 0], [0, NOBODY], [NOBODY]]


def test_tracks_of_the_data_set_are_kept_and_others_have_numbers_beyond():
    photos = [photo(0, 5, 300, known=[7, NOBODY]), photo(1, 5, 300, None, known=[NOBODY, NOBODY, 2])]
    assert tracks(*photos) == [[7, 8], [9, 8, 2]]


@pytest.mark.parametrize(("frames", "same"), [((0, 1, 2, 6), True), ((0, 1, 2, 7), False), ((0, 5, 10, 30), True)])
def test_frames_that_are_not_there_count_as_away_by_the_usual_step(frames, same):
    *_, last = tracks(*(photo(frame, 5) for frame in frames), max_gap=3)
    assert last == [0 if same else 1]


def test_a_clip_of_one_frame():
    assert tracks(photo(12, 5, 300)) == [[0, 1]]
    assert tracks() == []

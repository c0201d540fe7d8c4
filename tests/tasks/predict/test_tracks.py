"""Tracks of videos that come one after the other, with photos between them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from datasets_manifest.schema.error_codes import BoxSource
from tasks.predict.inputs import InputFrame, Source
from tasks.predict.people import FoundPeople, whole_image
from tasks.predict.tracks import VideoTracks
from tasks.tracks.settings import TrackConfig

SCENES = [
    cv2.resize(np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8), (96, 64)) for seed in range(2)
]


def source(name):
    return Source(path=Path(name), name=name, label=name)


def people(*left_px, usable=None):
    boxes = np.array([[x, 4, x + 20, 60] for x in left_px], float).reshape(-1, 4)
    count = len(boxes)
    return FoundPeople(
        boxes_xyxy=boxes,
        sources=(BoxSource.DETECTOR,) * count,
        scores=(0.5,) * count,
        doubts=(None,) * count,
        usable=np.ones(count, bool) if usable is None else np.array(usable),
    )


@pytest.fixture
def tracks():
    return VideoTracks(TrackConfig())


def frames(of, scenes):
    return [InputFrame(source=of, frame=n, time_s=n / 10, rgb=SCENES[scene]) for n, scene in enumerate(scenes)]


def test_people_keep_their_tracks_over_frames_and_the_next_video_begins_anew(tracks):
    first, second = source("a.mp4"), source("b.mp4")
    assert [tracks.add(frame, people(10 + frame.frame, 60)) for frame in frames(first, [0] * 4)] == [[0, 1]] * 4
    assert [tracks.add(frame, people(60)) for frame in frames(second, [0] * 2)] == [[0]] * 2


def test_a_cut_ends_the_tracks(tracks):
    found = [tracks.add(frame, people(10)) for frame in frames(source("a.mp4"), [0, 0, 1, 1])]
    assert found == [[0], [0], [1], [1]]


def test_nobody_in_a_photo_and_nobody_whose_box_is_unusable_has_a_track(tracks):
    (frame,) = frames(source("a.mp4"), [0])
    assert tracks.add(frame, people(10, 700, 60, usable=[True, False, True])) == [0, None, 1]
    photo = InputFrame(source=source("a.jpg"), rgb=SCENES[0])
    assert tracks.add(photo, people(10, 60)) == [None, None]


def test_a_whole_image_as_one_person_is_one_track(tracks):
    found = [tracks.add(frame, whole_image(frame.rgb)) for frame in frames(source("a.mp4"), [0] * 3)]
    assert found == [[0]] * 3

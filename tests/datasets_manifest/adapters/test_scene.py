"""Scenes of several cameras: every photo knows camera, moment and place, and what does not fit is refused at once."""

import math
import os

import numpy as np
import pytest
from inventories import inventory_of
from scenes import camera_entry, camera_file, look_at_middle, write_cameras, write_photo, write_scene_manifest
from video_files import write_video

from datasets_manifest.adapters.base import CalibratedLens
from datasets_manifest.adapters.moments import Taken, nearest_times, same_numbers
from datasets_manifest.manifest import load_manifest, open_adapter
from datasets_manifest.sources.frame_choice import FrameChoice

PHOTOS = {"images": "{scene}/{camera}/{frame}.jpg", "fps": 10}
VIDEOS = {"images": "{scene}/{camera}.mp4"}


def adapter_of(root, **layout):
    return open_adapter(load_manifest(write_scene_manifest(root, **layout)))


def places(inventory, scene="walk"):
    found = [record.place for record in inventory.records if record.place.group.partition("::")[0] == scene]
    return [(place.group, place.camera, place.frame, round(place.time_s, 6)) for place in found]


@pytest.fixture
def root(tmp_path):
    return tmp_path / "rig"


@pytest.fixture
def photos(root):
    """A scene of two cameras and three moments, of which one camera lacks the second; and a scene of one moment."""
    for name in ("left/001", "left/002", "left/003", "right/001", "right/003"):
        write_photo(root / f"walk/{name}.jpg")
    for camera in ("left", "right"):
        write_photo(root / f"jump/{camera}/7.jpg")
    for scene in ("walk", "jump"):
        write_cameras(root / scene / "cameras.yaml", camera_file())
    return root


@pytest.fixture
def videos(root):
    """A scene of two cameras of ten frames a second, the right one begins 0.3 s later."""
    cameras = {
        "left": camera_entry(-45.0, time_offset_s=0.0),
        "right": camera_entry(45.0, time_offset_s=0.31, lens="fisheye", coefficients=[0.1, 0.0, 0.0, 0.0]),
    }
    write_cameras(root / "walk/cameras.yaml", camera_file(synchronised=False, cameras=cameras))
    write_video(root / "walk/left.mp4", 10, "mp4v")
    write_video(root / "walk/right.mp4", 6, "mp4v")
    return root


def test_photos_of_one_number_are_views_of_a_moment(photos):
    (photos / "walk/notes.txt").write_text("no camera file")
    inventory = inventory_of(adapter_of(photos, **PHOTOS))
    assert places(inventory, "jump") == [("jump", "left", 7, 0.7), ("jump", "right", 7, 0.7)]
    assert places(inventory) == [
        ("walk", "left", 1, 0.1),
        ("walk", "left", 2, 0.2),
        ("walk", "left", 3, 0.3),
        ("walk", "right", 1, 0.1),
        ("walk", "right", 3, 0.3),
    ]
    assert [record.image_id for record in inventory.records] == [record.path for record in inventory.records]
    first, last = inventory.records[0], inventory.records[-1]
    assert last.path == "walk/right/003.jpg"
    np.testing.assert_allclose(last.place.world_to_camera, look_at_middle(45.0))
    assert (first.width, first.height, first.focal_px, first.principal_px) == (96, 64, 100.0, (48.0, 32.0))
    assert first.lens is None
    assert inventory.missing == ()
    assert inventory.notes == {
        "files that are not of the layout left out": 1,
        "moments": 4,
        "moments that not all cameras have": 1,
        "photos of no moment left out": 0,
    }


def test_frames_of_videos_are_matched_by_the_clock_of_the_scene(videos):
    inventory = inventory_of(adapter_of(videos, **VIDEOS))
    left = [("walk", "left", frame, frame / 10) for frame in range(10)]
    assert places(inventory) == [
        *left,
        *[("walk", "right", frame + 3, round(0.31 + frame / 10, 6)) for frame in range(6)],
    ]
    last = inventory.records[-1]
    assert last.path == "walk/right.mp4::000005"
    assert last.lens == CalibratedLens(model="fisheye", coefficients=(0.1, 0.0, 0.0, 0.0), focal_xy_px=(100.0, 100.0))
    few = inventory_of(adapter_of(videos, **VIDEOS, frames={"every": 4}))
    assert [record.path for record in few.records] == [
        *[f"walk/left.mp4::{number:06d}" for number in (0, 4, 8)],
        *[f"walk/right.mp4::{number:06d}" for number in (1, 5)],
    ]


def test_cameras_of_other_rates_have_the_moments_of_the_fastest():
    def taken(times):
        return Taken(numbers=np.arange(len(times)), times_s=np.array(times))

    fast, slow = np.arange(12) / 60, 0.004 + np.arange(6) / 30
    late = np.array([-0.2, 0.001, 0.002, 0.05, 0.3])
    moments = nearest_times({"slow": taken(slow), "fast": taken(fast), "late": taken(late)})
    assert moments.of["fast"] == {number: number for number in range(12)}
    assert moments.of["slow"] == {number: 2 * number for number in range(6)}
    assert moments.of["late"] == {1: 0, 3: 3}  # Of two that are near the nearest, of those before and after none.
    one = nearest_times({"a": taken([0.0]), "b": taken([0.2])})
    assert one.of == {"a": {0: 0}, "b": {0: 0}}


def test_moments_are_chosen_by_their_times_from_the_first():
    for first_s in (-0.5, 0.0, 7.3):
        taken = Taken(numbers=np.arange(5, 15), times_s=first_s + np.arange(10) / 10)
        assert same_numbers({"left": taken}).chosen(FrameChoice(fps=4)) == {5, 8, 10, 13}
        assert same_numbers({"left": taken}).chosen(FrameChoice(every=4)) == {5, 9, 13}


def test_a_long_scene_is_cut_at_the_same_moments_whichever_are_chosen(root):
    for number in range(100, 111):
        for camera in ("left", "right"):
            write_photo(root / f"walk/{camera}/{number}.jpg")
    write_cameras(root / "cameras.yaml", camera_file())
    layout = {**PHOTOS, "cameras": "cameras.yaml", "group_frames": 4}
    every = places(inventory_of(adapter_of(root, **layout)))
    assert [group[-3:] for group, *_ in every] == ["100"] * 8 + ["104"] * 8 + ["108"] * 6
    assert [frame for group, camera, frame, _ in every if group == "walk::000104"] == [104, 105, 106, 107] * 2
    few = places(inventory_of(adapter_of(root, **layout, frames={"every": 3})))
    assert set(few) < set(every)
    assert len(few) == 8


def test_a_pattern_without_scenes_is_one(root):
    for camera in ("left", "right"):
        write_photo(root / f"images/{camera}/frame_1.png")
    write_cameras(root / "cameras.yaml", camera_file())
    inventory = inventory_of(adapter_of(root, images="images/{camera}/frame_{frame}.png", cameras="cameras.yaml"))
    assert places(inventory, "scene") == [("scene", "left", 1, 1.0), ("scene", "right", 1, 1.0)]


def test_cut_and_unreadable_videos_keep_their_reasons(videos):
    whole = write_video(videos / "whole.mkv", 10, "mp4v").read_bytes()
    (videos / "walk/left.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    (videos / "walk/right.mp4").write_bytes(b"no video")
    inventory = inventory_of(adapter_of(videos, **VIDEOS))
    assert [(missing.path, str(missing.code)) for missing in inventory.missing] == [
        ("walk/left.mp4", "video_truncated"),
        ("walk/right.mp4", "video_unreadable"),
    ]
    assert [camera for _, camera, *_ in places(inventory)] == ["left"] * 10 + ["right"]


def test_cameras_that_do_not_count_need_no_calibration(photos):
    write_photo(photos / "walk/phone/001.jpg")
    with pytest.raises(
        ValueError,
        match=r"^Scenes in .*/rig: the camera phone of walk is not in walk/cameras\.yaml, which has left, right",
    ):
        inventory_of(adapter_of(photos, **PHOTOS))
    inventory = inventory_of(adapter_of(photos, **PHOTOS, only=["left", "right"]))
    assert len(inventory.records) == 7


def test_cameras_without_photos_are_refused_unless_another_scene_of_the_file_has_some(photos):
    for path in (photos / "jump/right").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r"camera right of jump/cameras\.yaml has no photos like \{scene\}/\{camera\}"):
        inventory_of(adapter_of(photos, **PHOTOS))
    write_cameras(photos / "cameras.yaml", camera_file())
    assert len(inventory_of(adapter_of(photos, **PHOTOS, cameras="cameras.yaml")).records) == 6
    with pytest.raises(ValueError, match=r"camera top of cameras\.yaml has no photos"):
        inventory_of(adapter_of(photos, **PHOTOS, cameras="cameras.yaml", only=["left", "top"]))


def test_photos_of_another_size_are_refused(photos, videos):
    write_photo(photos / "walk/left/001.jpg", (48, 32))
    sentence = r"walk/left/001\.jpg has 48 x 32 px, the camera left of walk/cameras\.yaml has size_px 96, 64"
    with pytest.raises(ValueError, match=sentence):
        inventory_of(adapter_of(photos, **PHOTOS, only=["left"]))
    cameras = {name: camera_entry(angle, size_px=[192, 128]) for name, angle in (("left", 0.0), ("right", 90.0))}
    write_cameras(videos / "walk/cameras.yaml", camera_file(cameras=cameras))
    with pytest.raises(ValueError, match=r"walk/left\.mp4 has 96 x 64 px, .* size_px 192, 128"):
        inventory_of(adapter_of(videos, **VIDEOS))


@pytest.mark.parametrize(
    ("layout", "sentence"),
    [
        ({"images": "{scene}/{camera}/{frame}.jpg"}, r"layout\.fps: is missing, .* those of walk have several"),
        ({"images": "{scene}/{frame}.jpg"}, "images: expected a path with {camera} and {frame}, and perhaps {scene}"),
        ({"images": "{camera}/{frame}.mp4"}, "images: expected a path with {camera}, and perhaps"),
        ({"images": "{take}/{camera}/{frame}.jpg"}, "images: expected a path with {camera} and {frame}"),
        ({"images": "{camera}/{frame}.jpg"}, r"cameras: is '\{scene\}/cameras.yaml', but images has no \{scene\}"),
        ({**VIDEOS, "fps": 30}, "fps: is of numbered photos"),
        ({**PHOTOS, "fps": 0}, "fps: expected more than 0"),
    ],
)
def test_layouts_that_say_too_little_are_refused(photos, layout, sentence):
    with pytest.raises(ValueError, match=sentence):
        inventory_of(adapter_of(photos, **layout))


def test_two_photos_of_one_number_are_refused(photos):
    write_photo(photos / "walk/left/1.jpg")
    with pytest.raises(ValueError, match=r"walk/left/001\.jpg and walk/left/1\.jpg have the same number"):
        inventory_of(adapter_of(photos, **PHOTOS))


def test_a_photo_that_cannot_be_read_is_listed(photos):
    (photos / "walk/left/001.jpg").write_bytes(b"")
    os.truncate(photos / "walk/right/001.jpg", 100)
    assert len(inventory_of(adapter_of(photos, **PHOTOS)).records) == 7


def test_the_mean_of_two_focal_lengths_is_that_of_the_pinhole(photos):
    write_cameras(photos / "cameras.yaml", camera_file(cameras={"left": camera_entry(focal_px=[90.0, 120.0])}))
    (record, *_) = inventory_of(adapter_of(photos, **PHOTOS, cameras="cameras.yaml", only=["left"])).records
    assert record.focal_px == pytest.approx(math.sqrt(90 * 120))
    assert record.lens.focal_xy_px == (90.0, 120.0)

"""Frames of videos as photos of a data set: by clip and number, from a folder of clips or from one clip."""

import numpy as np
import pytest
from pickling import sent
from tar_files import write_tar
from video_files import SIZE, write_clip, write_video

from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.image_source import check_images, problem_of
from datasets_manifest.sources.images import ImageError, decode_image
from datasets_manifest.sources.opening import open_images
from datasets_manifest.sources.video import VideoClip


@pytest.fixture
def clips(tmp_path):
    root = tmp_path / "clips"
    (root / "deep").mkdir(parents=True)
    write_clip(root / "deep/walk.MP4", 12)
    write_video(root / "run.avi", 6)
    (root / "none.mp4").write_bytes(b"no video")
    (root / "a.jpg").write_bytes(b"photo")
    return root


def pixels(source, name):
    return decode_image(source.read(name), name=name)


def test_frames_are_read_by_clip_and_number(clips):
    source = open_images(clips)
    for name, number in (("deep/walk.MP4", 7), ("run.avi", 0), ("deep/walk.MP4", 8), ("run.avi", 5)):
        expected = VideoClip.index(clips / name, name=name).rgb(number)
        np.testing.assert_array_equal(pixels(source, f"{name}::{number:06d}"), expected)
    assert source.read("a.jpg") == b"photo"
    assert "run.avi" in source.listing().names
    assert not any("::" in name for name in source.listing().names)


def test_one_clip_is_a_root(clips):
    source = open_images(clips / "run.avi")
    assert source.listing().names == ["run.avi"]
    assert pixels(source, "run.avi::000003").shape == (SIZE[1], SIZE[0], 3)
    np.testing.assert_array_equal(pixels(source, "000003"), pixels(open_images(clips), "run.avi::000003"))
    assert len(source.clip("run.avi").frames.times_s) == 6
    with pytest.raises(ImageError, match="video_unreadable"):
        open_images(clips / "none.mp4")


def test_state_and_missing_look_at_the_file_alone(clips, monkeypatch):
    monkeypatch.setattr(VideoClip, "index", None)
    source = open_images(clips)
    state = (clips / "run.avi").stat()
    assert source.state("run.avi::000003") == (state.st_size, state.st_mtime_ns)
    names = ["run.avi::000003", "deep/walk.MP4::000001", "gone.mp4::000000", "deep/gone.mp4::000000", "a.jpg"]
    assert source.missing(names) == ["deep/gone.mp4::000000", "gone.mp4::000000"]
    assert problem_of(source, "gone.mp4::000000").code == ErrorCode.IMAGE_MISSING
    check_images(["run.avi::000003", "a.jpg"], source, labels=clips)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("run.avi::000006", ErrorCode.IMAGE_MISSING),
        ("run.avi::six", ErrorCode.IMAGE_MISSING),
        ("gone.mp4::000000", ErrorCode.IMAGE_MISSING),
        ("../secret.mp4::000000", ErrorCode.IMAGE_MISSING),
        ("none.mp4::000000", ErrorCode.VIDEO_UNREADABLE),
    ],
)
def test_what_cannot_be_read_has_its_code_every_time(clips, name, code):
    write_video(clips.parent / "secret.mp4", 2, "mp4v")
    source = open_images(clips)
    for _ in range(2):
        with pytest.raises(ImageError) as caught:
            source.read(name)
        assert caught.value.code == code


def test_what_is_wrong_with_a_video_names_it_once(clips):
    source = open_images(clips)
    for _ in range(2):
        with pytest.raises(ImageError, match=r"^video_unreadable: none\.mp4 \(\d+ bytes\) cannot be opened"):
            source.clip("none.mp4")


def test_a_video_in_a_tar_file_is_said_not_to_be_read(clips):
    write_tar(clips / "t.tar", [("run.avi", (clips / "run.avi").read_bytes())])
    for source, name in ((open_images(clips), "t.tar::run.avi"), (open_images(clips / "t.tar"), "run.avi")):
        with pytest.raises(ImageError, match="inside a tar file, which is not read; unpack it"):
            source.clip(name)


def test_a_replaced_clip_gives_its_new_frames(clips):
    for source in (open_images(clips), open_images(clips / "run.avi")):
        write_video(clips / "run.avi", 6)
        assert len(source.clip("run.avi").frames.times_s) == 6
        source.read("run.avi::000005")
        write_video(clips / "run.avi", 3)
        assert len(source.clip("run.avi").frames.times_s) == 3
        with pytest.raises(ImageError, match="there is no frame 5"):
            source.read("run.avi::000005")


def test_a_source_that_has_read_a_frame_survives_pickle(clips):
    source = open_images(clips)
    expected = pixels(source, "deep/walk.MP4::000004")
    np.testing.assert_array_equal(pixels(sent(source), "deep/walk.MP4::000004"), expected)

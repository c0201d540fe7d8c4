"""Videos: every frame once and in order, and one clear error for a file that is no video or not all of one."""

import pickle
import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from video_files import FPS, SIZE, STEP, write_video

from datasets_manifest.settings import read_settings
from datasets_manifest.sources.video import FrameChoice, StatedLength, VideoError, read_frames, stated_length

NUM_FRAMES = 20


@pytest.fixture(scope="module", params=["clip.avi", "clip.mp4", "clip.mkv"])
def video(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / request.param
    return write_video(path, NUM_FRAMES, "MJPG" if path.suffix == ".avi" else "mp4v")


def grey(frame):
    return frame.rgb[:, SIZE[0] // 2 + 8 :].mean()


def test_every_frame_comes_once_in_order_and_in_rgb(video):
    frames = list(read_frames(video, name="clip"))
    assert [frame.index for frame in frames] == list(range(NUM_FRAMES))
    assert [frame.time_s for frame in frames] == pytest.approx([i / FPS for i in range(NUM_FRAMES)], abs=1e-3)
    for frame in frames:
        assert frame.rgb.shape == (SIZE[1], SIZE[0], 3)
        assert frame.rgb.dtype == np.uint8
        assert grey(frame) == pytest.approx(frame.index * STEP, abs=5)
    red, green, blue = frames[-1].rgb[:, : SIZE[0] // 2 - 8].mean((0, 1))
    assert red > 150
    assert max(green, blue) < 90


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (FrameChoice(every=7), [0, 7, 14]),
        (FrameChoice(fps=5), list(range(0, NUM_FRAMES, 2))),
        (FrameChoice(fps=100), list(range(NUM_FRAMES))),
        (FrameChoice(every=4, fps=5), [0, 4, 8, 12, 16]),
    ],
)
def test_chosen_frames_are_the_same_frames(video, choice, expected):
    frames = list(read_frames(video, name="clip", choice=choice))
    assert [frame.index for frame in frames] == expected
    assert [grey(frame) for frame in frames] == pytest.approx([i * STEP for i in expected], abs=5)


@given(rate=st.floats(5, 120), fps=st.floats(0.5, 60), seconds=st.floats(0.5, 5))
def test_no_more_frames_a_second_than_asked_for(rate, fps, seconds):
    times = np.arange(0, seconds, 1 / rate)
    choice = FrameChoice(fps=fps)
    chosen = [t for i, t in enumerate(times) if choice.wants(i, t, times[i - 1] if i else None)]
    assert len(chosen) <= times[-1] * fps + 1.001
    assert len(chosen) >= min(len(times), int(times[-1] * min(fps, rate)))


def test_a_video_that_was_filmed_upright_is_upright(tmp_path):
    """Telephones write the sensor's picture and how to turn it; here a quarter turn clockwise."""
    path = write_video(tmp_path / "clip.mp4", 3, "mp4v")
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 4 + 5 * 4 + 8 + 4 * 2
    one = 1 << 16
    assert struct.unpack(">9i", data[place : place + 36]) == (one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    data[place : place + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, SIZE[1] * one, 0, 1 << 30)
    path.write_bytes(data)
    frame = list(read_frames(path, name="clip"))[2]
    assert frame.rgb.shape == (SIZE[0], SIZE[1], 3)
    red = frame.rgb[..., 0].astype(int) - frame.rgb[..., 1]
    assert red[: SIZE[0] // 2 - 8].mean() > 15, "the left half is now the upper one"
    assert abs(red[SIZE[0] // 2 + 8 :].mean()) < 5


@pytest.mark.parametrize("share", [0.5, 0.75])
def test_a_video_that_was_cut_gives_its_frames_and_then_says_so(tmp_path, share):
    whole = write_video(tmp_path / "whole.mkv", NUM_FRAMES, "mp4v")
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    seen = []
    with pytest.raises(VideoError, match=rf"states {NUM_FRAMES} frames .* ends after \d+") as caught:
        seen.extend(frame.index for frame in read_frames(cut, name="clip"))
    assert caught.value.code == "video_truncated"
    assert pickle.loads(pickle.dumps(caught.value)).detail == caught.value.detail


def test_frames_before_the_cut_are_there(tmp_path):
    whole = write_video(tmp_path / "whole.mkv", NUM_FRAMES, "mp4v")
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: int(0.6 * whole.stat().st_size)])
    frames = read_frames(cut, name="clip")
    assert [next(frames).index for _ in range(5)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ["cut.mp4", "noise.mp4", "text.avi", "empty.mkv"])
def test_what_is_no_video_is_said_once_and_nothing_else_is_printed(tmp_path, capfd, name):
    content = {
        "cut.mp4": lambda: write_video(tmp_path / "whole.mp4", NUM_FRAMES, "mp4v").read_bytes()[:-700],
        "noise.mp4": lambda: np.random.default_rng(0).bytes(5000),
        "text.avi": lambda: b"this is a text",
        "empty.mkv": lambda: b"",
    }
    path = tmp_path / name
    path.write_bytes(content[name]())
    with pytest.raises(VideoError, match=f"{name} .* cannot be opened") as caught:
        next(read_frames(path, name=name))
    assert caught.value.code == "video_unreadable"
    assert capfd.readouterr() == ("", "")


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(VideoError, match=r"image_missing: gone\.mp4 does not exist"):
        next(read_frames(tmp_path / "gone.mp4", name="gone.mp4"))


def test_a_numbered_pattern_is_not_a_video(tmp_path):
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"img_{i:02d}.png"), np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(VideoError, match="pattern does not exist"):
        next(read_frames(tmp_path / "img_%02d.png", name="pattern"))


def test_a_video_with_too_large_frames_is_refused(video):
    with pytest.raises(VideoError, match="image_too_large: clip is 96 x 64"):
        next(read_frames(video, name="clip", max_pixels=1000))


def test_the_header_states_the_length(video, tmp_path):
    assert stated_length(video) == StatedLength(frames=NUM_FRAMES, fps=FPS)
    assert stated_length(tmp_path / "gone.mp4") == StatedLength(frames=0, fps=0.0)


def test_a_video_of_varying_rate_whose_time_is_complete_is_not_cut():
    """Some containers state length times rate: there are fewer frames than that, but the last comes at the end."""
    stated = StatedLength(frames=300, fps=30.0)
    assert not stated.ends_early(150, 9.95)
    assert stated.ends_early(150, 4.98)
    assert not stated.ends_early(299, 9.93)
    assert not StatedLength(frames=0, fps=0.0).ends_early(5, 0.2)


@pytest.mark.parametrize("wrong", [{"every": 0}, {"fps": -1.0}, {"fps": float("nan")}, {"fps": float("inf")}])
def test_a_choice_out_of_range_names_field_and_value(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        read_settings(FrameChoice, wrong, "frames")

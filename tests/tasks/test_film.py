"""A film holds the frames that it was given, each at its time, and is whole or not there."""

import av
import numpy as np
import pytest

from datasets_manifest.files import whole_file
from datasets_manifest.sources.video import VideoClip
from tasks import film as module
from tasks.film import check_encoder, film_into


def frames(count, height=64, width=64):
    for k in range(count):
        rgb = np.full((height, width, 3), (10 * k, 120, 250 - 10 * k), np.uint8)
        rgb[:, : width // 2] = (250, 20, 20)
        yield rgb


def written(given, times_s, path):
    with whole_file(path) as file, film_into(file) as film:
        for rgb, time_s in zip(given, times_s, strict=True):
            film.add(rgb, time_s)
    return path


@pytest.mark.parametrize("fps", [12.5, 30, 30_000 / 1001])
def test_a_film_plays_the_frames_at_their_rate_in_their_colours(fps, tmp_path):
    path = written(frames(20), np.arange(20) / fps, tmp_path / "film.mp4")
    with av.open(str(path)) as film:
        (stream,) = film.streams.video
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert float(stream.average_rate) == pytest.approx(fps)
        assert film.duration / 1e6 == pytest.approx(20 / fps, abs=1e-3)
    clip = VideoClip.index(path, name="film")
    assert len(clip.frames.times_s) == 20
    for number, wanted in enumerate(frames(20)):
        off = np.abs(clip.rgb(number).astype(int) - wanted)
        assert off[:, [5, 10, 50, 60]].max() < 12  # not beside the edge, where colours are coarse


@pytest.mark.parametrize("times_s", [[0.0], [0.0, 0.2], [0.0, 0.1, 0.15, 0.5, 0.9, 1.0]])
def test_frames_keep_their_times_at_a_rate_that_varies(times_s, tmp_path):
    path = written(frames(len(times_s)), times_s, tmp_path / "film.mp4")
    clip = VideoClip.index(path, name="film")
    assert clip.frames.times_s == pytest.approx(times_s, abs=1e-4)
    assert clip.cut is None


def test_odd_sides_grow_by_a_pixel_and_nothing_else_moves(tmp_path):
    path = written(frames(2, 63, 65), [0.0, 0.1], tmp_path / "film.mp4")
    rgb = VideoClip.index(path, name="film").rgb(0)
    assert rgb.shape == (64, 66, 3)
    assert np.abs(rgb[:, [5, 20, 45, 65]].astype(int) - next(frames(1))[:1, [5, 20, 45, 63]]).max() < 12


def test_a_film_that_is_broken_off_leaves_nothing(tmp_path):
    def stopped():
        yield from frames(5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written(stopped(), range(9), tmp_path / "film.mp4")
    assert list(tmp_path.iterdir()) == []


def test_without_an_encoder_one_sentence_says_what_to_install(monkeypatch):
    check_encoder()
    monkeypatch.setattr(module, "_ENCODER", "libnone")
    with pytest.raises(ValueError, match="the encoder libnone, which the package av here is built without; install"):
        check_encoder()

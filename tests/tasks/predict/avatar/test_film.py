"""A film holds the frames it was given, and the strip some of them."""

import io

import av
import numpy as np
import pytest

from tasks.predict.avatar import film as module
from tasks.predict.avatar.film import STRIP_FRAMES, check_encoder, film_and_strip


def frames(count, side=64):
    for k in range(count):
        rgb = np.full((side, side, 3), (10 * k, 120, 250 - 10 * k), np.uint8)
        rgb[:, : side // 2] = (250, 20, 20)
        yield rgb


def test_the_film_plays_the_frames_at_their_rate():
    data, _ = film_and_strip(frames(20), 20, 64, 12.5)
    with av.open(io.BytesIO(data)) as film:
        (stream,) = film.streams.video
        shown = [frame.to_ndarray(format="rgb24") for frame in film.decode(stream)]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 12.5
    assert len(shown) == 20
    for rgb, wanted in zip(shown, frames(20), strict=True):
        off = np.abs(rgb.astype(int) - wanted)
        assert off[:, [5, 10, 50, 60]].max() < 12  # not beside the edge, where colours are coarse


@pytest.mark.parametrize("count", [1, 3, STRIP_FRAMES, 20])
def test_the_strip_is_of_frames_at_equal_distances(count):
    _, strip = film_and_strip(frames(count), count, 64, 10.0)
    shown = strip[0, 63::64, 0] // 10
    assert shown[0] == 0
    assert strip.shape == (64, 64 * min(count, STRIP_FRAMES), 3)
    assert np.ptp(np.diff([*shown, count])) <= 1


def test_without_an_encoder_one_sentence_says_what_to_install(monkeypatch):
    check_encoder()
    monkeypatch.setattr(module, "_ENCODER", "libnone")
    with pytest.raises(ValueError, match="the encoder libnone, which the package av here is built without; install"):
        check_encoder()

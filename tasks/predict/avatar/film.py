"""Frames as a film that browsers play, and a few of them side by side."""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction

import av
import numpy as np
from av.codec import Codec

STRIP_FRAMES = 8
"""In a strip."""
_ENCODER = "libx264"


def check_encoder() -> None:
    """Makes sure that films can be written.

    Raises:
        ValueError: The package av is without an H.264 encoder.
    """
    try:
        Codec(_ENCODER, "w")
    except ValueError as error:
        raise ValueError(
            f"films need the encoder {_ENCODER}, which the package av here is built without; "
            "install its wheel: pip install --force-reinstall --no-deps --only-binary av av"
        ) from error


def film_and_strip(frames: Iterable[np.ndarray], count: int, side_px: int, fps: float) -> tuple[bytes, np.ndarray]:
    """An H.264 film in MP4, and a few of its frames at equal distances side by side, the first one among them.

    Args:
        frames: (side, side, 3) uint8 RGB.
        count: How many there are.
        side_px: Their side, even.
        fps: Frames a second.
    """
    shown = min(count, STRIP_FRAMES)
    chosen, kept = {k * count // shown for k in range(shown)}, []
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as film:
        stream = film.add_stream(_ENCODER, rate=Fraction(fps).limit_denominator(1000), options={"crf": "18"})
        stream.pix_fmt = "yuv420p"
        stream.height = stream.width = side_px
        for number, rgb in enumerate(frames):
            if number in chosen:
                kept.append(rgb)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        film.mux(stream.encode(None))
    return file.getvalue(), np.concatenate(kept, axis=1)

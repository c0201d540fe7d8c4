"""Films that browsers play: H.264 in MP4, every frame at its own time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import IO, Any

import av
import numpy as np
from av.codec import Codec
from av.container import OutputContainer
from av.packet import Packet
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream

_ENCODER = "libx264"
_TICK_S = Fraction(1, 90_000)
_ONLY_FRAME_S = Fraction(1, 30)
"""How long a film of one frame is."""


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


@contextmanager
def film_into(file: IO[bytes]) -> Iterator[Film]:
    """A film that is written into a file, in which one can seek, and is whole at the end of the block."""
    with av.open(file, "w", format="mp4") as container:
        film = Film(container)
        yield film
        film.end()


class Film:
    """Takes the frames of a film one after the other; the first decides its size."""

    def __init__(self, container: OutputContainer) -> None:
        self._container = container
        self._stream: VideoStream | None = None
        self._shown = 0
        self._step = round(_ONLY_FRAME_S / _TICK_S)

    def add(self, rgb: np.ndarray, time_s: float) -> None:
        """Takes a frame (H, W, 3) uint8 that is shown from this time on, which is later than the one before.

        An odd side grows by a pixel, which repeats its neighbour: H.264 has even sides alone.
        """
        height, width = rgb.shape[:2]
        even = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge") if height % 2 or width % 2 else rgb
        if self._stream is None:
            self._stream = self._begun(even)
        frame = av.VideoFrame.from_ndarray(even, format="rgb24")
        frame.pts, frame.time_base = round(time_s / _TICK_S), _TICK_S
        if frame.pts > self._shown:
            self._step, self._shown = frame.pts - self._shown, frame.pts
        self._write(self._stream.encode(frame))

    def end(self) -> None:
        """Writes what the encoder still holds; the last frame is shown for as long as the one before it."""
        if self._stream is not None:
            self._write(self._stream.encode(None))

    def _begun(self, rgb: np.ndarray) -> VideoStream:
        stream: Any = self._container.add_stream(_ENCODER, options={"crf": "18"})
        stream.pix_fmt = "yuv420p"
        stream.height, stream.width = rgb.shape[:2]
        stream.codec_context.time_base = stream.time_base = _TICK_S
        stream.codec_context.colorspace = Colorspace.ITU601  # As frames are converted; without it players may guess.
        return stream

    def _write(self, packets: list[Packet[Any]]) -> None:
        for packet in packets:
            packet.duration = self._step  # Counts for the last one alone: of the others their times say it.
            self._container.mux(packet)

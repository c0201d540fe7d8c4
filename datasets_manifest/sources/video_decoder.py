"""Any frame of a video, decoded exactly: the pixels that reading from the beginning gives, to the bit.

Each thread keeps the video that it read last open, with the decoder where it stands, so that the frames after it come
without a search. What is open is left to the process that opened it: after a fork the file is opened anew.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import chain, count
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.files import file_error
from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.video_index import FrameIndex, frames_of, open_video, packets_of

_THREAD = threading.local()


def decode_bgr(index: FrameIndex, number: int) -> np.ndarray | None:
    """Decodes one frame.

    Returns:
        (H, W, 3) uint8, upright, blue first; None for a frame that does not come out of the decoder.

    Raises:
        ImageError: image_missing: the file is gone or another than was indexed.
    """
    decoder: _Decoder | None = getattr(_THREAD, "decoder", None)
    if decoder is None or not decoder.is_for(index):
        decoder = _THREAD.decoder = _Decoder(index)
    frame = decoder.frame(number)
    return None if frame is None else _upright(_pixels(frame), frame)


class _Decoder:
    """One open video."""

    def __init__(self, index: FrameIndex) -> None:
        self._index, self._pid = index, os.getpid()
        self._stack = ExitStack()
        self._opened: tuple[InputContainer, VideoStream] | None = None
        self._frames: Iterator[tuple[int, VideoFrame]] = iter(())
        self._last: int | None = None  # stamp of the frame that came last

    def is_for(self, index: FrameIndex) -> bool:
        own = self._index
        is_same = (own.path, own.size, own.modified_ns) == (index.path, index.size, index.modified_ns)
        return is_same and self._pid == os.getpid()

    def frame(self, number: int) -> VideoFrame | None:
        if self._is_on_the_way(number) and (frame := self._next(number)):
            return frame
        # A stream that is refreshed bit by bit is whole only some time after its keyframe, surely by the next one.
        first = int(np.searchsorted(self._index.starts, self._index.starts[number]))
        for begin in (number, first - 1) if first else (number,):
            if self._go_to(begin) and (frame := self._next(number)):
                return frame
        return None

    def _is_on_the_way(self, number: int) -> bool:
        """Whether going on is the shortest way to a frame."""
        if self._last is None:
            return False
        following = int(np.searchsorted(self._index.stamps, self._last, side="right"))
        return following <= number and self._index.starts[number] <= self._index.stamps[following]

    def _next(self, number: int) -> VideoFrame | None:
        stamp = int(self._index.stamps[number])
        for found, frame in self._frames:
            self._last = found
            if found >= stamp:
                return frame if found == stamp else None
        return None

    def _go_to(self, number: int) -> bool:
        """Makes the frames begin at the keyframe of a frame; first by a search in the file, then from its beginning."""
        seek, start = int(self._index.seeks[number]), int(self._index.starts[number])
        for place in dict.fromkeys((seek, -1)):
            if self._opened is None or place < 0:
                self._opened = self._open()
            container, stream = self._opened
            try:
                if place >= 0:
                    container.seek(place, stream=stream)
            except av.FFmpegError:
                continue
            packets = packets_of(container, stream)
            if not self._index.is_counted:
                found = next((packet for packet in packets if packet.pts == start), None)
                if found is None:
                    continue
                packets = chain([found], packets)
            self._frames, self._last = self._decoded(packets, stream), None
            return True
        return False

    def _open(self) -> tuple[InputContainer, VideoStream]:
        index = self._index
        self._stack.close()
        try:
            state = os.stat(index.path)
            if (state.st_size, state.st_mtime_ns) != (index.size, index.modified_ns):
                raise ImageError(ErrorCode.IMAGE_MISSING, f"the video {index.path} changed since it was indexed.")
            return self._stack.enter_context(open_video(index.path))
        except PermissionError as error:
            raise file_error(f"the video {index.path}", error) from error
        except (av.FFmpegError, OSError) as error:
            detail = f"the video {index.path} cannot be opened any more ({error.strerror})."
            raise ImageError(ErrorCode.IMAGE_MISSING, detail) from error

    def _decoded(self, packets: Iterable[Packet[Any]], stream: VideoStream) -> Iterator[tuple[int, VideoFrame]]:
        """Frames as they come, each with its stamp."""
        numbers = count()
        for packet in packets:
            for frame in frames_of(stream, packet):
                stamp = next(numbers) if self._index.is_counted else frame.pts
                if stamp is not None:
                    yield stamp, frame


def _pixels(frame: VideoFrame) -> np.ndarray:
    """(H, W, 3) uint8, blue first, by the matrix and range of the frame; the same as OpenCV gives."""
    return np.asarray(frame.to_ndarray(format="bgr24", interpolation="BICUBIC", threads=1))


def _upright(pixels: np.ndarray, frame: VideoFrame) -> np.ndarray:
    """Applies the display matrix of a frame: quarter turns and mirrors; others, which no camera writes, are not."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return pixels
    # A pixel (x, y) is shown at (a x + c y, b x + d y), with an offset that brings it back into the picture.
    a, b, c, d = np.frombuffer(matrix, np.int32)[[0, 1, 3, 4]].tolist()
    if a == d == 0 and b and c:
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    elif b or c:
        return pixels
    return np.ascontiguousarray(pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])

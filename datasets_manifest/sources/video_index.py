"""Where the frames of a video file are: found by reading it through once, without decoding more than the first."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.files import file_error, regular_state
from datasets_manifest.sources.images import ImageError

MISSING_SHARE: Final = 0.02
"""Share of the stated frames, and of the stated length, that may be missing at the end: containers round."""
MISSING_FRAMES: Final = 2
"""The same in frames, for short videos."""

# Containers that keep a time for every frame, and find each keyframe by it.
_SEEKABLE: Final = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi"})
_VP8_SHOWN: Final = 0x10


@dataclass(frozen=True, kw_only=True, slots=True)
class StatedLength:
    """What a file says of itself; 0 where it says nothing."""

    frames: int
    """Number of frames; some containers only give length times rate."""
    fps: float
    """Frames a second."""

    def ends_early(self, num_frames: int, last_s: float) -> bool:
        """Whether frames and time are missing after ``num_frames`` frames, the last shown at ``last_s``."""
        if self.frames <= 0 or self.fps <= 0:
            return False
        slack = max(MISSING_FRAMES, MISSING_SHARE * self.frames)
        return num_frames < self.frames - slack and last_s + 1 / self.fps < (self.frames - slack) / self.fps


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameIndex:
    """The frames of a file in the order in which they are shown; a frame's number is its place in it."""

    path: Path
    """The file."""
    size: int
    """Its bytes when it was read."""
    modified_ns: int
    """Its modification time then."""
    times_s: np.ndarray
    """(N,) float64: when each is shown, from the first."""
    stamps: np.ndarray
    """(N,) int64: how it is recognised when it comes out of the decoder: time in units of the file, or number."""
    starts: np.ndarray
    """(N,) int64: stamp of the keyframe at which decoding it begins."""
    seeks: np.ndarray
    """(N,) int64: where the file is searched for that keyframe; -1 for the beginning of the file."""
    is_counted: bool
    """The times of the file cannot be trusted: frames are numbered as they come out of the decoder."""
    damaged: frozenset[int]
    """Numbers of frames whose data are said not to be whole."""
    stated: StatedLength
    """What the header says."""
    ends_early: bool
    """Frames that the header states are missing at the end."""


def index_file(path: Path, *, name: str, max_pixels: int) -> FrameIndex:
    """Finds the frames of a video.

    Args:
        path: The file.
        name: How to call it in errors.
        max_pixels: Width times height above which it is refused before anything is decoded.

    Raises:
        ImageError: image_missing, video_unreadable or image_too_large.
    """
    size = regular_state(path, name).st_size
    try:
        return _index(path, name, max_pixels)
    except ImageError:
        raise
    except PermissionError as error:
        raise file_error(name, error) from error
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        detail = f"{name} ({size} bytes) cannot be opened as a video: {reason}."
        raise ImageError(ErrorCode.VIDEO_UNREADABLE, detail) from error


def _index(path: Path, name: str, max_pixels: int) -> FrameIndex:
    state = path.stat()
    with open_video(path) as (container, stream):
        width, height = stream.width, stream.height
        if width * height > max_pixels:
            detail = f"{name} is {width} x {height} = {width * height} pixels a frame, allowed are {max_pixels}."
            raise ImageError(ErrorCode.IMAGE_TOO_LARGE, detail)
        can_seek = container.format.name in _SEEKABLE
        known, stated, has_length = len(stream.index_entries), _stated(container, stream), stream.frames > 0
        packets = _Stored.read(stream, container)
        is_counted = packets.must_be_counted(stream, container.format.name)
        tick, codec = float(stream.time_base or 0), stream.codec_context.name
    if not packets.is_decodable:
        raise ValueError(f"it holds no frame that can be decoded (codec {codec})")
    if is_counted:
        times_s, first_s = np.array(_decoded_times(path, stated.fps)), 0.0
        numbers, damaged = np.arange(len(times_s)), frozenset[int]()
        frames = {"stamps": numbers, "starts": np.zeros_like(numbers), "seeks": np.full_like(numbers, -1)}
    else:
        frames, damaged = packets.in_order(can_seek=can_seek)
        times_s, first_s = (frames["stamps"] - frames["stamps"][0]) * tick, int(frames["stamps"][0]) * tick
    # A length in frames counts from the first, one in seconds from 0. A list of frames that names just those that
    # came, at the end of the file for AVI, is better than a length: frames may be left out on purpose.
    last_s = float(times_s[-1]) + (0.0 if has_length else first_s)
    ends_early = not 1 < known == packets.number and stated.ends_early(packets.number, last_s)
    if ends_early and not is_counted:
        # Frames that are shown later may come after some that were to be stored beyond the end.
        num_sure = max(1, int(np.searchsorted(frames["stamps"], packets.dts[-1], side="right")))
        times_s, frames = times_s[:num_sure], {name: values[:num_sure] for name, values in frames.items()}
    return FrameIndex(
        path=path,
        size=state.st_size,
        modified_ns=state.st_mtime_ns,
        times_s=times_s,
        **frames,
        is_counted=is_counted,
        damaged=damaged,
        stated=stated,
        ends_early=ends_early,
    )


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Opens a file for reading in this thread alone.

    Raises:
        ImageError: It is no regular file.
        av.FFmpegError, OSError: It cannot be opened.
        ValueError: It has no video stream, or one that no decoder is there for.
    """
    regular_state(path, str(path))  # A pipe would keep its reader waiting.
    # As a file, whatever is in it: a list of other places is not followed.
    with av.open(str(path.absolute()), options={"protocol_whitelist": "file"}) as container:
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream):
            raise ValueError("it has no video stream")
        if stream.codec_context is None:
            raise ValueError(
                f"FFmpeg {av.ffmpeg_version_info} has no decoder for its video stream; convert it, to H.264 say "
                "(`ffprobe` names the codec)"
            )
        # The same pixels on every machine, and nothing that a fork would leave behind.
        stream.thread_count = 1
        yield container, stream


def packets_of(container: InputContainer, stream: VideoStream) -> Iterator[Packet[Any]]:
    """The stored frames of a video from where its file stands, as far as they can be read; an empty one at the end."""
    try:
        yield from container.demux(stream)
    except av.FFmpegError:
        yield Packet()  # cut inside a packet; frames that the decoder still holds are to come


def frames_of(stream: VideoStream, packet: Packet[Any]) -> list[VideoFrame]:
    """The frames that come out of the decoder for a packet; none where it is damaged."""
    try:
        return stream.decode(packet if packet.size else None)
    except av.FFmpegError:
        return []


def stated_length(path: Path) -> StatedLength:
    """The length that a video's header gives, all 0 for a file that cannot be opened; decodes nothing."""
    try:
        with open_video(path) as (container, stream):
            return _stated(container, stream)
    except (av.FFmpegError, OSError, ValueError):
        return StatedLength(frames=0, fps=0.0)


def _stated(container: InputContainer, stream: VideoStream) -> StatedLength:
    fps = float(stream.average_rate or stream.guessed_rate or 0)
    length_s = container.duration / av.time_base if container.duration else 0.0
    frames = stream.frames or int(length_s * fps + 0.5)
    is_stated = 0 < frames < 2**31 and 0 < fps < 1e5
    return StatedLength(frames=frames, fps=fps) if is_stated else StatedLength(frames=0, fps=0.0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Stored:
    """What is stored, in the order in which it is."""

    pts: np.ndarray
    """(P,) int64: when each is shown."""
    dts: np.ndarray
    """(P,) int64: where it is stored, in the same unit."""
    is_key: np.ndarray
    is_shown: np.ndarray
    """Not left out by an edit list."""
    is_damaged: np.ndarray
    has_times: bool
    """All have both."""
    is_decodable: bool
    """At least one frame is."""

    @property
    def number(self) -> int:
        return len(self.pts)

    @classmethod
    def read(cls, stream: VideoStream, container: InputContainer) -> _Stored:
        times, flags = array("q"), bytearray()
        has_times, is_decodable = True, False
        is_vp8 = stream.codec_context.name == "vp8"
        for packet in packets_of(container, stream):
            is_decodable = is_decodable or bool(frames_of(stream, packet))
            # VP8 keeps pictures that others are made from and that are never shown; some AVIs, empty ones.
            if packet.size and not (is_vp8 and not bytes(packet)[0] & _VP8_SHOWN):
                has_times = has_times and packet.pts is not None
                dts = packet.pts if packet.dts is None else packet.dts
                times.extend((packet.pts or 0, dts or 0))
                flags.extend((packet.is_keyframe, not packet.is_discard, packet.is_corrupt))
        pts, dts = np.array(times, np.int64).reshape(-1, 2).T
        is_key, is_shown, is_damaged = np.array(flags, np.uint8).reshape(-1, 3).T.astype(bool)
        return cls(
            pts=pts,
            dts=dts,
            is_key=is_key,
            is_shown=is_shown,
            is_damaged=is_damaged,
            has_times=has_times,
            is_decodable=is_decodable,
        )

    def must_be_counted(self, stream: VideoStream, container: str) -> bool:
        """Whether the times are not those at which frames are shown, each its own."""
        if not self.has_times or not self.is_key.any() or len(np.unique(self.pts)) < self.number:
            return True
        # AVI has no times for frames out of order; in other files they show in that all come in order nevertheless.
        is_reordered = bool(stream.codec_context.has_b_frames)
        return is_reordered and (container == "avi" or bool((np.diff(self.pts) > 0).all()))

    def in_order(self, *, can_seek: bool) -> tuple[dict[str, np.ndarray], frozenset[int]]:
        """Stamps, starts and seeks of a ``FrameIndex``, and the numbers of damaged frames."""
        order = np.argsort(self.pts)
        places = np.arange(self.number)
        # The last keyframe that is shown before a frame or is it: one that is only stored before it may follow it.
        key = np.maximum.accumulate(np.where(self.is_key[order], places, -1))
        kept = self.is_shown[order] & (key >= 0)
        start = order[key[kept]]
        frames = {"stamps": self.pts[order][kept], "starts": self.pts[start]}
        seeks = np.minimum(self.dts, self.pts)[start]
        frames["seeks"] = seeks if can_seek else np.full_like(seeks, -1)
        return frames, frozenset(np.flatnonzero(self.is_damaged[order][kept]).tolist())


def _decoded_times(path: Path, fps: float) -> list[float]:
    """When each frame that comes out of the decoder is shown, from the first."""
    with open_video(path) as (container, stream):
        stamps = [frame.pts for packet in packets_of(container, stream) for frame in frames_of(stream, packet)]
        tick = float(stream.time_base or 0)
    stated = sorted(stamp for stamp in stamps if stamp is not None)
    if len(set(stated)) == len(stamps):
        return [(stamp - stated[0]) * tick for stamp in stated]
    return [i / (fps or 25.0) for i in range(len(stamps))]

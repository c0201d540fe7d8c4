"""Videos, frame by frame, or an error with a code: unreadable, empty, or shorter than the file says.

A frame that is damaged in the middle of a video cannot be told from a whole one: the decoder fills its holes from the
frames before it. A file that was cut short can, if it states its length.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from pydantic import NonNegativeFloat, PositiveInt

from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.files import regular_state
from datasets_manifest.sources.images import DEFAULT_MAX_PIXELS, ImageError

# FFmpeg's own lines on damaged files would stand above the one sentence; whoever wants them sets the variable. OpenCV
# reads it once, with the first video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv"})
"""Names that end so (in any case) are taken for videos; whether they are, the decoder decides."""

MISSING_SHARE: Final = 0.02
"""Share of the stated frames, and of the stated length, that may be missing at the end: containers round."""
MISSING_FRAMES: Final = 2
"""The same in frames, for short videos."""


class VideoError(ValueError):
    """A video that cannot be used, or not to its end; ``code`` goes into the row and ``detail`` beside it."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail

    def __reduce__(self) -> tuple[type[VideoError], tuple[ErrorCode, str]]:
        """Keep both arguments when the error travels between processes."""
        return VideoError, (self.code, self.detail)


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameChoice:
    """Which frames of a video are decoded; the first always is."""

    every: PositiveInt = 1
    """Every n-th frame."""
    fps: NonNegativeFloat = 0.0
    """At most so many a second, by the times of the frames; 0 is no limit."""

    def wants(self, index: int, time_s: float, previous_s: float | None) -> bool:
        """Whether a frame is decoded.

        Args:
            index: Number of the frame, from 0.
            time_s: When it is shown.
            previous_s: When the frame before it is shown, None for the first.
        """
        if previous_s is None:
            return True
        due = self.fps == 0 or int(time_s * self.fps + 1e-6) > int(previous_s * self.fps + 1e-6)
        return due and index % self.every == 0


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoFrame:
    """One decoded frame."""

    index: int
    """Number in the video, from 0, whichever frames were chosen."""
    time_s: float
    """When it is shown."""
    rgb: np.ndarray
    """(H, W, 3) uint8, upright."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StatedLength:
    """What a file says of itself; 0 where it says nothing."""

    frames: int
    """Number of frames; some containers only give length times rate."""
    fps: float
    """Frames a second."""

    def ends_early(self, num_frames: int, last_s: float) -> bool:
        """Whether frames and time are missing after ``num_frames`` decoded frames, the last shown at ``last_s``."""
        if self.frames <= 0 or self.fps <= 0:
            return False
        slack = max(MISSING_FRAMES, MISSING_SHARE * self.frames)
        return num_frames < self.frames - slack and last_s + 1 / self.fps < (self.frames - slack) / self.fps


def stated_length(path: Path) -> StatedLength:
    """The length that a video's header gives, all 0 for a file that cannot be opened; decodes nothing."""
    if not os.path.isfile(path):  # A pipe would keep its reader waiting.
        return StatedLength(frames=0, fps=0.0)
    capture = _open(path)
    try:
        frames, fps = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    finally:
        capture.release()
    is_stated = 0 < frames < 2**31 and 0 < fps < 1e5
    return StatedLength(frames=int(frames), fps=float(fps)) if is_stated else StatedLength(frames=0, fps=0.0)


def read_frames(
    path: Path, *, name: str, choice: FrameChoice | None = None, max_pixels: int = DEFAULT_MAX_PIXELS
) -> Iterator[VideoFrame]:
    """Decodes the chosen frames of a video, in order; frames that are not chosen are skipped cheaply.

    Args:
        path: The file.
        name: How to call it in an error.
        choice: Which frames; None: all.
        max_pixels: Width times height above which the video is refused.

    Raises:
        VideoError: video_unreadable before the first frame; video_truncated after the last one that could be decoded;
            image_missing for a file that is not there; image_too_large.
    """
    choice = choice or FrameChoice()
    try:
        size = regular_state(path, name).st_size
    except ImageError as error:
        raise VideoError(error.code, error.detail) from error
    stated = stated_length(path)
    capture = _open(path)
    num_frames, last_s = 0, None
    try:
        if not capture.isOpened():
            raise VideoError(
                ErrorCode.VIDEO_UNREADABLE, f"{name} ({size} bytes) cannot be opened as a video: no decoder takes it."
            )
        _check_size(capture, name, max_pixels)
        while capture.grab():
            time_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if choice.wants(num_frames, time_s, last_s):
                decoded, bgr = capture.retrieve()
                if not decoded or bgr is None:
                    raise VideoError(ErrorCode.VIDEO_TRUNCATED, f"{name}: frame {num_frames} cannot be decoded.")
                rgb = np.ascontiguousarray(bgr[..., ::-1])
                yield VideoFrame(index=num_frames, time_s=time_s, rgb=rgb)
            num_frames, last_s = num_frames + 1, time_s
    finally:
        capture.release()
    if last_s is None:
        raise VideoError(ErrorCode.VIDEO_UNREADABLE, f"{name} holds no frame that can be decoded.")
    if stated.ends_early(num_frames, last_s):
        raise VideoError(
            ErrorCode.VIDEO_TRUNCATED,
            f"{name} states {stated.frames} frames ({stated.frames / stated.fps:.2f} s), but it ends after "
            f"{num_frames} ({last_s:.2f} s); the frames before are in the other rows.",
        )


def _open(path: Path) -> cv2.VideoCapture:
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        # By this backend alone: others would take the name for a pattern of numbered pictures, or an address.
        return cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    finally:
        cv2.utils.logging.setLogLevel(level)


def _check_size(capture: cv2.VideoCapture, name: str, max_pixels: int) -> None:
    width, height = (int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height > max_pixels:
        raise VideoError(
            ErrorCode.IMAGE_TOO_LARGE,
            f"{name} is {width} x {height} = {width * height} pixels a frame, allowed are {max_pixels}.",
        )

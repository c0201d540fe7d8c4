"""Videos as numbered frames: a clip is read through once to find them, then each can be read by itself.

A frame's number is its place, from 0, among the frames that the file shows, in the order of their times. Constant or
varying rate, the order in which frames are stored and where reading begins do not change it. Clips whose times cannot
be trusted (AVI with frames out of order, files without times) are decoded to be numbered.

A frame that is damaged in the middle of a video often cannot be told from a whole one: the decoder fills its holes from
the frames before it. A file that was cut short can, if it states its length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import cv2
import numpy as np

from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.frame_choice import FrameChoice
from datasets_manifest.sources.images import DEFAULT_MAX_PIXELS, ImageError

if TYPE_CHECKING:
    from datasets_manifest.sources.video_index import FrameIndex

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".3gp", ".mts", ".m2ts"}
)
_FRAME_NAME = re.compile(r"\d{6,}")
"""Names that end so (in any case) are taken for videos; whether they are, the decoder decides."""


def is_video(name: str) -> bool:
    """Whether a file is taken for a video, by its name."""
    return PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES


def frame_name(number: int) -> str:
    """What follows the :: in a frame's name: six digits, so that names sort as the frames do (up to a million)."""
    return f"{number:06d}"


def clip_of(image: str) -> str:
    """What a photo, or a group of photos, is of: the clip of a frame, the whole of a piece of a long clip or scene, and
    itself for any other."""
    file, _, member = image.rpartition("::")
    return file if file and (is_video(file) or _FRAME_NAME.fullmatch(member)) else image


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class VideoClip:
    """The frames of one video file. It holds no open file, so it can be forked, pickled and used by several threads."""

    name: str
    """What errors call it."""
    frames: FrameIndex = field(repr=False)
    """Where in the file they are."""
    cut: ImageError | None
    """video_truncated, for a file that ends before the length that it states; None for a whole one."""

    @classmethod
    def index(cls, path: Path, *, name: str, max_pixels: int = DEFAULT_MAX_PIXELS) -> VideoClip:
        """Finds the frames of a video.

        Args:
            path: The file.
            name: How to call it in errors.
            max_pixels: Width times height above which the video is refused.

        Raises:
            ImageError: image_missing, video_unreadable or image_too_large.
        """
        from datasets_manifest.sources.video_index import index_file  # FFmpeg is for those who read videos.

        frames = index_file(path, name=name, max_pixels=max_pixels)
        return cls(name=name, frames=frames, cut=_cut(frames, name) if frames.ends_early else None)

    def current(self) -> VideoClip:
        """These frames, or those of the file as it is now if it was replaced; a lost file is said when it is read.

        Raises:
            ImageError: As ``index``.
        """
        try:
            state = self.frames.path.stat()
        except OSError:
            return self
        is_same = (state.st_size, state.st_mtime_ns) == (self.frames.size, self.frames.modified_ns)
        return self if is_same else self.index(self.frames.path, name=self.name)

    @property
    def seconds(self) -> float:
        """About how long it is shown, by the times of its frames."""
        times = self.frames.times_s
        return float(times[-1] - times[0]) * len(times) / max(1, len(times) - 1)

    def chosen(self, choice: FrameChoice) -> list[int]:
        """Numbers of the frames that are wanted, in order."""
        times = self.frames.times_s.tolist()
        return [i for i, time_s in enumerate(times) if choice.wants(i, time_s, times[i - 1] if i else None)]

    @property
    def num_frames(self) -> int:
        """How many frames there are, those that a cut file states beyond its end among them; of these one at least."""
        found = len(self.frames.times_s)
        return found if self.cut is None else max(found + 1, self.frames.stated.frames)

    def time_s(self, number: int) -> float:
        """When a frame is shown, from the first; one beyond the end of a cut file at the stated rate."""
        times, beyond = self.frames.times_s, number + 1 - len(self.frames.times_s)
        return float(times[number]) if beyond <= 0 else float(times[-1]) + beyond / self.frames.stated.fps

    def missing(self, choice: FrameChoice) -> list[int]:
        """Those of the frames which a cut file states beyond its end that would be wanted, at the stated rate."""
        beyond = range(len(self.frames.times_s), self.num_frames)
        return [number for number in beyond if choice.wants(number, self.time_s(number), self.time_s(number - 1))]

    def rgb(self, number: int) -> np.ndarray:
        """Decodes a frame: the same pixels, whichever frames were read before. Neighbours in order cost least.

        Colours follow the matrix (BT.601, BT.709, BT.2020) and the range that the video states, BT.601 and the limited
        range where it states none; of more than 8 bits the upper ones are kept, HDR is not tone mapped. How the camera
        was held, as the video states it, is applied, once.

        Returns:
            (H, W, 3) uint8, upright.

        Raises:
            ImageError: video_truncated (the frame is beyond the end of a cut file, or cannot be decoded), or
                image_missing (there is no such frame, or the file is gone or another than was indexed).
        """
        return cv2.cvtColor(self._bgr(number), cv2.COLOR_BGR2RGB)

    def read(self, member: str) -> bytes:
        """A frame by its number, as an uncompressed picture file (BMP); see ``rgb``."""
        if not (member.isascii() and member.isdigit()):
            raise ImageError(ErrorCode.IMAGE_MISSING, f"{self.name} has frames by number, not {member!r}.")
        return cv2.imencode(".bmp", self._bgr(int(member)))[1].tobytes()

    def state(self, member: str) -> tuple[int, int]:
        """Bytes of the file, and when it last changed (ns); whether there is such a frame is said by ``read``."""
        return self.frames.size, self.frames.modified_ns

    def _bgr(self, number: int) -> np.ndarray:
        num_frames = len(self.frames.times_s)
        if number >= num_frames:
            if self.cut is not None:
                raise self.cut
            detail = f"{self.name} has {num_frames} frames, from 0: there is no frame {number}."
            raise ImageError(ErrorCode.IMAGE_MISSING, detail)
        from datasets_manifest.sources.video_decoder import decode_bgr

        pixels = None if number in self.frames.damaged else decode_bgr(self.frames, number)
        if pixels is None:
            detail = f"{self.name}: frame {number} cannot be decoded; its data are damaged or not all there."
            raise ImageError(ErrorCode.VIDEO_TRUNCATED, detail)
        return pixels


def _cut(frames: FrameIndex, name: str) -> ImageError:
    stated = frames.stated
    return ImageError(
        ErrorCode.VIDEO_TRUNCATED,
        f"{name} states {stated.frames} frames ({stated.frames / stated.fps:.2f} s), but it ends after "
        f"{len(frames.times_s)} ({frames.times_s[-1]:.2f} s); the frames before are in the other rows.",
    )

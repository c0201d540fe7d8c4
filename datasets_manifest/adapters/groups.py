"""How videos and scenes become groups: the frames that are fitted together, and lie in one shard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from datasets_manifest.adapters.base import Missing
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.frame_choice import FrameChoice
from datasets_manifest.sources.image_names import MEMBER_MARK
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.video import VideoClip, frame_name

GROUP_FRAMES: Final = 512
"""Frames of a group: 17 seconds at 30 a second, and two of the windows in which clips are fitted."""


def group_of(name: str, frame: int, frames: range, size: int) -> str:
    """The group of a frame: the video or scene itself, or the piece of a long one, called by its first frame.

    Where the pieces begin is decided by the frames that there are, so that one stays in its group whichever of them are
    chosen. The last is longer rather than short.

    Args:
        name: Of the video or scene.
        frame: Number of the frame.
        frames: The numbers there are, the chosen and the others.
        size: Frames of a piece.
    """
    pieces = max(1, (len(frames) + size // 2) // size)
    piece = min((frame - frames.start) // size, pieces - 1)
    return name if pieces == 1 else f"{name}{MEMBER_MARK}{frame_name(frames.start + piece * size)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedVideo:
    """A file that is taken for a video, as far as its frames can be listed."""

    clip: VideoClip | None
    """None where it cannot be indexed."""
    problem: Missing | None
    """What is wrong with it."""

    @classmethod
    def of(cls, images: ImageSource, video: str) -> ListedVideo:
        """Looks into a video."""
        try:
            clip = images.clip(video)
        except ImageError as error:
            # It may be there next time, with frames that have labels now.
            code = ErrorCode.LISTING_INCOMPLETE if error.code == ErrorCode.IMAGE_MISSING else error.code
            return cls(clip=None, problem=Missing.of(video, code, error.detail))
        problem = None if clip.cut is None else Missing.of(video, clip.cut.code, clip.cut.detail)
        return cls(clip=clip, problem=problem)

    @property
    def frames(self) -> range:
        """Numbers of its frames, of a cut one those that it states: none of one that is not there, and of one that is
        no video one, which fails."""
        if self.clip is not None:
            return range(self.clip.num_frames)
        return range(0 if self.problem and self.problem.code == ErrorCode.LISTING_INCOMPLETE else 1)

    def chosen(self, choice: FrameChoice) -> list[int]:
        """Those of the frames that are wanted."""
        return list(self.frames) if self.clip is None else [*self.clip.chosen(choice), *self.clip.missing(choice)]

    def time_s(self, number: int) -> float:
        """When a frame is shown, from the first."""
        return 0.0 if self.clip is None else self.clip.time_s(number)

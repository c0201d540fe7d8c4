"""How videos and scenes are cut into groups: the frames that are fitted together, and lie in one shard."""

from __future__ import annotations

from typing import Final

from datasets_manifest.sources.image_names import MEMBER_MARK
from datasets_manifest.sources.video import frame_name

GROUP_FRAMES: Final = 512
"""Frames of a group: 17 seconds at 30 a second, and two of the windows in which clips are fitted."""


def group_of(name: str, frame: int, num_frames: int, size: int) -> str:
    """The group of a frame: the video itself, or the piece of a long one, called by its first frame.

    Where the pieces begin is decided by the length of the video alone, so that a frame stays in its group whichever
    others are chosen. The last is longer rather than short.

    Args:
        name: Of the video or scene.
        frame: Number of the frame.
        num_frames: How many the video has, the chosen and the others.
        size: Frames of a piece.
    """
    pieces = max(1, (num_frames + size // 2) // size)
    piece = min(frame // size, pieces - 1)
    return name if pieces == 1 else f"{name}{MEMBER_MARK}{frame_name(piece * size)}"

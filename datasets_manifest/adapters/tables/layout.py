"""What the layout of the adapter ``table`` may hold: the format, its file, and where photos are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import PositiveFloat

from datasets_manifest.settings import Text

Kind = Literal["aic_native", "ava", "instavariety_tracks", "lspet", "mpii_json", "sa1b"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TableLayout:
    """A native format."""

    kind: Kind
    """Which one."""
    annotations: Text
    """The JSON, CSV or .mat file, relative to the root; of instavariety_tracks the folder of tracks, of sa1b shell
    patterns of its tar files, such as sa_*.tar."""
    images: Text = "."
    """Folder or tar file of the photos, relative to the root."""
    photo: Text | None = None
    """Name of a photo below ``images``, with what stands in the row in braces; null for {image_id}.jpg of aic_native,
    {video}/{time}.jpg of ava (whole seconds, four digits), {tag}/{video}/{image} of instavariety_tracks. A name of
    ava that is a video's, such as {video}.mkv, is the frame of that time in it."""
    excluded: Text | None = None
    """Of ava: the CSV of video and time that are left out, relative to the root."""
    fps: PositiveFloat = 30.0
    """Of instavariety_tracks: frames a second."""

    def __post_init__(self) -> None:
        if self.excluded is not None and self.kind != "ava":
            raise ValueError(f"excluded: is of kind ava, got it with {self.kind}")

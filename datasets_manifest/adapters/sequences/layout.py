"""What the layout of the adapter ``sequence_pickle`` may hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from datasets_manifest.settings import Text


@dataclass(frozen=True, kw_only=True, slots=True)
class SequencePickleLayout:
    """Which pickles, and where their photos are."""

    kind: Literal["pw3d", "agora"]
    """3DPW or AGORA."""
    files: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Shell patterns of the pickles, relative to the root."""
    images: Text = "."
    """Folder or tar file of the photos, relative to the root."""
    frames: Literal["campose", "campose_and_points"] = "campose"
    """Of pw3d, which frames a person is taken of: those whose camera is valid, as SPIN and HMR2 have it, or those that
    have 2D points too, as the official evaluation has it. People without a point have no box and are left out anyway;
    the second does not count them as lost."""
    bodies: Text | None = None
    """Of agora: the folder, relative to the root, that ``gt_path_smplx`` of the rows is relative to, whose pickles are
    the bodies; null: labels and evaluation have the joints alone."""
    small_pictures: bool = False
    """Of agora: whether the pictures are those of 1280 x 720, not of 3840 x 2160."""

"""What gives the photos of a data set, whether they lie in a folder, a tar file or a video; and whether they are there.

A source holds no open file, so it can be forked, pickled and used by several threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.video import VideoClip
from datasets_manifest.stores import Place

FileState = tuple[int, int]
"""Bytes, and the time of the last change in ns: a replaced photo has others. A member has the time of its tar file, a
frame both of its video."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The files of a source."""

    names: list[str]
    """As ``ImageSource.read`` takes them, videos as files, sorted; hidden files and folders are left out."""
    problems: list[tuple[str, ImageError]]
    """Files that cannot be named and, as ``listing_incomplete``, folders and tar files that cannot be looked into; each
    with the reason."""
    links_followed: int = 0
    """Linked folders that were looked into."""
    links_left_out: int = 0
    """Linked folders that were not: links are refused, or the folder is listed already."""
    results_left_out: int = 0
    """Folders that were not looked into because results are written there."""


class ImageSource(Protocol):
    """Gives the bytes of the photos of one data set."""

    @property
    def root(self) -> Path:
        """Folder, tar file or video."""
        ...

    def listing(self, *, recursive: bool = True) -> Listing:
        """All files; not recursive: none in folders below the root."""
        ...

    def clip(self, video: str) -> VideoClip:
        """The frames of a video; its file is read through when it is first asked for.

        Raises:
            ImageError: There is no such video, it is unreadable or too large, or lies in a tar file.
        """
        ...

    def read(self, image: str) -> bytes:
        """The bytes of a photo; of a frame, those of a picture file made of it.

        Raises:
            ImageError: It is not there, may not be read, is too large, or its name leads outside the root.
        """
        ...

    def state(self, image: str) -> FileState:
        """Size and time of a photo; cheap for millions.

        Raises:
            ImageError: As ``read``, but for the size, and for a frame that its video has not.
        """
        ...

    def missing(self, images: Iterable[str]) -> list[str]:
        """Those of the names that do not exist, sorted; many at once are much cheaper than one by one."""
        ...


def problem_of(source: ImageSource, image: str) -> ImageError | None:
    """Why a photo cannot be read, None if it is there; reads no bytes of it."""
    try:
        source.state(image)
    except ImageError as error:
        return error
    return None


def check_images(images: Sequence[str], source: ImageSource, *, labels: Place) -> None:
    """Refuses labels whose photos are gone.

    Args:
        images: Names in the `image` column, each once.
        source: Where they should be.
        labels: What names them.

    Raises:
        ValueError: With the number of vanished photos, some of them, and why the first cannot be had.
    """
    missing = source.missing(images)
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(images)} photos that the labels in {labels} name are not in {source.root}, such "
            f"as {', '.join(missing[:3])} ({problem_of(source, missing[0])}); bring them back, correct the place of "
            "the images, or annotate what is there."
        )

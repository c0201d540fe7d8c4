"""A folder of photos, or of tar files of photos, without annotations. An image's id is its path below the root."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Annotated, ClassVar

from pydantic import Field

from datasets_manifest.adapters.base import Entry, ImageRecord, LeftOut, Missing
from datasets_manifest.adapters.registry import register
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.settings import Text
from datasets_manifest.sources.image_sources import PHOTO_SUFFIXES, ImageSource


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderLayout:
    """Which files of the folder belong to the data set."""

    include: Annotated[tuple[Text, ...], Field(min_length=1)] = ("*",)
    """Shell patterns over the path below the root (* also crosses folders); a plain name must exist."""
    recursive: bool = True
    """Look into folders within the folder."""


@register("folder")
class FolderAdapter:
    """Photos in a folder; people are to be detected."""

    Layout: ClassVar[type] = FolderLayout
    BOXES: ClassVar[frozenset[str]] = frozenset({"detector"})
    KEYPOINTS: ClassVar[frozenset[str]] = frozenset({"none"})

    def __init__(self, images: ImageSource, layout: FolderLayout, *, boxes: str, keypoints: str) -> None:
        self._images = images
        self._layout = layout

    def entries(self) -> Iterator[Entry]:
        """List the photos; other files are counted, and so are linked folders, whether they were looked into or not.

        Hidden files and folders are left out.
        """
        listing = self._images.listing(recursive=self._layout.recursive)
        chosen = [name for name in listing.names if any(fnmatchcase(name, p) for p in self._layout.include)]
        photos = [name for name in chosen if PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES]
        named = [p for p in self._layout.include if not set("*?[") & set(p) and p not in chosen]
        absent = Missing.photos(self._images, [*photos, *named])
        hidden = set(named) - {missing.path for missing in absent}
        yield from absent
        yield from (_hidden(name) for name in sorted(hidden))
        yield from (Missing.of(name, problem.code, problem.detail) for name, problem in listing.problems)
        yield LeftOut("other files left out", len(listing.names) - len(photos))
        if listing.links_followed:
            yield LeftOut("linked folders looked into", listing.links_followed)
        if listing.links_left_out:
            yield LeftOut("linked folders left out", listing.links_left_out)
        yield from (ImageRecord(image_id=name, path=name) for name in sorted([*photos, *named]))


def _hidden(name: str) -> Missing:
    return Missing.of(name, ErrorCode.SOURCE_ROW_INVALID, "the file is hidden or below a folder that is not searched.")

"""A folder of photos, tar files of photos and videos, without annotations. An image's id is its path below the root.

A video is a group, a long one several; beside videos a photo is a group of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Annotated, ClassVar

from pydantic import Field, PositiveInt

from datasets_manifest.adapters.base import Entry, ImageRecord, LeftOut, Missing, Place
from datasets_manifest.adapters.groups import GROUP_FRAMES, ListedVideo, group_of
from datasets_manifest.adapters.registry import register
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.settings import Text
from datasets_manifest.sources.frame_choice import FrameChoice
from datasets_manifest.sources.image_names import MEMBER_MARK, PHOTO_SUFFIXES
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.video import frame_name, is_video


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderLayout:
    """Which files of the folder belong to the data set."""

    include: Annotated[tuple[Text, ...], Field(min_length=1)] = ("*",)
    """Shell patterns over the path below the root (* also crosses folders); a plain name must exist."""
    recursive: bool = True
    """Look into folders within the folder."""
    frames: FrameChoice | None = None
    """Which frames of videos, such as {fps: 2}; {} is all of them, null leaves videos out and counts them."""
    group_frames: PositiveInt = GROUP_FRAMES
    """Videos with more frames, the chosen and the others, are cut into groups of about so many, each fitted together
    and in one shard."""


@register("folder")
class FolderAdapter:
    """Photos and frames of videos in a folder; people are to be detected."""

    Layout: ClassVar[type] = FolderLayout
    BOXES: ClassVar[frozenset[str]] = frozenset({"detector"})
    KEYPOINTS: ClassVar[frozenset[str]] = frozenset({"none"})

    def __init__(self, images: ImageSource, layout: FolderLayout, *, boxes: str, keypoints: str) -> None:
        self._images = images
        self._layout = layout

    def entries(self) -> Iterator[Entry]:
        """List photos and frames; other files are counted, and so are linked folders, whether they were looked into.

        Hidden files and folders are left out. A video's frames follow each other in order.
        """
        listing = self._images.listing(recursive=self._layout.recursive)
        chosen = [name for name in listing.names if any(fnmatchcase(name, p) for p in self._layout.include)]
        photos = [name for name in chosen if PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES]
        videos = [name for name in chosen if is_video(name)]
        named = [p for p in self._layout.include if not set("*?[") & set(p) and p not in chosen]
        absent = Missing.photos(self._images, [*photos, *named])
        hidden = set(named) - {missing.path for missing in absent}
        yield from (missing for missing in absent if self._layout.frames is None or not is_video(missing.path))
        yield from (_hidden(name) for name in sorted(hidden))
        yield from (Missing.of(name, problem.code, problem.detail) for name, problem in listing.problems)
        yield LeftOut("other files left out", len(listing.names) - len(photos) - len(videos))
        if self._layout.frames is None:
            yield LeftOut("videos left out, whose frames layout.frames would list", len(videos))
            videos = []
        if listing.results_left_out:
            yield LeftOut("folders of results left out", listing.results_left_out)
        if listing.links_followed:
            yield LeftOut("linked folders looked into", listing.links_followed)
        if listing.links_left_out:
            yield LeftOut("linked folders left out", listing.links_left_out)
        # What cannot be looked into is told before the first photo: what was planned before may have to stay.
        found: dict[str, ListedVideo] = {}
        frames: dict[str, list[int]] = {}
        if self._layout.frames is not None:
            for name in sorted(name for name in (*videos, *named) if is_video(name)):
                video = found[name] = ListedVideo.of(self._images, name)
                frames[name] = video.chosen(self._layout.frames)
                if video.problem is not None:
                    yield video.problem
            if frames:
                counted = f"{len(frames)} video{'s' * (len(frames) > 1)}"
                seconds = sum(video.clip.seconds for video in found.values() if video.clip)
                yield LeftOut(f"frames of {counted} of {seconds:.1f} s", sum(map(len, frames.values())))
        for name in sorted([*photos, *named, *videos]):
            if name not in frames:
                alone = Place(group=name, frame=0, time_s=0.0) if frames else None
                yield ImageRecord(image_id=name, path=name, place=alone)
            for number in frames.get(name, ()):
                frame, video = f"{name}{MEMBER_MARK}{frame_name(number)}", found[name]
                group = group_of(name, number, video.frames, self._layout.group_frames)
                place = Place(group=group, frame=number, time_s=video.time_s(number))
                yield ImageRecord(image_id=frame, path=frame, place=place)


def _hidden(name: str) -> Missing:
    detail = "the file is hidden or below a folder that is not searched."
    return Missing.of(name, ErrorCode.SOURCE_ROW_INVALID, detail, has_row=True)

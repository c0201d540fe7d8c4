"""What is predicted on: photos, tar files of photos and videos by file, folder or pattern, decoded one by one."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datasets_manifest.files import shortened
from datasets_manifest.paths import MAX_NAME_BYTES, placed
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.files import read_regular
from datasets_manifest.sources.folder_walk import walk_folder
from datasets_manifest.sources.frame_choice import FrameChoice
from datasets_manifest.sources.image_names import ARCHIVE_SUFFIX, MEMBER_MARK, PHOTO_SUFFIXES
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.images import ImageError, decode_image, exif_focal_px
from datasets_manifest.sources.opening import open_images
from datasets_manifest.sources.video import VIDEO_SUFFIXES, VideoClip, is_video
from tasks.predict.folder import RESULTS

_ROOM_BYTES = 16
"""For what is put behind a photo's name: a number and the suffix of what is written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One file, or one member of a tar file."""

    path: Path
    """Where the file lies."""
    name: str
    """As the rows have it: what was typed, or what was typed and the path below it; archive.tar::member in a tar."""
    label: str
    """Name without suffix of what is written for it, unique, with folders but never above the output folder."""
    member: str | None = None
    """Which member of the tar file."""
    archive: ImageSource | None = None
    """The opened tar file."""
    problem: ImageError | None = None
    """Why a folder or tar file could not be looked into; it stands for what may be in it."""

    @property
    def is_video(self) -> bool:
        """By its suffix; everything else is decoded as a photo."""
        return self.problem is None and self.member is None and is_video(self.path.name)


class _Found(NamedTuple):
    """What becomes a source: see there."""

    path: Path
    member: str | None = None
    archive: ImageSource | None = None
    problem: ImageError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class InputFrame:
    """A photo or one frame of a video, or why there is none."""

    source: Source
    """The file."""
    frame: int | None = None
    """Number of the frame; None for a photo and for an error of a whole video."""
    time_s: float | None = None
    """When the frame is shown."""
    rgb: np.ndarray | None = None
    """(H, W, 3) uint8; None where there is an error."""
    focal_px: float | None = None
    """Focal length that the photo's EXIF block states."""
    error: ImageError | None = None
    """Why the file, a frame, or the rest of a video, could not be read."""

    @property
    def name(self) -> str:
        """For messages."""
        return self.source.name if self.frame is None else f"{self.source.name}, frame {self.frame}"

    @property
    def label(self) -> str:
        """Name without suffix of what is written for it."""
        return self.source.label if self.frame is None else f"{self.source.label}/{self.frame:06d}"


def find_sources(inputs: Sequence[str], *, without: Path | None = None) -> list[Source]:
    """Lists the photos and videos of files, folders and patterns, each once, folders in the order of their names.

    In folders and tar files, files of other kinds, and hidden files and folders, are passed over; a file that is named
    itself, or by a pattern, is taken whatever it is called. The members of a tar file stand in its place. Links are
    followed. A folder, or a tar file in one, that cannot be looked into is a source with a problem.

    Args:
        inputs: As they were typed.
        without: Where the results go: those that are there are left out, unless a file is named itself.

    Raises:
        ValueError: An input is empty or does not exist, a tar file cannot be read, or nothing is found.
    """
    inputs = [str(placed(given)) for given in inputs]
    results = () if without is None else tuple((without / name).resolve() for name in RESULTS)
    files: dict[str, _Found] = {}
    num_results = 0
    for given in inputs:
        for path in _matches(given):
            for one in _below(path) if os.path.isdir(path) else [_Found(path)]:
                whole = Path(os.path.realpath(one.path))
                if one.path != Path(given) and any(whole.is_relative_to(folder) for folder in results):
                    num_results += 1
                else:
                    files.setdefault(str(whole), one)
    found = [entry for one in files.values() for entry in _members(one, is_named=str(one.path) in inputs)]
    if not found and num_results:
        raise ValueError(
            f"all {num_results} photos and videos in {', '.join(inputs)} are results of an earlier run in {without}; "
            "name the photos themselves, or other results with --out"
        )
    if not found:
        kinds = ", ".join(sorted({*PHOTO_SUFFIXES, *VIDEO_SUFFIXES, ARCHIVE_SUFFIX}))
        raise ValueError(f"no photo or video in {', '.join(inputs)}: expected files of the kinds {kinds}")
    return _labelled(found)


def decode_frames(source: Source, choice: FrameChoice) -> Iterator[InputFrame]:
    """Decodes a photo, or the chosen frames of a video; the last frame says what could not be read."""
    try:
        if source.problem is not None:
            yield InputFrame(source=source, error=source.problem)
        elif source.is_video:
            yield from _video_frames(source, choice)
        else:
            data = _bytes(source)
            yield InputFrame(source=source, rgb=decode_image(data, name=source.name), focal_px=exif_focal_px(data))
    except ImageError as error:
        yield InputFrame(source=source, error=_with_suffixes(error, source))


def _with_suffixes(error: ImageError, source: Source) -> ImageError:
    """What is said of a file that is no photo; how videos are called, if it may be one."""
    if error.code != ErrorCode.IMAGE_UNSUPPORTED or source.path.suffix.lower() in (*PHOTO_SUFFIXES, ARCHIVE_SUFFIX):
        return error
    kinds = ", ".join(sorted(VIDEO_SUFFIXES))
    return ImageError(error.code, f"{error.detail.removesuffix('.')}, or a video with one of the suffixes {kinds}.")


def count_frames(sources: Sequence[Source], choice: FrameChoice) -> int:
    """About how many frames there will be, from what the videos' headers say; for progress only."""
    from datasets_manifest.sources.video_index import stated_length

    total = 0
    for source in sources:
        stated = stated_length(source.path) if source.is_video else None
        if stated is None or not stated.frames:
            total += 1
            continue
        share = min(1.0, choice.fps / stated.fps) if choice.fps and stated.fps else 1.0
        total += max(1, round(stated.frames * min(share, 1 / choice.every)))
    return total


def _video_frames(source: Source, choice: FrameChoice) -> Iterator[InputFrame]:
    clip = VideoClip.index(source.path, name=source.name)
    for number in clip.chosen(choice):
        rgb, error = None, None
        try:
            rgb = clip.rgb(number)
        except ImageError as unread:
            error = unread
        yield InputFrame(source=source, frame=number, time_s=float(clip.frames.times_s[number]), rgb=rgb, error=error)
    if clip.cut is not None:
        raise clip.cut


def _bytes(source: Source) -> bytes:
    try:
        if source.archive is not None and source.member is not None:
            return source.archive.read(source.member)
        return read_regular(source.path, source.name)
    except OSError as error:  # The disk failed; the other photos need not be lost with this one.
        raise ImageError(ErrorCode.IMAGE_MISSING, f"{source.name} cannot be read ({error.strerror}).") from error


def _members(one: _Found, *, is_named: bool) -> list[_Found]:
    """The file itself, or the photos in a tar file; among them those whose names are refused when they are read.

    Raises:
        ValueError: A tar file that was named itself cannot be read.
    """
    if one.problem is not None or one.path.suffix != ARCHIVE_SUFFIX:
        return [one]
    try:
        archive = open_images(one.path)
    except ValueError as error:
        if is_named:
            raise
        reason = error.detail if isinstance(error, ImageError) else str(error)
        return [_Found(one.path, problem=ImageError(ErrorCode.LISTING_INCOMPLETE, reason))]
    listing = archive.listing()
    names = [*listing.names, *(name for name, _ in listing.problems)]
    return [_Found(one.path, name, archive) for name in names if Path(name).suffix.lower() in PHOTO_SUFFIXES]


def _matches(given: str) -> list[Path]:
    path = Path(given)
    try:
        os.stat(path)
        return [path]
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or error
        raise ValueError(f"input {given!r} cannot be looked at ({problem})") from error
    matched = [Path(name) for name in sorted(glob.glob(given, recursive=True))] if glob.has_magic(given) else []
    if not matched:
        what = "matches no file" if glob.has_magic(given) else "does not exist"
        raise ValueError(f"input {given!r} {what}; give photos, videos, folders of them, or a pattern in quotes")
    return matched


def _below(folder: Path) -> list[_Found]:
    walk = walk_folder(folder)
    kinds = PHOTO_SUFFIXES | VIDEO_SUFFIXES | {ARCHIVE_SUFFIX}
    found = [_Found(folder / name) for name in walk.files if Path(name).suffix.lower() in kinds]
    return found + [_Found(folder / name, problem=problem) for name, problem in walk.problems]


def _labelled(found: Sequence[_Found]) -> list[Source]:
    """Names what is written: the path without suffix where that is unique, else with it, else numbered.

    The frames of a video go into a folder of its name, so no photo may lie in a folder of that name; the members of a
    tar file do.
    """
    paths = [one.path if one.member is None else Path(f"{one.path}/{one.member}") for one in found]
    plain = [Path(*[part for part in path.parts if part not in ("..", path.anchor)]) for path in paths]
    stems = Counter(path.with_suffix("") for path in plain)
    folders = {_label(folder) for path in plain for folder in path.parents}
    labels: dict[str, Source] = {}
    for (path, member, archive, problem), own in zip(found, plain, strict=True):
        taken = folders if own.suffix.lower() in VIDEO_SUFFIXES else ()
        label = _label(own.with_suffix("") if stems[own.with_suffix("")] == 1 else own)
        if label in taken:
            label = _label(own)
        number = 1
        while label in labels or label in taken:
            number += 1
            label = f"{_label(own)}-{number}"
        name = _text(path) if member is None else f"{_text(path)}{MEMBER_MARK}{member}"
        labels[label] = Source(path=path, name=name, label=label, member=member, archive=archive, problem=problem)
    return list(labels.values())


def _label(path: Path) -> str:
    """A path as text whose parts leave room for a number and a suffix in a file's name."""
    return "/".join(shortened(part, MAX_NAME_BYTES - _ROOM_BYTES) for part in _text(path).split("/"))


def _text(path: Path) -> str:
    """A path as text; bytes that are none are written out."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")

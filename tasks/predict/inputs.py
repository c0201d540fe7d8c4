"""What is predicted on: photos and videos by file, folder or pattern, decoded one after the other."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets_manifest.adapters.folder import SUFFIXES as PHOTO_SUFFIXES
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.images import ImageError, decode_image
from datasets_manifest.sources.video import SUFFIXES as VIDEO_SUFFIXES
from datasets_manifest.sources.video import FrameChoice, VideoError, read_frames, stated_length
from tasks.predict.folder import RESULTS


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One file."""

    path: Path
    """Where it lies."""
    name: str
    """As the rows have it: what was typed, or what was typed and the path below it."""
    label: str
    """Name without suffix of what is written for it, unique, with folders but never above the output folder."""

    @property
    def is_video(self) -> bool:
        """By its suffix; everything else is decoded as a photo."""
        return self.path.suffix.lower() in VIDEO_SUFFIXES


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
    error: ImageError | VideoError | None = None
    """Why the file, or the rest of a video, could not be read."""

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

    In folders, files of other kinds, and hidden files and folders, are passed over; a file that is named itself, or by
    a pattern, is taken whatever it is called.

    Args:
        inputs: As they were typed.
        without: Where the results go: those that are there are left out, unless a file is named itself.

    Raises:
        ValueError: An input does not exist, or nothing is found.
    """
    results = () if without is None else tuple((without / name).resolve() for name in RESULTS)
    paths: dict[str, Path] = {}
    num_results = 0
    for given in inputs:
        for path in _matches(given):
            for one in _below(path) if path.is_dir() else [path]:
                whole = one.resolve()
                if one != Path(given) and any(whole.is_relative_to(folder) for folder in results):
                    num_results += 1
                else:
                    paths.setdefault(str(whole), one)
    if not paths and num_results:
        raise ValueError(
            f"all {num_results} photos and videos in {', '.join(inputs)} are results of an earlier run in {without}; "
            "name the photos themselves, or other results with --out"
        )
    if not paths:
        kinds = ", ".join(sorted({*PHOTO_SUFFIXES, *VIDEO_SUFFIXES}))
        raise ValueError(f"no photo or video in {', '.join(inputs)}: expected files of the kinds {kinds}")
    return _labelled(list(paths.values()))


def decode_frames(source: Source, choice: FrameChoice) -> Iterator[InputFrame]:
    """Decodes a photo, or the chosen frames of a video; the last frame says what could not be read."""
    try:
        if source.is_video:
            for frame in read_frames(source.path, name=source.name, choice=choice):
                yield InputFrame(source=source, frame=frame.index, time_s=frame.time_s, rgb=frame.rgb)
        else:
            yield InputFrame(source=source, rgb=decode_image(_bytes(source), name=source.name))
    except (ImageError, VideoError) as error:
        yield InputFrame(source=source, error=error)


def count_frames(sources: Sequence[Source], choice: FrameChoice) -> int:
    """About how many frames there will be, from what the videos' headers say; for progress only."""
    total = 0
    for source in sources:
        stated = stated_length(source.path) if source.is_video else None
        if stated is None or not stated.frames:
            total += 1
            continue
        share = min(1.0, choice.fps / stated.fps) if choice.fps and stated.fps else 1.0
        total += max(1, round(stated.frames * min(share, 1 / choice.every)))
    return total


def _bytes(source: Source) -> bytes:
    try:
        return source.path.read_bytes()
    except OSError as error:
        raise ImageError(ErrorCode.IMAGE_MISSING, f"{source.name} cannot be read ({error.strerror}).") from error


def _matches(given: str) -> list[Path]:
    path = Path(given)
    if path.exists():
        return [path]
    matched = [Path(name) for name in sorted(glob.glob(given, recursive=True))] if glob.has_magic(given) else []
    if not matched:
        what = "matches no file" if glob.has_magic(given) else "does not exist"
        raise ValueError(f"input {given!r} {what}; give photos, videos, folders of them, or a pattern in quotes")
    return matched


def _below(folder: Path) -> list[Path]:
    found: list[Path] = []
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        kept = [name for name in sorted(files) if not name.startswith(".")]
        found += [Path(here) / n for n in kept if Path(n).suffix.lower() in PHOTO_SUFFIXES | VIDEO_SUFFIXES]
    return found


def _labelled(paths: list[Path]) -> list[Source]:
    """Names what is written: the path without suffix where that is unique, else with it, else numbered.

    The frames of a video go into a folder of its name, so no photo may lie in a folder of that name.
    """
    plain = [Path(*[part for part in path.parts if part not in ("..", path.anchor)]) for path in paths]
    stems = Counter(path.with_suffix("") for path in plain)
    folders = {_text(folder) for path in plain for folder in path.parents}
    labels: dict[str, Path] = {}
    for path, own in zip(paths, plain, strict=True):
        taken = folders if own.suffix.lower() in VIDEO_SUFFIXES else ()
        label = _text(own.with_suffix("")) if stems[own.with_suffix("")] == 1 else _text(own)
        if label in taken:
            label = _text(own)
        number = 1
        while label in labels or label in taken:
            number += 1
            label = f"{_text(own)}-{number}"
        labels[label] = path
    return [Source(path=path, name=_text(path), label=label) for label, path in labels.items()]


def _text(path: Path) -> str:
    """A path as text; bytes that are none are written out."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")

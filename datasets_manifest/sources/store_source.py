"""Photos below an address in a store, one object each, as the source of photos."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from upath import UPath

from datasets_manifest.paths import plain
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.files import MAX_FILE_BYTES, file_error
from datasets_manifest.sources.image_names import ARCHIVE_SUFFIX, MEMBER_MARK, check_name, file_of
from datasets_manifest.sources.image_source import FileState, Listing, problem_of
from datasets_manifest.sources.images import ImageError, UnreachableError
from datasets_manifest.sources.video import VideoClip
from datasets_manifest.stores import below, get, listed, state_of

_COPY = "copy it to a disk and annotate it there"


@dataclass(kw_only=True, slots=True, eq=False)
class StoreSource:
    """Objects below an address. Videos and tar files among them are not read."""

    root: Any
    """The address, a ``UPath``. Whoever opens files below a root is given none (``manifest.open_source``)."""
    states: dict[str, FileState] = field(default_factory=dict, repr=False)
    """Of the photos that were listed, so that they are not asked for one by one."""

    def listing(self, *, recursive: bool = True) -> Listing:
        names: list[str] = []
        problems: list[tuple[str, ImageError]] = []
        for entry in listed(self.root):
            name = below(self.root, entry.path)
            if not recursive and "/" in name:
                continue
            try:
                check_name(name)
                self._address(name)
            except ImageError as error:
                problems.append((name, error))
                continue
            if name.endswith(ARCHIVE_SUFFIX):
                detail = f"tar files in a store are not read: {_COPY}, or unpack it."
                problems.append((name, ImageError(ErrorCode.LISTING_INCOMPLETE, detail)))
                continue
            names.append(name)
            self.states[name] = entry.state.st_size, entry.state.st_mtime_ns
        return Listing(names=sorted(names), problems=problems)

    def clip(self, video: str) -> VideoClip:
        raise _unsupported(video)

    def read(self, image: str) -> bytes:
        size, _ = self.state(image)
        if size > MAX_FILE_BYTES:
            detail = f"{image} has {size} bytes, allowed are {MAX_FILE_BYTES}."
            raise ImageError(ErrorCode.IMAGE_TOO_LARGE, detail)
        try:
            return get(self._address(image))
        except (FileNotFoundError, PermissionError) as error:
            raise file_error(f"{image} in {self.root}", error) from error

    def state(self, image: str) -> FileState:
        if MEMBER_MARK in image:
            raise _unsupported(file_of(image))
        if image not in self.states:
            try:
                found = state_of(self._address(image))
            except (FileNotFoundError, PermissionError) as error:
                raise file_error(f"{image} in {self.root}", error) from error
            except OSError as error:
                detail = f"{image} in {self.root} cannot be looked at ({error.strerror or error})."
                raise UnreachableError(ErrorCode.IMAGE_MISSING, detail) from error
            return found.st_size, found.st_mtime_ns
        return self.states[image]

    def missing(self, images: Iterable[str]) -> list[str]:
        names = list(images)
        if not self.states and len(names) > 1:
            self.listing()
        return sorted(image for image in names if image not in self.states and problem_of(self, image))

    def _address(self, image: str) -> UPath:
        try:
            return self.root / str(plain(image, self.root))
        except ValueError as error:
            raise ImageError(ErrorCode.SOURCE_ROW_INVALID, str(error)) from error


def _unsupported(file: str) -> ImageError:
    return ImageError(ErrorCode.IMAGE_UNSUPPORTED, f"{file} is no photo; in a store photos alone are read: {_COPY}.")

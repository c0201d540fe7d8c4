"""Photos below an address in a store, objects of their own or in tar files, as the source of photos."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from datasets_manifest.paths import plain
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.files import MAX_FILE_BYTES, file_error
from datasets_manifest.sources.image_names import ARCHIVE_SUFFIX, MEMBER_MARK, check_name, file_of, is_shown
from datasets_manifest.sources.image_source import FileState, Listing, problem_of
from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.tar_archive import TarArchive
from datasets_manifest.sources.video import VideoClip
from datasets_manifest.stores import below, get, listed, state_of

if TYPE_CHECKING:  # What runs without stores runs without their packages.
    from upath import UPath

_COPY = "copy it to a disk and annotate it there"


@dataclass(kw_only=True, slots=True, eq=False)
class StoreSource:
    """Objects below an address, and members of tar files among them, named by archive.tar::member; no videos."""

    root: Any
    """The address, a ``UPath``. Whoever opens files below a root is given none (``manifest.open_source``)."""
    states: dict[str, FileState] = field(default_factory=dict, repr=False)
    """Of the photos that were listed, so that they are not asked for one by one."""
    archives: dict[str, TarArchive] = field(default_factory=dict, repr=False)
    """Indexed tar files by their name."""

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
                try:
                    archive = self._archive(name, is_asked=True)
                except ImageError as error:
                    problems.append((name, ImageError(ErrorCode.LISTING_INCOMPLETE, error.detail)))
                    continue
                names += [f"{name}{MEMBER_MARK}{member}" for member in archive.members if is_shown(member)]
                problems += [(f"{name}{MEMBER_MARK}{member}", error) for member, error in archive.problems()]
                continue
            names.append(name)
            self.states[name] = entry.state.st_size, entry.state.st_mtime_ns
        return Listing(names=sorted(names), problems=problems)

    def clip(self, video: str) -> VideoClip:
        raise _unsupported(video)

    def read(self, image: str) -> bytes:
        if (member := self._member(image, is_asked=True)) is not None:
            return member[0].read(member[1])
        size, _ = self.state(image)
        if size > MAX_FILE_BYTES:
            detail = f"{image} has {size} bytes, allowed are {MAX_FILE_BYTES}."
            raise ImageError(ErrorCode.IMAGE_TOO_LARGE, detail)
        try:
            return get(self._address(image))
        except (FileNotFoundError, PermissionError) as error:
            raise file_error(f"{image} in {self.root}", error) from error

    def state(self, image: str) -> FileState:
        if (member := self._member(image)) is not None:
            return member[0].state(member[1])
        if image not in self.states:
            try:
                found = state_of(self._address(image))
            except OSError as error:
                raise file_error(f"{image} in {self.root}", error) from error
            return found.st_size, found.st_mtime_ns
        return self.states[image]

    def missing(self, images: Iterable[str]) -> list[str]:
        names = list(images)
        if not self.states and sum(MEMBER_MARK not in image for image in names) > 1:
            self.listing()
        return sorted(image for image in names if image not in self.states and problem_of(self, image))

    def _member(self, image: str, *, is_asked: bool = False) -> tuple[TarArchive, str] | None:
        """Tar file and member that a name means; None for an object of its own.

        Args:
            image: The name.
            is_asked: Whether the store is asked if the tar file is still the one that was indexed.
        """
        name, mark, member = image.partition(MEMBER_MARK)
        if not mark:
            return None
        if file_of(image) != image:
            raise _unsupported(name)
        return self._archive(name, is_asked=is_asked), member

    def _archive(self, name: str, *, is_asked: bool) -> TarArchive:
        try:
            known = self.archives.get(name)
            if known is None:
                self.archives[name] = TarArchive.index(self._address(name))
            elif is_asked:
                self.archives[name] = known.current()
        except ImageError:
            raise
        except ValueError as error:
            raise ImageError(ErrorCode.IMAGE_MISSING, str(error)) from error
        return self.archives[name]

    def _address(self, image: str) -> UPath:
        try:
            return self.root / str(plain(image, self.root))
        except ValueError as error:
            raise ImageError(ErrorCode.SOURCE_ROW_INVALID, str(error)) from error


def _unsupported(file: str) -> ImageError:
    return ImageError(ErrorCode.IMAGE_UNSUPPORTED, f"{file} is a video, which is not read in a store: {_COPY}.")

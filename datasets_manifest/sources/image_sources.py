"""Where the photos of a data set lie: a folder, tar files in it, or one tar file. The one way to a photo's bytes.

A name as the `image` column has it is a path below the folder; ``archive.tar::member`` for a member of a tar file below
it; or, where the folder holds tar files, just the member. A source holds no open file, so it can be forked, pickled and
used by several threads.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from datasets_manifest.paths import inside
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.files import MAX_FILE_BYTES, find_file, read_file
from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.tar_archive import TarArchive

MEMBER_MARK = "::"
"""Between the path of a tar file and the name of a member."""

ARCHIVE_SUFFIX = ".tar"
"""Files that end so are tar files, whose members are listed in their place."""

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff"})
"""Names that end so (in any case) are taken for photos; whether they are, the decoder decides."""

FileState = tuple[int, int]
"""Bytes, and the time of the last change in ns (of the tar file, for a member): a replaced photo has others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The files of a source."""

    names: list[str]
    """As ``ImageSource.read`` takes them, sorted; hidden files and folders, and linked folders, are left out."""
    problems: list[tuple[str, ImageError]]
    """Files that cannot be named, and tar files that cannot be read, each with the reason."""


class ImageSource(Protocol):
    """Gives the bytes of the photos of one data set."""

    @property
    def root(self) -> Path:
        """Folder or tar file."""
        ...

    def listing(self, *, recursive: bool = True) -> Listing:
        """All files; not recursive: none in folders below the root."""
        ...

    def read(self, image: str) -> bytes:
        """The bytes of a photo.

        Raises:
            ImageError: It is not there, may not be read, is too large, or its name leads outside the root.
        """
        ...

    def state(self, image: str) -> FileState:
        """Size and time of a photo; cheap for millions.

        Raises:
            ImageError: As ``read``, but for the size.
        """
        ...

    def missing(self, images: Iterable[str]) -> list[str]:
        """Those of the names that do not exist, sorted; many at once are much cheaper than one by one."""
        ...


def open_images(root: Path | str) -> ImageSource:
    """Opens a folder of photos, a folder of tar files, or a tar file.

    A folder with tar files at its top takes a name without ``::`` for a member of one of them, unless there is a file
    of that name. The headers of tar files in a folder are read when one is first asked for.

    Raises:
        ValueError: There is no such folder or file, or the tar file cannot be indexed.
    """
    path = Path(root)
    if path.is_file():
        return _TarSource(root=path, archive=TarArchive.index(path))
    if not path.is_dir():
        raise ValueError(f"There is no folder or tar file of photos {path}; correct the place of the images.")
    return _FolderSource(root=path)


def problem_of(source: ImageSource, image: str) -> ImageError | None:
    """Why a photo cannot be read, None if it is there; reads no bytes of it."""
    try:
        source.state(image)
    except ImageError as error:
        return error
    return None


def check_images(images: Sequence[str], source: ImageSource, *, labels: Path) -> None:
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


@dataclass(kw_only=True, slots=True, eq=False)
class _TarSource:
    """One tar file; a name is a member, with or without the tar file's own name and :: before it."""

    root: Path
    archive: TarArchive

    def listing(self, *, recursive: bool = True) -> Listing:
        archive, _ = self._place("")
        names = [name for name in archive.members if _is_shown(name) and (recursive or "/" not in name)]
        return Listing(names=sorted(names), problems=archive.problems())

    def read(self, image: str) -> bytes:
        archive, member = self._place(image)
        return archive.read(member)

    def state(self, image: str) -> FileState:
        archive, member = self._place(image)
        return archive.state(member)

    def missing(self, images: Iterable[str]) -> list[str]:
        return sorted(image for image in images if problem_of(self, image))

    def _place(self, image: str) -> tuple[TarArchive, str]:
        try:
            self.archive = self.archive.current()
        except ValueError as error:
            raise ImageError(ErrorCode.IMAGE_MISSING, f"{image}: {error}") from error
        return self.archive, image.removeprefix(f"{self.root.name}{MEMBER_MARK}")


@dataclass(kw_only=True, slots=True, eq=False)
class _FolderSource:
    """Files below a folder and members of tar files below it."""

    root: Path
    archives: dict[str, TarArchive] = field(default_factory=dict, repr=False)
    """Indexed tar files by their path below the root."""
    broken: dict[str, str] = field(default_factory=dict, repr=False)
    """Why the other tar files that were asked for could not be indexed."""
    holders: dict[str, list[str]] | None = field(default=None, repr=False)
    """Member to the tar files at the top of the folder that have it; None before they are asked for."""
    folders: dict[str, str | None] = field(default_factory=dict, repr=False)
    """Folders below the root that were looked at: where they really are, None for one that is not inside the root."""

    def listing(self, *, recursive: bool = True) -> Listing:
        names: list[str] = []
        problems: list[tuple[str, ImageError]] = []
        for name in _file_names(self.root, recursive=recursive):
            try:
                _check_name(name)
                if not name.endswith(ARCHIVE_SUFFIX):
                    names.append(name)
                    continue
                archive = self._archive(name, name)
            except ImageError as error:
                problems.append((os.fsencode(name).decode("utf-8", "backslashreplace"), error))
            else:
                names += [f"{name}{MEMBER_MARK}{member}" for member in archive.members if _is_shown(member)]
                problems += [(f"{name}{MEMBER_MARK}{member}", error) for member, error in archive.problems()]
        return Listing(names=sorted(names), problems=problems)

    def read(self, image: str) -> bytes:
        path = self._plain_path(image)
        data = None if path is None else _plain_bytes(path)
        if data is not None:
            return data
        # A link, and whatever cannot be read, takes the slower way, which follows it or has a sentence for it.
        place = self._place(image)
        return read_file(self.root, image) if place is None else place[0].read(place[1])

    def state(self, image: str) -> FileState:
        path = self._plain_path(image)
        with suppress(OSError, ValueError):
            if path is not None and stat.S_ISREG((found := os.lstat(path)).st_mode):
                return found.st_size, found.st_mtime_ns
        place = self._place(image)
        if place is not None:
            return place[0].state(place[1])
        found = find_file(self.root, image).stat()
        return found.st_size, found.st_mtime_ns

    def missing(self, images: Iterable[str]) -> list[str]:
        by_folder: defaultdict[str, list[str]] = defaultdict(list)
        absent: list[str] = []
        for image in images:
            if MEMBER_MARK in image:
                absent += [image] if problem_of(self, image) else []
            else:
                by_folder[str(PurePosixPath(image).parent)].append(image)
        for folder, names in by_folder.items():
            present = _plain_files(self.root, folder)
            # A member, a link, or a name that is not in its plain form, is looked at by itself.
            absent += [name for name in names if name not in present and problem_of(self, name)]
        return sorted(absent)

    def _place(self, image: str) -> tuple[TarArchive, str] | None:
        """Tar file and member that a name means; None for a file of its own."""
        if MEMBER_MARK in image:
            archive, _, member = image.partition(MEMBER_MARK)
            return self._archive(archive, image), member
        if os.path.lexists(self.root / image):
            return None
        holders = self._members().get(image, [])
        if len(holders) > 1:
            raise ImageError(
                ErrorCode.SOURCE_ROW_INVALID,
                f"The tar files {holders[0]} and {holders[1]} in {self.root} both hold {image}; name photos by "
                f"archive{MEMBER_MARK}member, or give the members names of their own.",
            )
        return (self._archive(holders[0], image), image) if holders else None

    def _members(self) -> dict[str, list[str]]:
        holders = self.holders
        if holders is None:
            holders = defaultdict(list)
            for path in sorted(self.root.glob(f"*{ARCHIVE_SUFFIX}")):
                if _is_shown(path.name) and path.is_file():
                    for member in self._archive(path.name, path.name).members:
                        holders[member].append(path.name)
            holders = self.holders = dict(holders)
        return holders

    def _archive(self, name: str, image: str) -> TarArchive:
        found = self.archives.get(name)
        try:
            if name in self.broken:
                raise ValueError(self.broken[name])
            archive = TarArchive.index(inside(self.root, name)) if found is None else found.current()
        except ValueError as error:
            self.broken[name] = str(error)
            raise ImageError(ErrorCode.IMAGE_MISSING, f"{image}: {error}") from error
        if archive is not found:
            self.archives[name] = archive
            if found is not None:  # A replaced tar file may hold other members.
                self.holders = None
        return archive

    def _plain_path(self, image: str) -> str | None:
        """Path of a name in a folder that is known to lie inside the root; None for names that need a closer look."""
        folder, _, name = image.rpartition("/")
        if MEMBER_MARK in image or image.startswith("/") or name in ("", ".", "..") or "\0" in name or "\\" in name:
            return None
        if folder not in self.folders:
            try:
                self.folders[folder] = str(inside(self.root, folder or "."))
            except ValueError:
                self.folders[folder] = None
        place = self.folders[folder]
        return None if place is None else f"{place}/{name}"


def _plain_bytes(path: str) -> bytes | None:
    """Bytes of a regular file, no link; None for anything else."""
    try:
        with open(path, "rb", buffering=0, opener=_open_no_link) as file:
            state = os.fstat(file.fileno())
            is_usable = stat.S_ISREG(state.st_mode) and state.st_size <= MAX_FILE_BYTES
            return file.readall() if is_usable else None
    except OSError:
        return None


def _open_no_link(path: str, flags: int) -> int:
    # Without waiting: a pipe is no photo, but opening one waits for its writer.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _plain_files(root: Path, folder: str) -> frozenset[str]:
    """Paths below the root of the regular files, not links, of a folder in it; none where it is not inside the root."""
    try:
        path = root if folder == "." else inside(root, folder)
        with os.scandir(path) as entries:
            prefix = "" if folder == "." else f"{folder}/"
            return frozenset(prefix + entry.name for entry in entries if entry.is_file(follow_symlinks=False))
    except (OSError, ValueError):
        return frozenset()


def _file_names(root: Path, *, recursive: bool) -> Iterable[str]:
    """Paths below the root, with forward slashes, in the order of their folders."""
    for folder, folders, files in os.walk(root, followlinks=False):
        folders[:] = sorted(f for f in folders if recursive and not f.startswith("."))
        for file in sorted(files):
            if not file.startswith("."):
                yield (Path(folder) / file).relative_to(root).as_posix()


def _is_shown(name: str) -> bool:
    """Is neither a file nor a folder of the path hidden."""
    return not any(part.startswith(".") for part in name.split("/"))


def _check_name(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ImageError(ErrorCode.SOURCE_ROW_INVALID, "the file's name is not UTF-8; rename it.") from error
    if MEMBER_MARK in name:
        detail = f"the file's name holds {MEMBER_MARK}, which stands between tar file and member; rename it."
        raise ImageError(ErrorCode.SOURCE_ROW_INVALID, detail)

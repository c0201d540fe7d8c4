"""Where the photos of a data set are read from: a folder, one tar file, or a folder of tar files.

A name as the `image` column has it is a path below the folder; ``archive.tar::member`` for a member of a tar file below
it; or, where the folder holds tar files, just the member. A source holds no open file, so it can be forked, pickled and
used by several threads.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from datasets_manifest.adapters.base import MAX_FILE_BYTES, file_problem, read_file
from datasets_manifest.paths import inside
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.shards.selection import Selection
from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.tar_archive import TarArchive

MEMBER_MARK = "::"
"""Between the path of a tar file and the name of a member."""


class ImageSource(Protocol):
    """Gives the bytes of the photos of one data set."""

    @property
    def root(self) -> Path:
        """Folder or tar file."""
        ...

    def read(self, image: str) -> bytes:
        """The bytes of a photo.

        Raises:
            ImageError: It is not there, may not be read, is too large, or its name leads outside the root.
        """
        ...

    def exists(self, image: str) -> bool:
        """Is there such a photo; reads no bytes of it."""
        ...

    def missing(self, images: Iterable[str]) -> list[str]:
        """Those of the names that do not exist, sorted; many at once are much cheaper than one by one."""
        ...


def open_images(root: Path | str) -> ImageSource:
    """Opens a folder of photos, a folder of tar files, or a tar file.

    A folder with tar files at its top takes a name without ``::`` for a member of one of them, unless there is a file
    of that name. Their headers are read here; tar files that are named with ``::`` are indexed on first use.

    Raises:
        ValueError: There is no such folder or file, a tar file cannot be indexed, or two hold a member of one name.
    """
    path = Path(root)
    if path.is_file():
        return _TarSource(root=path, archive=TarArchive.index(path))
    if not path.is_dir():
        raise ValueError(f"There is no folder or tar file of photos {path}; correct the place of the images.")
    archives = {p.name: TarArchive.index(p) for p in sorted(path.glob("*.tar")) if not p.name.startswith(".")}
    return _FolderSource(root=path, archives=archives, holder=_holders(path, archives))


def missing_images(selection: Selection, source: ImageSource) -> list[str]:
    """Names in the `image` column that the source does not have, sorted; reads no photo."""
    return source.missing(selection.table["image"].unique().to_pylist())


def check_images(selection: Selection, source: ImageSource) -> None:
    """Refuses labels whose photos are gone.

    Raises:
        ValueError: With the number of vanished photos and the first of them.
    """
    missing = missing_images(selection, source)
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(selection.table['image'].unique())} photos that the labels in {selection.path} "
            f"name are not in {source.root}, such as {', '.join(missing[:3])}; bring them back, correct the place of "
            "the images, or annotate what is there."
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _TarSource:
    """One tar file; a name is a member, with or without the tar file's own name and :: before it."""

    root: Path
    archive: TarArchive

    def _member(self, image: str) -> str:
        return image.removeprefix(f"{self.root.name}{MEMBER_MARK}")

    def read(self, image: str) -> bytes:
        return self.archive.read(self._member(image))

    def exists(self, image: str) -> bool:
        return self._member(image) in self.archive.members

    def missing(self, images: Iterable[str]) -> list[str]:
        return sorted(image for image in images if not self.exists(image))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _FolderSource:
    """Files below a folder and members of tar files below it."""

    root: Path
    archives: dict[str, TarArchive]
    """Indexed tar files by their path below the root."""
    holder: dict[str, str] = field(repr=False)
    """Member to the tar file at the top of the folder that has it."""

    folders: dict[str, Path | None] = field(default_factory=dict, repr=False)
    """Folders below the root that were looked at: where they really are, None for one that is not inside the root."""

    def read(self, image: str) -> bytes:
        place = self._place(image)
        if place is not None:
            return place[0].read(place[1])
        data = self._plain_file(image)
        # A link, and whatever cannot be read, takes the slower way, which follows it or has a sentence for it.
        return read_file(self.root, image) if data is None else data

    def exists(self, image: str) -> bool:
        try:
            place = self._place(image)
        except ImageError:
            return False
        return file_problem(self.root, image) is None if place is None else place[1] in place[0].members

    def missing(self, images: Iterable[str]) -> list[str]:
        by_folder: defaultdict[str, list[str]] = defaultdict(list)
        absent: list[str] = []
        for image in images:
            if MEMBER_MARK in image or image in self.holder:
                absent += [] if self.exists(image) else [image]
            else:
                by_folder[str(PurePosixPath(image).parent)].append(image)
        for folder, names in by_folder.items():
            present = _plain_files(self.root, folder)
            # A link, or a name that is not in its plain form, is looked at by itself.
            absent += [name for name in names if name not in present and not self.exists(name)]
        return sorted(absent)

    def _place(self, image: str) -> tuple[TarArchive, str] | None:
        """Tar file and member that a name means; None for a file of its own."""
        if MEMBER_MARK in image:
            archive, _, member = image.partition(MEMBER_MARK)
            return self._archive(archive, image), member
        if image in self.holder and not (os.path.lexists(self.root / image) and file_problem(self.root, image) is None):
            return self.archives[self.holder[image]], image
        return None

    def _plain_file(self, image: str) -> bytes | None:
        """Bytes of a regular file in a folder that is known to lie inside the root; None for anything else."""
        folder, _, name = image.rpartition("/")
        if folder not in self.folders:
            try:
                self.folders[folder] = inside(self.root, folder or ".")
            except ValueError:
                self.folders[folder] = None
        place = self.folders[folder]
        if place is None or image.startswith("/") or name in ("", ".", "..") or "\0" in name or "\\" in name:
            return None
        try:
            with open(place / name, "rb", buffering=0, opener=_open_no_link) as file:
                state = os.fstat(file.fileno())
                is_usable = stat.S_ISREG(state.st_mode) and state.st_size <= MAX_FILE_BYTES
                return file.readall() if is_usable else None
        except OSError:
            return None

    def _archive(self, name: str, image: str) -> TarArchive:
        if name not in self.archives:
            try:
                self.archives[name] = TarArchive.index(inside(self.root, name))
            except ValueError as error:
                raise ImageError(ErrorCode.IMAGE_MISSING, f"{image}: {error}") from error
        return self.archives[name]


def _open_no_link(path: str, flags: int) -> int:
    # Without waiting: a pipe is no photo, but opening one waits for its writer.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _holders(root: Path, archives: dict[str, TarArchive]) -> dict[str, str]:
    holder: dict[str, str] = {}
    for name, archive in archives.items():
        for member in archive.members:
            if member in holder:
                raise ValueError(
                    f"The tar files {holder[member]} and {name} in {root} both hold {member}; name photos by "
                    f"archive{MEMBER_MARK}member, or give the members names of their own."
                )
            holder[member] = name
    return holder


def _plain_files(root: Path, folder: str) -> frozenset[str]:
    """Paths below the root of the regular files, not links, of a folder in it; none where it is not inside the root."""
    try:
        path = root if folder == "." else inside(root, folder)
        with os.scandir(path) as entries:
            prefix = "" if folder == "." else f"{folder}/"
            return frozenset(prefix + entry.name for entry in entries if entry.is_file(follow_symlinks=False))
    except (OSError, ValueError):
        return frozenset()

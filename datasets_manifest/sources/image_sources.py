"""Where the photos of a data set lie: a folder, tar files or videos in it, or one of these. The one way to a photo.

A name as the `image` column has it is a path below the folder; ``archive.tar::member`` for a member of a tar file below
it, ``clip.mp4::000120`` for a frame of a video, by its number; or, where the folder holds tar files, just the member. A
source holds no open file, so it can be forked, pickled and used by several threads.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from datasets_manifest.paths import Links, inside
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.files import find_file, read_file, read_regular, regular_state
from datasets_manifest.sources.folder_walk import walk_folder
from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.tar_archive import TarArchive
from datasets_manifest.sources.video import VideoClip, is_video

MEMBER_MARK = "::"
"""Between the path of a tar file or video and the name of a member or frame."""

ARCHIVE_SUFFIX = ".tar"
"""Files that end so are tar files, whose members are listed in their place."""

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff"})
"""Names that end so (in any case) are taken for photos; whether they are, the decoder decides."""

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


def open_images(root: Path | str, links: Links = "follow") -> ImageSource:
    """Opens a folder of photos, tar files and videos, a tar file, or a video.

    A folder with tar files at its top takes a name without ``::`` for a member of one of them, unless there is a file
    of that name. The headers of tar files in a folder are read when one is first asked for.

    Args:
        root: The folder or file.
        links: Whether links in the folder may lead outside it, as those of DVC and git-annex do.

    Raises:
        ValueError: There is no such folder or file, or the file cannot be indexed.
    """
    path = Path(root)
    if os.path.isfile(path):
        return _FileSource(root=path, archive=_indexed(path, path.name))
    if not os.path.isdir(path):
        raise ValueError(f"There is no folder, tar file or video {path}; correct the place of the images.")
    return _FolderSource(root=path, links=links)


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


def _indexed(path: Path, name: str) -> TarArchive | VideoClip:
    """What a tar file or video holds; ``name`` is what errors call a video."""
    return VideoClip.index(path, name=name) if is_video(name) else TarArchive.index(path)


def _file_of(image: str) -> str:
    """The name of the video that a frame is of; that of anything else as it is."""
    file, mark, _ = image.partition(MEMBER_MARK)
    return file if mark and is_video(file) else image


def _no_clip(video: str) -> ImageError:
    detail = f"{video} is a video inside a tar file, which is not read; unpack it."
    return ImageError(ErrorCode.IMAGE_UNSUPPORTED, detail)


@dataclass(kw_only=True, slots=True, eq=False)
class _FileSource:
    """One tar file or video; a name is a member, with or without the file's own name and :: before it."""

    root: Path
    archive: TarArchive | VideoClip

    def listing(self, *, recursive: bool = True) -> Listing:
        archive, _ = self._place("")
        if isinstance(archive, VideoClip):
            return Listing(names=[self.root.name], problems=[])
        names = [name for name in archive.members if _is_shown(name) and (recursive or "/" not in name)]
        return Listing(names=sorted(names), problems=archive.problems())

    def clip(self, video: str) -> VideoClip:
        archive, _ = self._place(video)
        if not isinstance(archive, VideoClip):
            raise _no_clip(video)
        return archive

    def read(self, image: str) -> bytes:
        archive, member = self._place(image)
        return archive.read(member)

    def state(self, image: str) -> FileState:
        archive, member = self._place(image)
        return archive.state(member)

    def missing(self, images: Iterable[str]) -> list[str]:
        return sorted(image for image in images if problem_of(self, image))

    def _place(self, image: str) -> tuple[TarArchive | VideoClip, str]:
        try:
            self.archive = self.archive.current()
        except ImageError:
            raise
        except ValueError as error:
            raise ImageError(ErrorCode.IMAGE_MISSING, f"{image}: {error}") from error
        return self.archive, image.removeprefix(f"{self.root.name}{MEMBER_MARK}")


@dataclass(kw_only=True, slots=True, eq=False)
class _FolderSource:
    """Files below a folder, and members of tar files and frames of videos below it."""

    root: Path
    links: Links = "follow"
    archives: dict[str, TarArchive | VideoClip] = field(default_factory=dict, repr=False)
    """Indexed tar files and videos by their path below the root."""
    broken: dict[str, ImageError] = field(default_factory=dict, repr=False)
    """Why the others that were asked for could not be indexed."""
    holders: dict[str, list[str]] | None = field(default=None, repr=False)
    """Member to the tar files at the top of the folder that have it; None before they are asked for."""
    folders: dict[str, str | None] = field(default_factory=dict, repr=False)
    """Folders below the root that were looked at: where they really are, None for one that is not inside the root."""

    def listing(self, *, recursive: bool = True) -> Listing:
        names: list[str] = []
        problems: list[tuple[str, ImageError]] = []
        walk = walk_folder(self.root, recursive=recursive, links=self.links)
        for name in walk.files:
            try:
                _check_name(name)
            except ImageError as error:
                problems.append((os.fsencode(name).decode("utf-8", "backslashreplace"), error))
                continue
            if not name.endswith(ARCHIVE_SUFFIX):
                names.append(name)
                continue
            try:
                archive = self._tar(name)
            except ImageError as error:
                problems.append((name, ImageError(ErrorCode.LISTING_INCOMPLETE, error.detail)))
                continue
            names += [f"{name}{MEMBER_MARK}{member}" for member in archive.members if _is_shown(member)]
            problems += [(f"{name}{MEMBER_MARK}{member}", error) for member, error in archive.problems()]
        return Listing(
            names=sorted(names),
            problems=[*walk.problems, *problems],
            links_followed=walk.followed,
            links_left_out=walk.left_out,
        )

    def clip(self, video: str) -> VideoClip:
        if MEMBER_MARK in video:
            raise _no_clip(video)
        archive = self._archive(video, video)
        assert isinstance(archive, VideoClip), "a video has the name of one"
        return archive

    def read(self, image: str) -> bytes:
        path = self._plain_path(image)
        with suppress(ImageError):
            if path is not None:
                return read_regular(path, image, self.links)
        # A link that may lead outside, and whatever cannot be read, takes the slower way, which has a sentence for it.
        place = self._place(image)
        return read_file(self.root, image, self.links) if place is None else place[0].read(place[1])

    def state(self, image: str) -> FileState:
        image = _file_of(image)
        path = self._plain_path(image)
        with suppress(ImageError):
            if path is not None:
                found = regular_state(path, image, self.links)
                return found.st_size, found.st_mtime_ns
        place = self._place(image)
        if place is not None:
            return place[0].state(place[1])
        found = regular_state(find_file(self.root, image, self.links), image)
        return found.st_size, found.st_mtime_ns

    def missing(self, images: Iterable[str]) -> list[str]:
        by_folder: defaultdict[str, list[str]] = defaultdict(list)
        absent: list[str] = []
        for image in images:
            file = _file_of(image)
            if MEMBER_MARK in file:
                absent += [image] if problem_of(self, image) else []
            else:
                by_folder[str(PurePosixPath(file).parent)].append(image)
        for folder, names in by_folder.items():
            present = self._plain_files(folder)
            # A member, a link, or a name that is not in its plain form, is looked at by itself.
            absent += [name for name in names if _file_of(name) not in present and problem_of(self, name)]
        return sorted(absent)

    def _plain_files(self, folder: str) -> frozenset[str]:
        """Paths below the root of the regular files of a folder in it, links only where they are followed."""
        try:
            path = self.root if folder == "." else inside(self.root, folder, self.links)
            os.stat(os.path.join(path, "."))  # Fails where the names can be listed, but no file be looked at.
            prefix, follow = "" if folder == "." else f"{folder}/", self.links == "follow"
            with os.scandir(path) as entries:
                return frozenset(prefix + entry.name for entry in entries if _is_regular(entry, follow))
        except (OSError, ValueError):
            return frozenset()

    def _place(self, image: str) -> tuple[TarArchive | VideoClip, str] | None:
        """Tar file and member, or video and frame, that a name means; None for a file of its own."""
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
                if _is_shown(path.name) and os.path.isfile(path):
                    for member in self._tar(path.name).members:
                        holders[member].append(path.name)
            holders = self.holders = dict(holders)
        return holders

    def _tar(self, name: str) -> TarArchive:
        archive = self._archive(name, name)
        assert isinstance(archive, TarArchive), "a tar file has the name of one"
        return archive

    def _archive(self, name: str, image: str) -> TarArchive | VideoClip:
        found = self.archives.get(name)
        try:
            if name in self.broken:
                raise self.broken[name]
            archive = _indexed(inside(self.root, name, self.links), name) if found is None else found.current()
        except ValueError as error:
            problem = error if isinstance(error, ImageError) else ImageError(ErrorCode.IMAGE_MISSING, str(error))
            self.broken[name] = problem
            raise ImageError(problem.code, f"{image}: {problem.detail}") from error
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
                self.folders[folder] = str(inside(self.root, folder or ".", self.links))
            except ValueError:
                self.folders[folder] = None
        place = self.folders[folder]
        return None if place is None else f"{place}/{name}"


def _is_regular(entry: os.DirEntry[str], follow: bool) -> bool:
    try:
        return entry.is_file(follow_symlinks=follow)
    except OSError:
        return False


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

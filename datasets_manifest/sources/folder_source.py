"""A folder as the source of photos: those in it and below, in tar files in it, and frames of videos in it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from datasets_manifest.paths import Links, inside
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.file_source import indexed, no_clip
from datasets_manifest.sources.files import find_file, read_file, read_regular, regular_state
from datasets_manifest.sources.folder_walk import walk_folder
from datasets_manifest.sources.image_names import ARCHIVE_SUFFIX, MEMBER_MARK, check_name, file_of, is_shown
from datasets_manifest.sources.image_source import FileState, Listing, problem_of
from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.tar_archive import TarArchive
from datasets_manifest.sources.video import VideoClip


@dataclass(kw_only=True, slots=True, eq=False)
class FolderSource:
    """Files below a folder, and members of tar files and frames of videos below it."""

    root: Path
    links: Links = "follow"
    results: tuple[Path, ...] = ()
    """Folders whose files are not listed."""
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
        walk = walk_folder(self.root, recursive=recursive, links=self.links, without=self.results)
        for name in walk.files:
            try:
                check_name(name)
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
            names += [f"{name}{MEMBER_MARK}{member}" for member in archive.members if is_shown(member)]
            problems += [(f"{name}{MEMBER_MARK}{member}", error) for member, error in archive.problems()]
        return Listing(
            names=sorted(names),
            problems=[*walk.problems, *problems],
            links_followed=walk.followed,
            links_left_out=walk.left_out,
            results_left_out=walk.without,
        )

    def clip(self, video: str) -> VideoClip:
        if MEMBER_MARK in video:
            raise no_clip(video)
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
        image = file_of(image)
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
            file = file_of(image)
            if MEMBER_MARK in file:
                absent += [image] if problem_of(self, image) else []
            else:
                by_folder[str(PurePosixPath(file).parent)].append(image)
        for folder, names in by_folder.items():
            present = self._plain_files(folder)
            # A member, a link, or a name that is not in its plain form, is looked at by itself.
            absent += [name for name in names if file_of(name) not in present and problem_of(self, name)]
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
                if is_shown(path.name) and os.path.isfile(path):
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
            archive = indexed(inside(self.root, name, self.links), name) if found is None else found.current()
        except ValueError as error:
            problem = error if isinstance(error, ImageError) else ImageError(ErrorCode.IMAGE_MISSING, str(error))
            self.broken[name] = problem
            detail = problem.detail if image == name else f"{image}: {problem.detail}"
            raise type(problem)(problem.code, detail) from error
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

"""Tar files of a data set, one after the other, and their members by the photo that they belong to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from datasets_manifest.adapters.base import Missing
from datasets_manifest.paths import Links, inside
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.folder_source import FolderSource
from datasets_manifest.sources.image_names import MEMBER_MARK
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.tar_archive import TarArchive


def whole_archives(
    images: ImageSource, patterns: Sequence[str], option: str
) -> tuple[list[tuple[str, Callable[[], TarArchive]]], list[Missing]]:
    """Tar files that can be indexed, and why others cannot. No index is kept: of all they would not fit.

    Args:
        images: Of the data set; where its root is a tar file, this is the one.
        patterns: Shell patterns, relative to the root.
        option: What the layout calls them, in an error.

    Returns:
        Name below the root ("" for the root itself) and what indexes the file, in the order of the ids of photos.

    Raises:
        ValueError: None matches.
    """
    root = images.root
    links: Links = images.links if isinstance(images, FolderSource) else "follow"
    found = {path.relative_to(root).as_posix() for pattern in patterns for path in root.glob(pattern)}
    names = [""] if root.is_file() else sorted(found, key=prefix_of)
    if not names:
        raise ValueError(
            f"no tar file in {root} matches {', '.join(patterns)}; correct {option} in the manifest, or fetch them."
        )
    whole: list[tuple[str, Callable[[], TarArchive]]] = []
    problems: list[Missing] = []
    for name in names:
        index = partial(_index, images, name, links)
        try:
            index()
        except (ValueError, ImageError) as error:
            problems.append(Missing.of(name or str(root), ErrorCode.LISTING_INCOMPLETE, str(error)))
        else:
            whole.append((name, index))
    return whole, problems


def prefix_of(name: str) -> str:
    """What stands before the names of the members of a tar file."""
    return f"{name}{MEMBER_MARK}" if name else ""


def by_key(archive: TarArchive) -> Iterator[tuple[str, dict[str, str]]]:
    """Key -> ending -> member, in the order of the keys. A key is the path up to the first dot of the base name."""
    members: dict[str, dict[str, str]] = {}
    for member in archive.members:
        folder, slash, name = member.rpartition("/")
        stem, _, ending = name.partition(".")
        members.setdefault(folder + slash + stem, {})[ending.lower()] = member
    yield from sorted(members.items())


def _index(images: ImageSource, name: str, links: Links) -> TarArchive:
    return TarArchive.index(inside(images.root, name, links) if name else images.root)

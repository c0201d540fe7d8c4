"""Opens the photos of a data set by its path: a folder, tar files or videos in it, or one of these. The one way in."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from datasets_manifest.paths import Links
from datasets_manifest.sources.file_source import FileSource, indexed
from datasets_manifest.sources.folder_source import FolderSource
from datasets_manifest.sources.image_names import ARCHIVE_SUFFIX
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.store_source import StoreSource
from datasets_manifest.sources.tar_archive import TarArchive
from datasets_manifest.stores import Place, check_store, is_file, place_of


def open_images(root: Place | str, links: Links = "follow", results: Iterable[Path] = ()) -> ImageSource:
    """Opens a folder of photos, tar files and videos, a tar file, a video, or photos below an address in a store.

    A folder with tar files at its top takes a name without ``::`` for a member of one of them, unless there is a file
    of that name. The headers of tar files in a folder are read when one is first asked for.

    Args:
        root: The folder, file or address.
        links: Whether links in the folder may lead outside it, as those of DVC and git-annex do.
        results: Folders where results are written: what lies in those below the root is not listed.

    Raises:
        ValueError: There is no such folder or file, the file cannot be indexed, or the store cannot be looked at.
    """
    path = place_of(root)
    if not isinstance(path, Path):
        check_store(path)
        if path.name.endswith(ARCHIVE_SUFFIX) and is_file(path):
            return FileSource(root=path, archive=TarArchive.index(path))
        return StoreSource(root=path)
    if os.path.isfile(path):
        return FileSource(root=path, archive=indexed(path, path.name))
    if not os.path.isdir(path):
        raise ValueError(f"There is no folder, tar file or video {path}; correct the place of the images.")
    return FolderSource(root=path, links=links, results=tuple(results))

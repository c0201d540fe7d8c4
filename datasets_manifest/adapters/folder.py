"""A folder of photos, without annotations. An image's id is its path below the root."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from datasets_manifest.adapters.base import ImageRecord, Inventory, Missing, file_problem, read_file, register
from datasets_manifest.schema.error_codes import ErrorCode

if TYPE_CHECKING:
    from datasets_manifest.manifest import Manifest

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff"})
"""Names that end so (in any case) are taken for photos; whether they are, the decoder decides."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderLayout:
    """Which files of the folder belong to the data set."""

    include: tuple[str, ...] = ("*",)
    """Shell patterns over the path below the root (* also crosses folders); a plain name must exist."""
    recursive: bool = True
    """Look into folders within the folder."""

    def __post_init__(self) -> None:
        """Take a list for a tuple and check the types."""
        include = self.include
        if isinstance(include, str) or not include or not all(isinstance(p, str) and p for p in include):
            raise ValueError(f"include must be a list of patterns such as ['*.jpg'], got {include!r}")
        if not isinstance(self.recursive, bool):
            raise ValueError(f"recursive must be true or false, got {self.recursive!r}")
        object.__setattr__(self, "include", tuple(include))


@register("folder")
class FolderAdapter:
    """Photos in a folder; people are to be detected."""

    Layout: ClassVar[type] = FolderLayout
    BOXES: ClassVar[frozenset[str]] = frozenset({"detector"})
    KEYPOINTS: ClassVar[frozenset[str]] = frozenset({"none"})

    def __init__(self, manifest: Manifest) -> None:
        self._root = manifest.root_path
        self._layout: FolderLayout = manifest.typed_layout

    def inventory(self) -> Inventory:
        """List the photos; hidden files and folders, linked folders and other files are left out and counted."""
        names, unnameable = _file_names(self._root, recursive=self._layout.recursive)
        chosen = [name for name in names if any(fnmatchcase(name, p) for p in self._layout.include)]
        photos = [name for name in chosen if Path(name).suffix.lower() in SUFFIXES]
        named = [p for p in self._layout.include if not set("*?[") & set(p) and p not in set(chosen)]
        missing = [problem for name in photos if (problem := file_problem(self._root, name))]
        missing += [file_problem(self._root, name) or _hidden(name) for name in named]
        missing += [
            Missing.of(name, ErrorCode.SOURCE_ROW_INVALID, "the file's name is not UTF-8; rename it.")
            for name in unnameable
        ]
        return Inventory(
            records=tuple(ImageRecord(image_id=name, path=name) for name in sorted({*photos, *named})),
            missing=tuple(missing),
            notes={"other files left out": len(names) - len(photos)},
        )

    def read(self, record: ImageRecord) -> bytes:
        """Return the bytes of a photo."""
        return read_file(self._root, record.path)


def _hidden(name: str) -> Missing:
    return Missing.of(name, ErrorCode.SOURCE_ROW_INVALID, "the file is hidden or below a folder that is not searched.")


def _file_names(root: Path, *, recursive: bool) -> tuple[list[str], list[str]]:
    """Paths below root in order, with forward slashes; and those whose names are not text."""
    names: list[str] = []
    unnameable: list[str] = []
    for folder, folders, files in os.walk(root, followlinks=False):
        folders[:] = sorted(f for f in folders if recursive and not f.startswith("."))
        for file in files:
            if file.startswith("."):
                continue
            name = (Path(folder) / file).relative_to(root).as_posix()
            try:
                name.encode()
            except UnicodeEncodeError:
                unnameable.append(os.fsencode(name).decode("utf-8", "backslashreplace"))
            else:
                names.append(name)
    return sorted(names), sorted(unnameable)

"""Data sets as people name them: by id, by a manifest or by a path, the same from any folder."""

from __future__ import annotations

from pathlib import Path

from datasets_manifest.paths import fixed, is_address, placed
from datasets_manifest.stores import place_in

MANIFEST_FOLDER = Path(__file__).parent / "manifests"
"""The manifests that come with the project; a file's name is the data set's id."""

MANIFEST_SUFFIXES = (".yaml", ".yml")
PACKAGE_PREFIX = "package:"
"""Of a root that lies in an installed package."""


def manifest_ids() -> list[str]:
    """Return the ids of the manifests that come with the project."""
    return sorted(path.stem for path in MANIFEST_FOLDER.glob("*.yaml"))


def is_yaml(path: Path) -> bool:
    """Whether a path is that of a manifest, by its suffix."""
    return path.suffix in MANIFEST_SUFFIXES and not path.is_dir()


def fixed_source(id_or_path: str, folder: Path) -> str:
    """An id or path as ``load_manifest`` takes it, the path relative to a folder, as it is named from any folder."""
    return id_or_path if id_or_path in manifest_ids() else _fixed(id_or_path, folder)


def fixed_root(root: str, folder: Path) -> str:
    """The root of a data set, relative to a folder, as it is named from any folder."""
    return root if root.startswith(PACKAGE_PREFIX) else _fixed(root, folder)


def _fixed(text: str, folder: Path) -> str:
    return place_in(folder, text) if is_address(text) else str(fixed(placed(text, folder)))


def is_manifest(source: str) -> bool:
    """Whether what ``load_manifest`` takes is a manifest, and not a path of photos or videos."""
    return source in manifest_ids() or (not is_address(source) and is_yaml(placed(source)))

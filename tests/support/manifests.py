"""Manifests of folders of photos and videos."""

from pathlib import Path

FOLDER_MANIFEST = """
id: {id}
version: "1"
licence: CC0
access: made up
adapter: folder
root: {root}
split: {split}
layout: {layout}
boxes: detector
keypoints: none
purpose: test
"""


def write_manifest(path: Path, id: str, root: Path | str, split: str = "all", layout: str = "{}") -> Path:
    """Writes the manifest of a folder; returns its file."""
    path.write_text(FOLDER_MANIFEST.format(id=id, root=root, split=split, layout=layout))
    return path

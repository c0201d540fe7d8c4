"""What the adapters of published people have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from datasets_manifest.sources.image_source import ImageSource

L = TypeVar("L")


class PublishedPeople(Generic[L]):
    """People with boxes and points, of which a manifest may want the boxes, and some points or all.

    Args:
        images: Photos of the data set.
        layout: Options of the adapter.
        boxes: As in the manifest.
        keypoints: Likewise.
    """

    BOXES: ClassVar[frozenset[str]] = frozenset({"manifest", "detector"})
    KEYPOINTS: ClassVar[frozenset[str]] = frozenset({"none", "coco", "coco_wholebody"})

    def __init__(self, images: ImageSource, layout: L, *, boxes: str, keypoints: str) -> None:
        self._images = images
        self._layout = layout
        self._boxes = boxes
        self._keypoints = keypoints


def matching_files(root: Path, patterns: Sequence[str], what: str = "file") -> list[str]:
    """Files that match shell patterns, by their paths below the root, sorted.

    Args:
        root: Of the data set.
        patterns: Of the layout.
        what: They are, in the error.

    Raises:
        ValueError: None does.
    """
    found = {path.relative_to(root).as_posix() for pattern in patterns for path in root.glob(pattern)}
    if not found:
        raise ValueError(
            f"no {what} in {root} matches {', '.join(patterns)}; correct layout.files in the manifest, or fetch them."
        )
    return sorted(found)

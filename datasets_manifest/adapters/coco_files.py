"""Files of a data set in COCO's form: which there are, what is in them, and what the videos of a split are called."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from datasets_manifest.adapters.base import Missing
from datasets_manifest.adapters.coco_layout import PATTERN
from datasets_manifest.adapters.coco_values import RowError, is_text, whole_number
from datasets_manifest.paths import inside, plain


@dataclass(frozen=True, slots=True)
class ImageRows:
    """Rows of images by their ids."""

    rows: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """The first row of each id."""
    names: dict[int, list[str]] = field(default_factory=dict)
    """File names of the ids that stand for several."""
    missing: list[Missing] = field(default_factory=list)
    """Rows that are no image of their own."""

    @classmethod
    def of(cls, rows: Sequence[Any], file: str) -> ImageRows:
        """Those of a file."""
        images = cls()
        for position, row in enumerate(rows):
            try:
                number = whole_number(row, "id")
                if not is_text(row.get("file_name")):
                    raise RowError(f"image {number} has no file_name that can be read.")
                if number in images.rows:
                    first, again = images.rows[number]["file_name"], row["file_name"]
                    if again not in (names := images.names.get(number, [first])):
                        images.names[number] = [*names, again]
                    raise RowError(f"the id {number} of {again!r} is that of {first!r}, which is listed before.")
                images.rows[number] = row
            except RowError as error:
                images.missing.append(Missing.of(f"{file} images[{position}]", error.code, str(error)))
        return images


def annotation_files(root: Path, stated: Sequence[str]) -> list[str]:
    """Annotation files below the root, each once, sorted.

    Raises:
        ValueError: A pattern is of no file.
    """
    found: set[str] = set()
    for path in stated:
        if not PATTERN & set(path):
            found.add(path)
            continue
        own = [file.relative_to(root).as_posix() for file in root.glob(str(plain(path, root))) if file.is_file()]
        if not own:
            raise ValueError(
                f"No annotation file {path} is below {root}; put them there or correct layout.annotations."
            )
        found.update(own)
    return sorted(found)


def load_coco(root: Path, relative: str) -> dict[str, Any]:
    """The content of an annotation file.

    Raises:
        ValueError: It is not there, or no JSON in COCO's form.
    """
    path = inside(root, relative, links="follow")  # The manifest names it, not the data.
    content = load_json(path, "annotation file")
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in ("images", "annotations")):
        raise ValueError(f"The annotation file {path} is not in COCO's format: it needs lists 'images', 'annotations'.")
    return content


def load_json(path: Path, what: str) -> Any:
    """The content of a JSON file.

    Raises:
        ValueError: It is not there, or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(f"The {what} {path} does not exist; put it there or correct the manifest.") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The {what} {path} is not valid JSON: {error}") from error


def video_of(file_name: str) -> str:
    """The video that a frame is of: the folder that it lies in, without _Trim and what follows."""
    return file_name.rpartition("/")[0].rpartition("/")[2].partition("_Trim")[0]


def read_videos(root: Path, relative: str) -> frozenset[str]:
    """Names of videos, of a text file or an .npy.

    Raises:
        ValueError: It is not there, or holds anything else.
    """
    path = inside(root, relative, links="follow")
    try:
        if path.suffix == ".npy":
            names = np.load(path, allow_pickle=False).ravel().tolist()
        else:
            names = path.read_text(encoding="utf-8-sig").split("\n")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(f"The list of videos {path} does not exist; put it there or correct the manifest.") from error
    except ValueError as error:
        raise ValueError(f"The list of videos {path} cannot be read: {error}. Write it as a text.") from error
    names = [name.strip() for name in names if isinstance(name, str)]
    if not any(names):
        raise ValueError(f"The list of videos {path} names none; write them as a text, one a line.")
    return frozenset(filter(None, names))

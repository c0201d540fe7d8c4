"""Files of a data set in COCO's form: which there are, and what the videos of a split are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datasets_manifest.adapters.coco_layout import PATTERN
from datasets_manifest.paths import inside, plain


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

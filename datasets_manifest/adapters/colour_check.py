"""What the faces of the first people say of the order of colours: photos that were written with red and blue changed
stop the listing, before an estimator sees blue people.

Faces of all colours are redder than blue; snow, shade and lamps change that for some. Of the faces of COCO's sample it
holds for six of seven, of photos whose colours were changed it holds for as few.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from datasets_manifest.adapters.base import Entry, ImageRecord
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.images import ImageError, decode_image

_FACE = slice(0, 3)
"""Nose and eyes among the 133 points."""
_FACES = 48
"""That are looked at."""
_MIN_FACES = 16
"""By which it can be told."""
_MIN_SHARE = 1 / 3
"""Of faces that are redder than blue."""
_MAX_HELD = 500
"""Entries that are held back at most until so many faces were seen."""
_LEAST_RADIUS_PX = 3.0
_GREY = 2.0
"""Levels of 255 by which red and blue differ at least, to be told."""


def with_colours_checked(entries: Iterable[Entry], images: ImageSource, source: str) -> Iterator[Entry]:
    """The entries of an adapter, the photos of whose first annotated faces were looked at.

    Raises:
        ValueError: Most of them are bluer than red; it comes before the first entry.
    """
    entries = iter(entries)
    held: list[Entry] = []
    faces: list[tuple[ImageRecord, np.ndarray, float]] = []
    for entry in entries:
        held.append(entry)
        faces += _faces(entry) if isinstance(entry, ImageRecord) else []
        if len(faces) >= _FACES or len(held) >= _MAX_HELD:
            break
    if len(faces) >= _MIN_FACES:
        _check([gap for face in faces[:_FACES] if (gap := _redder_by(*face, images)) is not None], source)
    yield from held
    yield from entries


def _faces(record: ImageRecord) -> list[tuple[ImageRecord, np.ndarray, float]]:
    """Middle and radius, px, of the annotated faces of a photo."""
    found = []
    for person in record.people:
        points = np.zeros((0, 3)) if person.keypoints is None else person.keypoints[_FACE]
        known = points[points[:, 2] > 0, :2]
        if len(known) > 1 and (radius := float(np.ptp(known, axis=0).max()) / 2) >= _LEAST_RADIUS_PX:
            found.append((record, known.mean(axis=0), radius))
    return found


def _redder_by(record: ImageRecord, middle: np.ndarray, radius: float, images: ImageSource) -> float | None:
    """Red less blue of a face; None where it cannot be told."""
    try:
        photo = decode_image(images.read(record.path), name=record.path)
    except ImageError:  # It has a row, which fails.
        return None
    low, high = (np.maximum(middle + side * radius, 0).astype(int) for side in (-1, 1))
    face = photo[low[1] : high[1] + 1, low[0] : high[0] + 1].reshape(-1, 3)
    if not len(face):
        return None
    red, _, blue = face.mean(axis=0)
    return float(red - blue) if abs(red - blue) > _GREY else None


def _check(gaps: list[float], source: str) -> None:
    redder = sum(gap > 0 for gap in gaps)
    if len(gaps) >= _MIN_FACES and redder < _MIN_SHARE * len(gaps):
        raise ValueError(
            f"{source}: of {len(gaps)} annotated faces {redder} are redder than blue, where nearly all are: red and "
            "blue of the photos were changed when they were written. Write them anew, with OpenCV as BGR; if they are "
            "as they should be, say check_colours: false in the manifest."
        )

"""A person of a published record as an adapter tells it: with the points that are wanted, or with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from datasets_manifest.adapters.base import PersonRecord
from datasets_manifest.adapters.coco_values import RowError

_BODY = 17


def person_or_reason(read: Callable[[], PersonRecord], index: int, where: str, *, keypoints: str) -> PersonRecord:
    """A person as it is read, or one with the reason why it cannot be.

    Args:
        read: Reads it.
        index: Its number in the photo.
        where: Names it in the reason.
        keypoints: As in the manifest: none, coco (the body's 17) or coco_wholebody.

    Raises:
        UnitError: The data set is in another unit.
    """
    try:
        person = read()
    except RowError as error:
        return PersonRecord(index=index, error_code=error.code, error_detail=f"{where}: {error}")
    if keypoints == "none" or person.keypoints is None:
        return replace(person, keypoints=None, other_points={})
    if keypoints == "coco":
        of_body = np.where(np.arange(len(person.keypoints))[:, None] < _BODY, person.keypoints, 0.0)
        return replace(person, keypoints=of_body.astype(np.float32))
    return person

"""Keypoints of a shard as people corrected them: what the refinement takes in the place of what was found."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from datasets_manifest.corrections.kept import Corrections
from datasets_manifest.corrections.schema import Correction
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.labels import Status
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.images import ImageError
from model.estimators.annotations import CLICK_SHARE, VISIBLE, annotation_sigma_px
from model.imaging.boxes import longer_side, overlap, score_from_sigma

_SAME_PERSON = 0.5
"""Least intersection over union of a person's box and the one that a correction states."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CorrectionCount:
    """What corrections did to a shard, as its footer states it."""

    people: int = 0
    """Who have corrected keypoints."""
    keypoints: int = 0
    """That were moved or left out."""
    stale: int = 0
    """Corrections that were not obeyed, since the person or the photo is another one."""


def obey(people: Columns, corrections: Corrections, photos: ImageSource) -> tuple[Columns, CorrectionCount]:
    """Puts corrections in the place of what was found.

    A moved keypoint is as sure as an annotated one that can be seen; an unusable one was not seen.

    Args:
        people: Rows of the keypoints of a shard.
        corrections: Those that hold.
        photos: Of the data set.

    Raises:
        RuntimeError: As ``photo_sha256``.
    """
    sha256 = cache(lambda image: photo_sha256(image, photos))
    row_of = {sample: row for row, sample in enumerate(people["sample_id"])}
    changed: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    num_keypoints = num_stale = 0
    for sample, own in corrections.of_sample.items():
        row = row_of.get(sample, -1)
        held = [] if row < 0 else [one for one in own if not stale_reason(one, people, row, sha256)]
        num_stale += len(own) - len(held)
        if held:
            changed[row] = _moved(people, row, held)
            num_keypoints += len(held)
    count = CorrectionCount(people=len(changed), keypoints=num_keypoints, stale=num_stale)
    return (_replaced(people, changed) if changed else people), count


def stale_reason(correction: Correction, people: Columns, row: int, sha256: Callable[[str], str]) -> str:
    """Why a correction is not obeyed, in a sentence; empty if it is.

    Args:
        correction: What was said.
        people: Rows of keypoints, of everybody in the photo: who is not among them is not told from a neighbour.
        row: Which of them has the correction's sample id.
        sha256: Gives the ``photo_sha256`` of an image, and is asked only where the person is the same.
    """
    if people["status"][row] == Status.FAILED:
        return "the person is not found any more"
    in_photo = np.flatnonzero((people["image"] == people["image"][row]) & (people["status"] != Status.FAILED))
    shared = {own: overlap(people["bbox_xyxy"][own], np.asarray(correction.bbox_xyxy)) for own in in_photo.tolist()}
    if shared[row] < max(_SAME_PERSON, *shared.values()):
        return "another person has this number now"
    if sha256(str(people["image"][row])) != correction.photo_sha256:
        return "the photo is another one now"
    return ""


def photo_sha256(image: str, photos: ImageSource) -> str:
    """What corrections state of a photo.

    Raises:
        RuntimeError: It cannot be read. No correction is stale for that: it may be there again, and the shard, once it
            is finished, would not be done again for it.
    """
    try:
        return hashlib.sha256(photos.read(image)).hexdigest()
    except ImageError as error:
        message = f"{error}; the photo was readable when its keypoints were made, and without it nothing tells whether "
        message += "corrections are about it. Annotate the data set once more, with the photo put back or without it."
        raise RuntimeError(message) from error


def _moved(people: Columns, row: int, held: Sequence[Correction]) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (133, 3) and sigma (133,) of a person."""
    keypoints, sigma_px = people["keypoints_2d"][row].copy(), people["sigma_px"][row].copy()
    side = float(longer_side(people["bbox_xyxy"][row])[0])
    sure = annotation_sigma_px(np.full(len(sigma_px), VISIBLE), side)
    clicked = float(score_from_sigma(np.array(CLICK_SHARE), 1.0))
    for one in held:
        if one.state == "moved":
            keypoints[one.keypoint] = one.x_px, one.y_px, clicked
            sigma_px[one.keypoint] = sure[one.keypoint]
        else:
            keypoints[one.keypoint], sigma_px[one.keypoint] = 0, np.inf
    return keypoints, sigma_px


def _replaced(people: Columns, changed: dict[int, tuple[np.ndarray, np.ndarray]]) -> Columns:
    table = people.table
    for k, name in enumerate(("keypoints_2d", "sigma_px")):
        place, has = table.schema.get_field_index(name), people.has(name)
        rows = [changed[row][k] if row in changed else values for row, values in enumerate(people[name])]
        values = [values.ravel() if known else None for values, known in zip(rows, has, strict=True)]
        field = table.schema.field(name)
        table = table.set_column(place, field, pa.array(values, field.type))
    return Columns(table)

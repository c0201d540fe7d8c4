"""Masks of COCO rows, as polygons, as runs, or as packed runs: checked when they are listed, drawn when they are asked
for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from datasets_manifest.adapters.base import ImageRecord, MaskReader, Missing
from datasets_manifest.adapters.coco_values import RowError, box_xyxy, numbers, shown, size_px
from datasets_manifest.schema.rle import Rle

_LEAST_NUMBERS = 6


class CocoMasks:
    """Masks of the annotations of an image.

    Args:
        file: Its annotation file, for sentences.
        image: Row of the image.
        first_pixel: What the middle of the first pixel is called.
    """

    def __init__(self, file: str, image: Mapping[str, Any], first_pixel: float) -> None:
        self._file, self._image, self._first_pixel = file, image, first_pixel
        height, width = (size_px(image, name) for name in ("height", "width"))
        self._size = None if height is None or width is None else (height, width)

    def of(self, row: Mapping[str, Any]) -> tuple[MaskReader | None, list[Missing]]:
        """The mask of an annotation, and why it cannot be read."""
        try:
            return row_mask(row, self._size, self._first_pixel), []
        except RowError as error:
            where = f"annotation {row.get('id')} of image {self._image.get('id')}"
            return None, [Missing.of(f"{self._file} mask of {where}", error.code, f"the mask of {where}: {error}")]

    def with_crowds(self, record: ImageRecord, rows: Sequence[Mapping[str, Any]]) -> tuple[ImageRecord, list[Missing]]:
        """The image with crowds as regions whose people are not annotated: their masks, or, without one, their boxes;
        and what of them cannot be read."""
        masks, boxes, problems = list[MaskReader](), list[np.ndarray](), list[Missing]()
        for row in rows:
            mask, problem = self.of(row)
            problems += problem
            if mask is not None:
                masks.append(mask)
                continue
            with suppress(RowError):
                left, top, right, bottom = (box_xyxy(row) - np.float32(self._first_pixel)).tolist()
                boxes.append(np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32))
        if masks or boxes:
            regions = (*record.ignore_regions, *boxes)
            record = replace(record, ignore_masks=tuple(masks), ignore_regions=regions)
        return record, problems


def row_mask(row: Mapping[str, Any], size: tuple[int, int] | None, first_pixel: float = 0.0) -> MaskReader | None:
    """The mask of a row; None where it has none, or polygons in a photo whose size nobody knows.

    Args:
        row: Of an annotation.
        size: Height and width of the photo, px.
        first_pixel: What the middle of the first pixel is called.

    Raises:
        RowError: It is no mask, or one of another photo.
    """
    said = row.get("segmentation")
    if said is None or (isinstance(said, list) and not said):
        return None
    if isinstance(said, list):
        polygons = [_polygon(own, number) - first_pixel for number, own in enumerate(said)]
        return None if size is None else partial(Rle.of_polygons, polygons, size)
    mask = _runs(said)
    if size is not None and mask.size != size:
        raise RowError(
            f"the mask is of a photo of {mask.size[1]} x {mask.size[0]} px, the photo has {size[1]} x {size[0]}."
        )
    return lambda: mask


def _polygon(values: Any, number: int) -> np.ndarray:
    """(N, 2) px."""
    name = f"segmentation[{number}]"
    if not isinstance(values, list) or len(values) < _LEAST_NUMBERS or len(values) % 2:
        raise RowError(f"{name} must be x and y of three corners or more, got {shown(values)}.")
    return numbers({name: values}, name, len(values), "x and y of corners").reshape(-1, 2).astype(np.float64)


def _runs(said: Any) -> Rle:
    size, counts = (said.get("size"), said.get("counts")) if isinstance(said, dict) else (None, None)
    if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        raise RowError(f"segmentation must be polygons, or runs with size and counts, got {shown(said)}.")
    try:
        if isinstance(counts, list):
            return Rle.of_runs(counts, (size[0], size[1]))
        if not isinstance(counts, str):
            raise ValueError(f"counts must be numbers or a text, got {shown(counts)}")
        return checked(Rle((size[0], size[1]), counts.encode("ascii")))
    except ValueError as error:
        raise RowError(f"segmentation: {error}.") from error


def checked(mask: Rle) -> Rle:
    """The mask; ValueError where it is none."""
    _ = mask.runs
    return mask

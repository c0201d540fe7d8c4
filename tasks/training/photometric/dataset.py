"""The people of stage 2: those of stage 1, and pictures of their heads and hands cut from the photo.

A picture has the photo's own resolution where it is finer than the crop's, and lies in the crop as the crop lies in the
photo: turned and mirrored with it. Its colours are the photo's.

Legend: B people, P side of a picture in px.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch

from datasets_manifest.sources.images import ImageError, ReducedImage
from datasets_manifest.sources.masks import PERSON, UNKNOWN
from model.batches import Batch, map_tensors
from model.estimators.base import Array
from model.imaging.crop import cut_crop, decode_reduction
from model.imaging.squares import Square
from model.regressor.augment import Augmentation
from model.regressor.batch import TrainingBatch
from model.regressor.sample import LabelRow, Sample
from model.renderer.part_windows import Part, part_window
from model.renderer.photometric import PartPictures
from tasks.training.engine.broken_rows import TrainingDataError
from tasks.training.regressor.dataset import RegressorDataset

_WHOLLY = 250
"""Of 255: a pixel of a cut picture that is known, and inside the photo, as far as rounding goes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PicturedBatch(TrainingBatch):
    """B people with pictures of their parts."""

    pictures: Mapping[Part, PartPictures]
    """Of each part."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PicturedSample:
    """One person with pictures, each a ``PartPictures`` of one."""

    sample: Sample
    """What stage 1 is given."""
    pictures: Mapping[Part, PartPictures]
    """Of each part."""


class PicturedDataset(RegressorDataset):
    """Samples by position, with pictures of parts.

    Args:
        args: Of ``RegressorDataset``.
        parts: Of what there are pictures.
        picture_px: P.
        min_part_px: Least side of a part's square in the photo.
        options: Of ``RegressorDataset``.
    """

    def __init__(self, *args: Any, parts: Sequence[Part], picture_px: int, min_part_px: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self.parts, self.picture_px, self.min_part_px = parts, picture_px, min_part_px

    def collate(self, samples: Sequence[PicturedSample]) -> PicturedBatch:  # type: ignore[override]
        """Samples as a batch."""
        batch = super().collate([each.sample for each in samples])
        known = {entry.name: getattr(batch, entry.name) for entry in dataclasses.fields(batch)}
        pictures: dict[Part, PartPictures] = {
            part: _stacked([each.pictures[part] for each in samples]) for part in self.parts
        }
        return PicturedBatch(**known, pictures=pictures)

    def _reduction(self, row: LabelRow, augmentation: Augmentation) -> int:
        """As fine as the finest picture needs it."""
        windows = [part_window(row.keypoints_2d, part) for part in self.parts]
        squares = [Square(centre_px=(x, y), side_px=side) for x, y, side in (w for w in windows if w is not None)]
        needed = [decode_reduction(square, self.picture_px) for square in squares]
        return min([super()._reduction(row, augmentation), *needed])

    def _make(self, index: int, row: LabelRow, augmentation: Augmentation, photo: ReducedImage) -> Any:
        sample = super()._make(index, row, augmentation, photo)
        mask = self._mask(index, row, photo)
        pictures: dict[Part, PartPictures] = {part: self._picture(part, sample, photo, mask) for part in self.parts}
        return PicturedSample(sample=sample, pictures=pictures)

    def _mask(self, index: int, row: LabelRow, photo: ReducedImage) -> Array | None:
        try:
            return self.sets[index].mask(row.image, int(row.sample_id.rpartition("#")[2]), photo.size_px)
        except ImageError as error:
            raise TrainingDataError(f"{row.sample_id}: {error.detail}") from error

    def _picture(self, part: Part, sample: Sample, photo: ReducedImage, mask: Array | None) -> PartPictures:
        window = part_window(sample.keypoints_2d, part)
        crop_px, size = self.config.crop_px, self.picture_px
        affine = sample.crop_from_image.astype(np.float64)
        scale = np.sqrt(abs(np.linalg.det(affine[:, :2])))
        if window is None or window[2] * crop_px / scale < self.min_part_px:
            blank = np.zeros((size, size, 3), np.uint8)
            return _picture_of(blank, blank, False, np.array([0.0, 0.0, 1.0], np.float32), False)
        zoom = size / (window[2] * crop_px)
        affine *= zoom
        affine[:, 2] += size / 2 - zoom * crop_px * (window[:2].astype(np.float64) + 0.5)
        rgb = cut_crop(photo.rgb, affine, size, reduction=photo.reduction, offset_px=photo.offset_px)
        width, height = photo.size_px
        inside = np.full((height, width), 255, np.uint8)
        whole = inside if mask is None else mask
        levels = cv2.merge([np.where(whole == PERSON, 255, 0).astype(np.uint8),
                            np.where(whole == UNKNOWN, 0, 255).astype(np.uint8), inside])  # fmt: skip
        return _picture_of(rgb, cut_crop(levels, affine, size), mask is not None, window, True)


def _picture_of(rgb: Array, levels: Array, has_mask: bool, window: Array, is_shown: bool) -> PartPictures:
    """One picture from its pixels and, (P, P, 3), how much of each is the person's, known and inside the photo."""
    return PartPictures(
        rgb=torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))),
        person=torch.from_numpy(levels[None, ..., 0].copy()),
        known=torch.from_numpy((levels[None, ..., 1:] > _WHOLLY).all(-1)),
        has_mask=torch.tensor(has_mask),
        window=torch.from_numpy(window),
        is_shown=torch.tensor(is_shown),
    )


def _stacked(samples: Sequence[Batch]) -> Batch:
    """Samples without a batch dimension as a batch."""
    first, *others = samples
    return map_tensors(first, lambda *values: torch.stack(values), *others)

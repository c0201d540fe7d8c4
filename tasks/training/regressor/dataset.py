"""The people of a training, by position: which row, how it is augmented and its pixels follow from (seed, position)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from datasets_manifest.schema.ehm_fields import EHM_FIELDS
from datasets_manifest.sources.images import ImageError, ReducedImage, decode_reduced
from model.imaging.crop import decode_reduction
from model.regressor.augment import Augmentation, AugmentConfig, draw
from model.regressor.batch import TrainingBatch
from model.regressor.config import RegressorConfig
from model.regressor.flip import CoefficientMirror
from model.regressor.sample import LabelRow, Sample, collate, make_sample
from tasks.training.engine.broken_rows import BrokenRow, TrainingDataError, first_usable
from tasks.training.engine.sampling import InOrder, MixtureSampler, groups_of_photos
from tasks.training.labelled_photos import LabelledPhotos
from tasks.training.regressor.label_rows import LabelRows

_AUGMENT = 3
"""Sets the random stream of the augmentation apart from that of the order."""


class RegressorDataset(Dataset[TrainingBatch]):
    """Samples by position.

    A photo is decoded as finely as its crop needs it. The photo that a set gave last is kept, so that people of one
    photo who follow each other share it; what is kept never changes a pixel.

    Args:
        sets: One or more data sets.
        augment: How crops vary.
        config: Size of the crop and numbers of coefficients.
        seed: Of order and augmentation.
        mirror: How the body's coefficients are mirrored (``CoefficientMirror.of``); needed where crops are flipped.
        shuffle: False goes through the rows as they are, for evaluation.
        people_together: At most so many people of one photo follow each other in the shuffled order; 1 none.
        weigh_by_quality: A part supervises by its quality, else fully.
        max_broken_share: Largest share of all rows whose photos may be unusable. Such a row gives way to the next one
            of its set, and is counted (``tasks.training.engine.loader``); at 0 the first one ends the training.

    Raises:
        ValueError: Crops are to be flipped and the mirror is not given, or the body has none; a set has other numbers
            of coefficients than ``config``.
    """

    def __init__(
        self,
        sets: Sequence[LabelledPhotos],
        augment: AugmentConfig,
        config: RegressorConfig,
        seed: int,
        *,
        mirror: CoefficientMirror | None = None,
        shuffle: bool = True,
        people_together: int = 4,
        weigh_by_quality: bool = False,
        max_broken_share: float = 0.0,
    ) -> None:
        if not sets:
            raise ValueError("sets: expected one data set or more, got none")
        if not 0 <= max_broken_share <= 1:
            raise ValueError(f"max_broken_share: expected a share from 0 to 1, got {max_broken_share}")
        if augment.flip_share > 0 and (mirror is None or not mirror.body_allowed):
            lack = "is not given" if mirror is None else f"leaves {mirror.betas_residual:.0%} of the shape unexplained"
            raise ValueError(f"crops are flipped, but how this body's betas mirror {lack}; set augment.flip_share to 0")
        self.sets = tuple(sets)
        self.rows = tuple(LabelRows(each.selection, weigh_by_quality=weigh_by_quality) for each in sets)
        self.augment = augment
        self.config = config
        self.seed = seed
        self.mirror = mirror
        self.max_broken_share = max_broken_share
        sizes = [len(rows) for rows in self.rows]
        if shuffle:
            groups = [groups_of_photos(rows.images, people_together) for rows in self.rows]
            self.sampler = MixtureSampler(sizes, [each.weight for each in sets], seed, groups=groups)
        else:
            self.sampler = InOrder(sizes)
        self._last: dict[int, tuple[tuple[str, int], ReducedImage]] = {}
        self._check_coefficients()

    def __len__(self) -> int:
        """Rows of all sets; positions go on beyond it."""
        return sum(len(rows) for rows in self.rows)

    def __getitem__(self, position: int) -> Sample:  # type: ignore[override]
        """The sample of a position.

        Raises:
            TrainingDataError: Its photo cannot be used.
        """
        return self.find(position)[0]

    def batch(self, positions: Sequence[int]) -> TrainingBatch:
        """The samples of positions as a batch.

        Raises:
            TrainingDataError: A photo cannot be used.
        """
        return self.collate([self[position] for position in positions])

    def collate(self, samples: Sequence[Sample]) -> TrainingBatch:
        """Samples as a batch."""
        return collate(samples, self.mirror)

    def find(self, position: int) -> tuple[Sample, tuple[BrokenRow, ...]]:
        """The sample of a position, and the rows before it that were stepped over.

        Raises:
            TrainingDataError: The photo cannot be used and none may be replaced, or too many in a row.
        """
        index, row = self.sampler.locate(position)
        rows = self.rows[index]
        return first_usable(
            lambda place: self._sample(index, place, position),
            rows.sample_id,
            row,
            len(rows),
            may_replace=self.max_broken_share > 0,
        )

    def spread(self, count: int) -> TrainingBatch:
        """A batch of at most so many rows, spread over all of them in their order; for evaluation sets.

        Raises:
            TrainingDataError: A photo cannot be used.
        """
        return self.batch([int(position) for position in _spread(len(self), count)])

    def some_rows(self, count: int) -> list[LabelRow]:
        """Labels, at most so many, each set's share of them spread evenly over it."""
        shares = np.array([entry.weight for entry in self.sets], np.float64)
        found: list[LabelRow] = []
        for rows, share in zip(self.rows, shares / shares.sum(), strict=True):
            found += [rows[int(i)] for i in _spread(len(rows), max(1, round(count * float(share))))]
        return found

    def augmentation(self, row: LabelRow, position: int) -> Augmentation:
        """How a row is augmented at a position."""
        rng = np.random.default_rng([self.seed, _AUGMENT, position])
        return draw(rng, self.augment, row.box_xyxy, row.keypoints_2d)

    def _sample(self, index: int, number: int, position: int) -> Any:
        """The sample of a row of a set at a position.

        Raises:
            TrainingDataError: Its photo cannot be used.
        """
        row = self.rows[index][number]
        augmentation = self.augmentation(row, position)
        photo = self._photo(index, row, self._reduction(row, augmentation))
        return self._make(index, row, augmentation, photo)

    def _reduction(self, row: LabelRow, augmentation: Augmentation) -> int:
        """How coarsely a photo may be decoded."""
        return decode_reduction(augmentation.square, self.config.crop_px)

    def _make(self, index: int, row: LabelRow, augmentation: Augmentation, photo: ReducedImage) -> Any:
        """The sample of a person of a set from the decoded photo."""
        return make_sample(
            row,
            photo.rgb,
            augmentation,
            self.config.crop_px,
            reduction=photo.reduction,
            offset_px=photo.offset_px,
            mirrored_faces=self.mirror is not None and self.mirror.face_allowed,
        )

    def _photo(self, index: int, row: LabelRow, reduction: int) -> ReducedImage:
        key = (row.image, reduction)
        kept = self._last.get(index)
        if kept is not None and kept[0] == key:
            photo = kept[1]
        else:
            try:
                photo = decode_reduced(self.sets[index].images.read(row.image), name=row.image, reduction=reduction)
            except ImageError as error:
                raise TrainingDataError(
                    f"{row.sample_id}: its photo in {self.sets[index].images.root} cannot be used ({error.detail} "
                    f"{error.code.sentence})"
                ) from error
            self._last[index] = (key, photo)
        if 0 not in row.size_px and photo.size_px != row.size_px:
            raise TrainingDataError(
                f"{row.sample_id}: the photo {row.image} in {self.sets[index].images.root} is {photo.size_px[0]} x "
                f"{photo.size_px[1]} px, its label was made on one of {row.size_px[0]} x {row.size_px[1]} px; bring "
                "that one back or annotate again."
            )
        return photo

    def _check_coefficients(self) -> None:
        expected = {f.name: f.column_shape(self.config.size)[0] for f in EHM_FIELDS if f.kind == "coefficients"}
        for rows in self.rows:
            first = rows[0]
            for name, count in expected.items():
                found = len(first.parameters[name])
                if found != count:
                    raise ValueError(
                        f"Labels in {rows.selection.path} have {found} numbers of {name}, the network {count}; make "
                        "the network's setting the labels', or annotate again."
                    )


def _spread(total: int, count: int) -> np.ndarray:
    """At most `count` of `total` places, spread evenly."""
    return np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int))

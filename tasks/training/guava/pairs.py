"""Pairs of photos of one person, by position: which photos and their pixels follow from (seed, position).

Legend: B pairs, P side of a picture in px.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datasets_manifest.schema.ehm_fields import LABEL_FIELDS
from datasets_manifest.sources.images import ImageError, decode_image
from datasets_manifest.sources.masks import PERSON, UNKNOWN
from model.batches import cat_rows
from model.body.parameters import EhmParameters
from model.imaging.camera import Camera
from model.imaging.crop import crop_square, crop_transform, cut_crop
from model.imaging.squares import Square, apply_affine
from model.renderer.part_windows import Part, part_window
from tasks.training.engine.broken_rows import BrokenRow, TrainingDataError, first_usable
from tasks.training.engine.sampling import InOrder, MixtureSampler
from tasks.training.guava.same_person import SamePerson
from tasks.training.labelled_photos import LabelledPhotos

_PARTNER = 11
"""Sets the random stream of the other photo apart from that of the order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cuts:
    """A square of a photo of each of B people."""

    rgb: Tensor
    """(B, 3, P, P) uint8."""
    person: Tensor
    """(B, 1, P, P) uint8: which share of a pixel is the person's."""
    known: Tensor
    """(B, 1, P, P) bool: whether that is known."""
    camera: Camera
    """In pixels of what is drawn."""

    @property
    def mask(self) -> Tensor:
        """(B, 1, P, P) float, 0..1; 0 where it is not known."""
        return self.person.float() / 255 * self.known

    @property
    def picture(self) -> Tensor:
        """(B, 3, P, P) float, 0..1; black beside the person."""
        return self.rgb.float() / 255 * self.mask


@dataclass(frozen=True, kw_only=True, slots=True)
class Frames(Cuts):
    """One photo of each of B people."""

    people: EhmParameters
    """Pose and place in the frame of the camera."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PartCuts(Cuts):
    """A part of each of B people."""

    is_shown: Tensor
    """(B,) bool: whether enough of it is seen to know where it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PairBatch:
    """B pairs."""

    source: Frames
    """What a person is known from."""
    target: Frames
    """What is drawn."""
    parts: Mapping[Part, PartCuts]
    """Head and hands of the targets, where they are drawn by cameras of their own."""
    step: Tensor
    """(B,) int64 how many steps are done when this is learnt from."""
    sample_ids: tuple[str, ...]
    """Of the targets."""


class FramePairs:
    """Pairs by position.

    Args:
        sets: One or more data sets, with masks.
        same: Which photos show one person.
        source_px: Side of the pictures that people are known from.
        target_px: Side of what is drawn.
        seed: Of the order and of the other photo.
        global_batch: Pairs of a step.
        parts: What is looked at closely, by cameras of its own.
        shuffle: False goes through the photos as they are, each with the first one of its person, for evaluation.
        max_broken_share: Largest share of all photos that may be unusable.

    Raises:
        ValueError: A set has nobody in two photos.
    """

    def __init__(
        self,
        sets: Sequence[LabelledPhotos],
        *,
        same: SamePerson,
        source_px: int,
        target_px: int,
        seed: int,
        global_batch: int,
        parts: Sequence[Part] = (),
        shuffle: bool = True,
        max_broken_share: float = 0.0,
    ) -> None:
        self.sets = tuple(sets)
        self.source_px, self.target_px, self.seed, self.global_batch = source_px, target_px, seed, global_batch
        self.max_broken_share, self.parts = max_broken_share, parts
        self._others = [same.photos(each, first=not shuffle) for each in sets]
        self._targets = [np.array(sorted(others)) for others in self._others]
        self._columns = [{name: each.selection.array(name) for name in _COLUMNS} for each in sets]
        self._names = [each.selection.table["image"].combine_chunks() for each in sets]
        self._ids = [each.selection.table["sample_id"].combine_chunks() for each in sets]
        self._shuffle = shuffle
        sizes = [len(targets) for targets in self._targets]
        weights = [each.weight for each in sets]
        self._sampler = MixtureSampler(sizes, weights, seed) if shuffle else InOrder(sizes)

    def __len__(self) -> int:
        """Photos of all sets that may be drawn."""
        return sum(map(len, self._targets))

    def find(self, position: int) -> tuple[PairBatch, tuple[BrokenRow, ...]]:
        """The pair of a position as a batch of one, and the frames before it that were stepped over.

        Raises:
            TrainingDataError: It cannot be used and none may be replaced, or too many in a row.
        """
        index, place = self._sampler.locate(position)
        targets = self._targets[index]
        return first_usable(
            lambda place: self._pair(index, int(targets[place]), position),
            lambda place: self._ids[index][int(targets[place])].as_py(),
            place,
            len(targets),
            may_replace=self.max_broken_share > 0,
        )

    def collate(self, samples: Sequence[PairBatch]) -> PairBatch:
        """Pairs as one batch."""
        ids = tuple(sample_id for sample in samples for sample_id in sample.sample_ids)
        alike = [dataclasses.replace(sample, sample_ids=()) for sample in samples]
        return dataclasses.replace(cat_rows(alike), sample_ids=ids)

    def spread(self, count: int) -> PairBatch:
        """At most so many pairs, spread over all of them in their order; for evaluation sets."""
        places = np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int))
        return self.collate([self.find(int(place))[0] for place in places])

    def _pair(self, index: int, row: int, position: int) -> PairBatch:
        others = self._others[index][row]
        other = others[0]
        if self._shuffle:
            other = np.random.default_rng([self.seed, _PARTNER, position]).choice(others)
        source, target = (self._photo(index, int(each)) for each in (other, row))
        return PairBatch(
            source=self._frame(index, int(other), source, self.source_px),
            target=self._frame(index, row, target, self.target_px),
            parts={part: self._part(index, row, target, part) for part in self.parts},
            step=torch.tensor([position // self.global_batch]),
            sample_ids=(self._ids[index][row].as_py(),),
        )

    def _photo(self, index: int, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo (H, W, 3) and mask (H, W)."""
        photos, name = self.sets[index], self._names[index][row].as_py()
        try:
            rgb = decode_image(photos.images.read(name), name=name)
            mask = photos.mask(name, int(self._columns[index]["person"][row]), (rgb.shape[1], rgb.shape[0]))
        except ImageError as error:
            raise TrainingDataError(f"{name} in {photos.images.root} cannot be used ({error.detail})") from error
        if mask is None:
            raise TrainingDataError(f"{name} has no mask in {photos.masks}; make it, or leave the photo out")
        return rgb, mask

    def _frame(self, index: int, row: int, photo: tuple[np.ndarray, np.ndarray], side_px: int) -> Frames:
        columns = self._columns[index]
        people = EhmParameters.from_columns({field.name: columns[field.name][row : row + 1] for field in LABEL_FIELDS})
        square = crop_square(columns["bbox_xyxy"][row])
        return Frames(**self._cut(index, row, photo, square, side_px), people=people)

    def _part(self, index: int, row: int, photo: tuple[np.ndarray, np.ndarray], part: Part) -> PartCuts:
        columns = self._columns[index]
        window = part_window(columns["keypoints_2d"][row], part)
        square = crop_square(columns["bbox_xyxy"][row])  # where there is no part, anything
        if window is not None:
            x, y, side = map(float, window)
            square = Square(centre_px=(x, y), side_px=side)
        return PartCuts(
            **self._cut(index, row, photo, square, self.target_px), is_shown=torch.tensor([window is not None])
        )

    def _cut(
        self, index: int, row: int, photo: tuple[np.ndarray, np.ndarray], square: Square, side_px: int
    ) -> dict[str, Any]:
        """The fields of ``Cuts``."""
        columns, (rgb, mask) = self._columns[index], photo
        affine = crop_transform(square, side_px)
        layers = np.stack([255 * (mask == PERSON), 255 * (mask != UNKNOWN), mask], -1).astype(np.uint8)
        cut, shown = (
            torch.from_numpy(cut_crop(each, affine, side_px)).permute(2, 0, 1)[None] for each in (rgb, layers)
        )
        drawn = crop_transform(square, self.target_px)
        principal = torch.from_numpy(apply_affine(drawn, columns["principal_px"][row])).float()[None]
        focal = torch.tensor([float(columns["focal_px"][row]) * self.target_px / square.side_px])
        return {
            "rgb": cut.contiguous(),
            "person": shown[:, :1].contiguous(),
            "known": shown[:, 1:2] == 255,
            "camera": Camera(focal_px=focal, principal_px=principal),
        }


_COLUMNS = (*(field.name for field in LABEL_FIELDS), "bbox_xyxy", "focal_px", "keypoints_2d", "person", "principal_px")

"""Pairs of frames of one person, by position: which frames and their pixels follow from (seed, position).

Legend: B pairs, P side of a picture in px.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datasets_manifest.schema.ehm_fields import LABEL_FIELDS
from datasets_manifest.sources.images import ImageError, decode_image
from datasets_manifest.sources.masks import PERSON, UNKNOWN
from datasets_manifest.sources.video import clip_of
from model.batches import cat_rows
from model.body.parameters import EhmParameters
from model.imaging.camera import Camera
from model.imaging.crop import crop_square, crop_transform, cut_crop
from model.imaging.squares import apply_affine
from tasks.training.engine.broken_rows import BrokenRow, TrainingDataError, first_usable
from tasks.training.engine.sampling import InOrder, MixtureSampler
from tasks.training.labelled_photos import LabelledPhotos

_PARTNER = 11
"""Sets the random stream of the other frame apart from that of the order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Frames:
    """One frame of each of B people."""

    rgb: Tensor
    """(B, 3, P, P) uint8."""
    person: Tensor
    """(B, 1, P, P) uint8: which share of a pixel is the person's."""
    known: Tensor
    """(B, 1, P, P) bool: whether that is known."""
    people: EhmParameters
    """Pose and place in the frame of the camera."""
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
class PairBatch:
    """B pairs."""

    source: Frames
    """What a person is known from."""
    target: Frames
    """What is drawn."""
    step: Tensor
    """(B,) int64 how many steps are done when this is learnt from."""
    sample_ids: tuple[str, ...]
    """Of the targets."""


class FramePairs:
    """Pairs by position.

    Args:
        sets: One or more data sets of clips, with masks.
        source_px: Side of the pictures that people are known from.
        target_px: Side of what is drawn.
        seed: Of the order and of the other frame.
        global_batch: Pairs of a step.
        shuffle: False goes through the frames as they are, each with the first frame of its clip, for evaluation.
        max_broken_share: Largest share of all frames that may be unusable.

    Raises:
        ValueError: A set has no clip in which one person is labelled in two frames or more, and nobody else.
    """

    def __init__(
        self,
        sets: Sequence[LabelledPhotos],
        *,
        source_px: int,
        target_px: int,
        seed: int,
        global_batch: int,
        shuffle: bool = True,
        max_broken_share: float = 0.0,
    ) -> None:
        self.sets = tuple(sets)
        self.source_px, self.target_px, self.seed, self.global_batch = source_px, target_px, seed, global_batch
        self.max_broken_share = max_broken_share
        self._others = [frames_of_clips(each, first=not shuffle) for each in sets]
        self._targets = [np.array(sorted(others)) for others in self._others]
        self._columns = [{name: each.selection.array(name) for name in _COLUMNS} for each in sets]
        self._names = [each.selection.table["image"].combine_chunks() for each in sets]
        self._ids = [each.selection.table["sample_id"].combine_chunks() for each in sets]
        self._shuffle = shuffle
        sizes = [len(targets) for targets in self._targets]
        weights = [each.weight for each in sets]
        self._sampler = MixtureSampler(sizes, weights, seed) if shuffle else InOrder(sizes)

    def __len__(self) -> int:
        """Frames of all sets that may be drawn."""
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
        return PairBatch(
            source=self._frame(index, int(other), self.source_px),
            target=self._frame(index, row, self.target_px),
            step=torch.tensor([position // self.global_batch]),
            sample_ids=(self._ids[index][row].as_py(),),
        )

    def _frame(self, index: int, row: int, side_px: int) -> Frames:
        photos, columns, name = self.sets[index], self._columns[index], self._names[index][row].as_py()
        try:
            rgb = decode_image(photos.images.read(name), name=name)
            mask = photos.mask(name, int(columns["person"][row]), (rgb.shape[1], rgb.shape[0]))
        except ImageError as error:
            raise TrainingDataError(f"{name} in {photos.images.root} cannot be used ({error.detail})") from error
        if mask is None:
            raise TrainingDataError(f"{name} has no mask in {photos.masks}; make it, or leave the frame out")
        square = crop_square(columns["bbox_xyxy"][row])
        affine = crop_transform(square, side_px)
        layers = np.stack([255 * (mask == PERSON), 255 * (mask != UNKNOWN), mask], -1).astype(np.uint8)
        cut, shown = (
            torch.from_numpy(cut_crop(each, affine, side_px)).permute(2, 0, 1)[None] for each in (rgb, layers)
        )
        drawn = crop_transform(square, self.target_px)
        principal = torch.from_numpy(apply_affine(drawn, columns["principal_px"][row])).float()[None]
        focal = torch.tensor([float(columns["focal_px"][row]) * self.target_px / square.side_px])
        return Frames(
            rgb=cut.contiguous(),
            person=shown[:, :1].contiguous(),
            known=shown[:, 1:2] == 255,
            people=EhmParameters.from_columns(
                {field.name: columns[field.name][row : row + 1] for field in LABEL_FIELDS}
            ),
            camera=Camera(focal_px=focal, principal_px=principal),
        )


_COLUMNS = (*(field.name for field in LABEL_FIELDS), "bbox_xyxy", "focal_px", "principal_px", "person")


def frames_of_clips(photos: LabelledPhotos, *, first: bool) -> dict[int, np.ndarray]:
    """Rows of frames, and for each the rows of other frames of the person.

    Args:
        photos: One data set.
        first: Whether the others of a row are the first row of its clip alone, which is then no row itself.

    Raises:
        ValueError: There is nobody in two frames.
    """
    names = list(map(str, photos.selection.table["image"].to_pylist()))
    clips: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        clips.setdefault(clip_of(name), []).append(row)
    found: dict[int, np.ndarray] = {}
    for rows in clips.values():
        if len(rows) < 2 or len({names[row] for row in rows}) < len(rows):
            continue  # one frame, or several people: who is who in another frame is not known
        if first:
            found |= {row: np.array(rows[:1]) for row in rows[1:]}
        else:
            found |= {row: np.array([other for other in rows if other != row]) for row in rows}
    if not found:
        raise ValueError(
            f"{photos.selection.path}: no clip with one person in two frames or more, which a renderer is learnt from; "
            "annotate frames of videos of one person each"
        )
    return found

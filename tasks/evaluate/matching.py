"""Which label is of which known person.

A label and a known person of one photo belong together if their boxes overlap most, and by more than ``MIN_IOU``; the
rest are misses and false finds, which are counted, not averaged away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from datasets_manifest.adapters.base import ImageRecord, MaskReader, PersonRecord
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.labels import image_id_of
from datasets_manifest.schema.people import found_rows

MIN_IOU = 0.3
"""Smallest overlap of the boxes of one and the same person."""

_IGNORED_SHARE = 0.5
"""Of a box within crowds, from which on it is of somebody in them; COCO's evaluation takes it of the crowds' boxes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Matching:
    """Labels and known people, brought together."""

    labels: Columns
    """(P,) labels that are of a known person."""
    people: tuple[PersonRecord, ...]
    """(P,) the people they are of."""
    num_known: int
    """People that the data set knows."""
    num_labels: int
    """Labels of people who were found, but for those in ``ImageRecord.ignore_regions`` and ``ignore_masks`` whom nobody
    is known to be."""

    @property
    def num_pairs(self) -> int:
        """P."""
        return len(self.people)

    @classmethod
    def joined(cls, parts: Sequence[Matching]) -> Matching:
        """Several matchings of different photos as one."""
        # Shards may differ in the columns that only some photos have, such as lenses.
        tables = pa.concat_tables([part.labels.table for part in parts], promote_options="default")
        return cls(
            labels=Columns(tables.unify_dictionaries()),
            people=tuple(person for part in parts for person in part.people),
            num_known=sum(part.num_known for part in parts),
            num_labels=sum(part.num_labels for part in parts),
        )


def box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of (P, 4) and (Q, 4) xyxy boxes, as (P, Q)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    areas = [(b[:, 2:] - b[:, :2]).prod(-1) for b in (boxes, others)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)


def assigned(boxes: np.ndarray, others: np.ndarray) -> list[tuple[int, int]]:
    """Which of (P, 4) and (Q, 4) xyxy boxes are of one person: the pairs of largest overlap, by more than
    ``MIN_IOU``."""
    iou = box_iou(boxes, others)
    if iou.size == 1:  # Most photos: there is nothing to choose.
        return [(0, 0)] if iou[0, 0] >= MIN_IOU else []
    from scipy.optimize import linear_sum_assignment  # Dear to import.

    return [(int(i), int(j)) for i, j in zip(*linear_sum_assignment(-iou), strict=True) if iou[i, j] >= MIN_IOU]


def match_people(labels: Columns, records: Iterable[ImageRecord]) -> Matching:
    """Brings labels and known people of each photo together, by the assignment of largest overlap.

    Args:
        labels: Rows of labels, failed and bridged ones among them.
        records: The photos that the labels are of, with the people that the data set knows.
    """
    # What leads through a frame is no claim about it.
    usable = found_rows(labels.table) & labels.has("bbox_xyxy")
    boxes = labels["bbox_xyxy"].astype(np.float64)
    images = np.array([image_id_of(sample_id) for sample_id in labels["sample_id"]], object)
    rows: list[int] = []
    matched: list[PersonRecord] = []
    num_known = num_ignored = 0
    for record in records:
        people = [person for person in record.people if person.bbox_xyxy is not None and person.error_code is None]
        num_known += len(people)
        found = np.flatnonzero(usable & (images == record.image_id))
        is_matched = np.zeros(len(found), bool)
        if people and len(found):
            known = np.array([person.bbox_xyxy for person in people], np.float64)
            for i, j in assigned(boxes[found], known):
                rows.append(int(found[i]))
                matched.append(people[j])
                is_matched[i] = True
        num_ignored += int((_is_ignored(record, boxes[found]) & ~is_matched).sum())
    return Matching(
        labels=labels.take(np.array(rows, np.int64)),
        people=tuple(matched),
        num_known=num_known,
        num_labels=int(usable.sum()) - num_ignored,
    )


def unmatched(
    labels: Columns, records: Sequence[ImageRecord], matching: Matching
) -> tuple[list[tuple[ImageRecord, PersonRecord]], np.ndarray]:
    """Who is in no pair: known people who were missed, and the numbers of rows that are of nobody who is known.

    Args:
        labels: As ``match_people`` took them.
        records: Likewise.
        matching: What it made of them.
    """
    paired, found_ids = set(map(id, matching.people)), set(matching.labels["sample_id"])
    usable = found_rows(labels.table) & labels.has("bbox_xyxy")
    usable &= np.array([sample_id not in found_ids for sample_id in labels["sample_id"]], bool)
    images = np.array([image_id_of(sample_id) for sample_id in labels["sample_id"]], object)
    missed: list[tuple[ImageRecord, PersonRecord]] = []
    false = [np.flatnonzero(usable & ~np.isin(images, [record.image_id for record in records]))]
    for record in records:
        people = [person for person in record.people if person.bbox_xyxy is not None and person.error_code is None]
        missed += [(record, person) for person in people if id(person) not in paired]
        own = np.flatnonzero(usable & (images == record.image_id))
        false.append(own[~_is_ignored(record, labels["bbox_xyxy"][own].astype(np.float64))])
    return missed, np.sort(np.concatenate(false))


def _is_ignored(record: ImageRecord, boxes: np.ndarray) -> np.ndarray:
    """(P,) whether the middles of boxes (P, 4) lie in regions of a photo whose people are not annotated, or half of a
    box in masks of such: a crowd has gaps."""
    x, y = boxes[:, ::2].mean(1), boxes[:, 1::2].mean(1)
    is_inside = np.zeros(len(boxes), bool)
    for region in record.ignore_regions:
        is_odd = np.zeros(len(boxes), bool)
        for (x0, y0), (x1, y1) in zip(region, np.roll(region, -1, 0), strict=True):
            if y0 != y1:  # A point lies inside if a ray to its right crosses the outline an odd number of times.
                is_odd ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
        is_inside |= is_odd
    return is_inside | (_masked_share(record.ignore_masks, boxes) >= _IGNORED_SHARE)


def _masked_share(masks: Sequence[MaskReader], boxes: np.ndarray) -> np.ndarray:
    """(P,) which share of the pixels of boxes (P, 4) lies in masks of a photo, which do not overlap."""
    shares = np.zeros(len(boxes))
    for read in masks if len(boxes) else ():
        pixels = read().mask()
        for row, (left, top, right, bottom) in enumerate(np.round(boxes).clip(0).astype(int).tolist()):
            if (own := pixels[top:bottom, left:right]).size:
                shares[row] += own.mean()
    return shares


class OfImage(Protocol):
    """What is known of an image."""

    @property
    def image_id(self) -> str:
        """Its id in the data set."""
        ...


Known = TypeVar("Known", bound=OfImage)


class KnownPhotos(Generic[Known]):
    """What is known of a data set's images, taken as they are asked for.

    Asked in the order in which the data set lists them, as the shards of a plan do, it holds no more than the photos of
    shards that have no labels; asked in another order, all that were passed over.
    """

    def __init__(self, records: Iterable[Known]) -> None:
        self._records, self._passed = iter(records), dict[str, Known]()

    def take(self, image_ids: Iterable[str]) -> list[Known]:
        """Records of some images; those that the data set does not list are left out."""
        found = []
        for image in image_ids:
            while image not in self._passed:
                record = next(self._records, None)
                if record is None:
                    break
                self._passed[record.image_id] = record
            if image in self._passed:
                found.append(self._passed.pop(image))
        return found

    def rest(self) -> Iterable[Known]:
        """Records that nobody asked for."""
        yield from self._passed.values()
        yield from self._records

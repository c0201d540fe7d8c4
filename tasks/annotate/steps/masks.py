"""Masks that the data set has of people: into their labels, and as the pixel refinement takes them."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.labels import image_id_of
from datasets_manifest.schema.rle import Rle, mask_column
from datasets_manifest.sources.masks import NOBODY, PERSON, UNKNOWN
from model.estimators.base import Array, PersonBatch

log = logging.getLogger(__name__)

SOURCE = "annotated"
"""What ``mask_source`` calls these masks."""


def has_masks(plan: Columns) -> bool:
    """Whether a plan has masks of people."""
    return "mask" in plan.table.column_names


def with_masks(table: pa.Table, plan: Columns) -> pa.Table:
    """A table of labels with the masks of its people, by their ``sample_id``."""
    row_of = {name: row for row, name in enumerate(plan["sample_id"])}
    rows = pa.array([row_of.get(name) for name in table["sample_id"].to_pylist()], pa.int64())
    field = mask_column()
    return table.set_column(table.schema.get_field_index(field.name), field, plan.table["mask"].take(rows))


class AnnotatedMasks:
    """Masks of people of a shard, by their ``sample_id``."""

    def __init__(self, plan: Columns) -> None:
        """Takes them from a plan, which need not have any."""
        self._masks: dict[str, Rle] = {}
        self._people = defaultdict[str, list[str]](list)
        for name, value in (
            zip(plan["sample_id"], plan.table["mask"].to_pylist(), strict=True) if has_masks(plan) else ()
        ):
            if (mask := Rle.of_value(value)) is not None:
                self._masks[name] = mask
                self._people[image_id_of(name)].append(name)

    def of(self, sample_id: str, size_px: tuple[int, int]) -> np.ndarray | None:
        """The mask of a person, (H, W) uint8 as in ``datasets_manifest.sources.masks``: what is another person's alone
        is not known, since he may stand in front. None: there is none, or it is of a photo of another size.

        Args:
            sample_id: Of the person.
            size_px: Width and height of the upright photo.
        """
        own = self._masks.get(sample_id)
        if own is None:
            return None
        if own.size != size_px[::-1]:
            log.warning(
                "%s: the mask is of a photo of %d x %d px, the photo has %d x %d; it is not used", sample_id,
                *own.size[::-1], *size_px,
            )  # fmt: skip
            return None
        found = np.full(own.size, NOBODY, np.uint8)
        for name in self._people[image_id_of(sample_id)]:
            if name != sample_id and self._masks[name].size == own.size:
                found[self._masks[name].mask()] = UNKNOWN
        found[own.mask()] = PERSON
        return found

    def or_estimated(
        self, batch: PersonBatch, sample_ids: Sequence[str], estimate: Callable[[PersonBatch], list[Array | None]]
    ) -> tuple[list[Array | None], np.ndarray]:
        """Masks of a batch of (P,) people: their own, and of those who have none what somebody estimates.

        Returns:
            The masks, and (P,) whether each is the person's own.
        """
        sizes = [(image.shape[1], image.shape[0]) for image in batch.images]
        found = [self.of(name, size) for name, size in zip(sample_ids, sizes, strict=True)]
        is_own = np.array([mask is not None for mask in found], bool)
        if not is_own.all():
            estimated = estimate(batch)
            found = [own if own is not None else other for own, other in zip(found, estimated, strict=True)]
        return found, is_own

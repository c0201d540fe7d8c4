"""The data sets of a training, opened: selected labels with the photos and masks that they are about."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datasets_manifest.never_train import check_may_train
from datasets_manifest.schema.ehm_fields import BodySize
from datasets_manifest.shards.label_filter import LabelFilter
from datasets_manifest.shards.label_sets import LabelSet
from datasets_manifest.shards.selection import Selection, select_labels
from datasets_manifest.shards.selection_file import read_selections, write_selections
from datasets_manifest.sources.image_source import ImageSource, check_images
from datasets_manifest.sources.masks import mask_path, read_mask
from datasets_manifest.sources.opening import open_images


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LabelledPhotos:
    """One data set of a training."""

    selection: Selection
    """Its rows."""
    images: ImageSource
    """Its photos."""
    weight: float = 1.0
    """Share of the samples, relative to the other sets."""
    masks: Path | None = None
    """Folder of their masks (``datasets_manifest.sources.masks``)."""

    def mask(self, image: str, person: int, size_px: tuple[int, int]) -> np.ndarray | None:
        """The mask of a person (``datasets_manifest.sources.masks.read_mask``); None: there is none.

        Raises:
            ImageError: It cannot be read, or is of another size.
        """
        return None if self.masks is None else read_mask(self.masks, image, person, size_px)

    def some(self, rows: np.ndarray) -> LabelledPhotos:
        """Some of the rows, by number."""
        table = self.selection.table.take(pa.array(rows, pa.int64())).combine_chunks()
        return dataclasses.replace(self, selection=dataclasses.replace(self.selection, table=table))


def open_labelled(
    entry: LabelSet,
    taken: LabelFilter,
    *,
    max_dropped_share: float,
    body_model: Mapping[str, Any],
    size: BodySize,
    is_learnt_from: bool = True,
) -> LabelledPhotos:
    """Opens a data set.

    Args:
        entry: Where it lies.
        taken: Which labels.
        max_dropped_share: How many may be left out.
        body_model: What the labels must be labels of.
        size: Numbers of its coefficients.
        is_learnt_from: Whether it may be none of those that are never learnt from.

    Raises:
        ValueError: Labels are missing, of another body, too many are left out, photos or masks are gone; or nothing may
            learn from them.
    """
    selection = select_labels(
        entry.path,
        taken,
        max_dropped_share=max_dropped_share,
        body_model=body_model,
        size=size,
        obedience=entry.obedience(),
    )
    names = [str(name) for name in selection.table["image"].unique()]
    if is_learnt_from:
        check_may_train(selection.path, selection.manifest, names)
    images, masks = open_images(entry.images), None if entry.masks is None else Path(entry.masks)
    check_images(names, images, labels=selection.path)
    if masks is not None and not masks.is_dir():
        raise ValueError(f"masks: there is no folder {masks} of the people of {selection.path}; correct the path")
    people = zip(selection.table["image"].to_pylist(), selection.array("person").tolist(), strict=True)
    if masks is not None and not any(mask_path(masks, str(image), person).is_file() for image, person in people):
        raise ValueError(
            f"masks: none of {selection.num_rows} people of {selection.path} has a mask in {masks}; name the folder of "
            "their data set and split, such as masks/my_photos/all, or leave masks out"
        )
    return LabelledPhotos(selection=selection, images=images, weight=entry.weight, masks=masks)


def check_apart(training: Sequence[LabelledPhotos], validation: Sequence[LabelledPhotos]) -> None:
    """Raises ValueError if somebody is learnt from and evaluated on."""
    learnt = pa.chunked_array([chunk for people in training for chunk in people.selection.table["sample_id"].chunks])
    for people in validation:
        held_out = people.selection.table["sample_id"]
        both = held_out.filter(pc.is_in(held_out, value_set=learnt)).sort()
        if len(both):
            raise ValueError(
                f"validation: {len(both)} people of {people.selection.path} are also among those to learn from "
                f"({', '.join(map(str, both[:3].to_pylist()))}); name the folder of another split"
            )


def write_labelled(
    path: Path, training: Sequence[LabelledPhotos], validation: Sequence[LabelledPhotos]
) -> dict[str, Any]:
    """Writes the selected labels of a training to a file.

    Returns:
        What a request says of them, for ``read_labelled``.
    """
    found = write_selections(path, [people.selection for people in (*training, *validation)])
    return {
        "selection": found,
        "training": [_place(people) for people in training],
        "validation": [_place(people) for people in validation],
    }


def read_labelled(
    path: Path, request: Mapping[str, Any]
) -> tuple[tuple[LabelledPhotos, ...], tuple[LabelledPhotos, ...]]:
    """Who is learnt from and who is evaluated on, by a request; their labels stay in the file.

    Raises:
        ValueError: The file is gone or another one, or a place of photos is gone.
    """
    selections = iter(read_selections(path, request["selection"]))
    training, validation = (
        tuple(
            LabelledPhotos(
                selection=next(selections),
                images=open_images(place["images"]),
                weight=place["weight"],
                masks=None if place["masks"] is None else Path(place["masks"]),
            )
            for place in request[name]
        )
        for name in ("training", "validation")
    )
    return training, validation


def _place(people: LabelledPhotos) -> dict[str, Any]:
    masks = None if people.masks is None else str(people.masks)
    return {"images": str(people.images.root), "weight": people.weight, "masks": masks}

"""Rows of a selection, one by one and without a copy of the table."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.ehm_fields import LEARNT_FIELDS
from datasets_manifest.schema.labels import PART_NAMES
from datasets_manifest.shards.selection import Selection
from model.estimators.base import Array
from model.regressor.sample import LabelRow

_PARAMETERS = tuple(field.name for field in LEARNT_FIELDS)
"""Where a person stands is nothing that a crop tells."""
_ROW = (
    "joint_seen", "bbox_xyxy", "keypoints_2d", "focal_px", "principal_px", "image_width", "image_height",
    "body_group_valid", "eyes_valid", "eyelids_valid",
)  # fmt: skip


class LabelRows:
    """Random access to the rows of a selection.

    Args:
        selection: The rows, without gaps.
        weigh_by_quality: The weight of a part is its quality, else 1.
    """

    def __init__(self, selection: Selection, *, weigh_by_quality: bool = False) -> None:
        self.selection = selection
        self._columns: dict[str, Array] = {name: selection.array(name) for name in (*_PARAMETERS, *_ROW)}
        self._valid = np.stack([selection.array(f"{part}_valid").astype(bool) for part in PART_NAMES], 1)
        self._images = selection.table["image"].combine_chunks()
        self._sample_ids = selection.table["sample_id"].combine_chunks()
        self._weights = np.ones(self._valid.shape, np.float32)
        if weigh_by_quality:
            self._weights = np.stack([selection.array(f"{part}_quality") for part in PART_NAMES], 1)
        self._check()

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._valid)

    @property
    def images(self) -> pa.Array:
        """Photo of each row."""
        return self._images

    def sample_id(self, index: int) -> str:
        """The row's sample id."""
        return self._sample_ids[index].as_py()

    def __getitem__(self, index: int) -> LabelRow:
        """One row; its arrays are read-only views."""
        columns = self._columns
        valid = self._valid[index].copy()
        # Without a body there is no turn of the head.
        valid[3] &= valid[0] or any(columns[name][index].any() for name in ("global_orient", "body_pose"))
        return LabelRow(
            sample_id=self.sample_id(index),
            image=self._images[index].as_py(),
            size_px=(int(columns["image_width"][index]), int(columns["image_height"][index])),
            box_xyxy=columns["bbox_xyxy"][index],
            keypoints_2d=columns["keypoints_2d"][index],
            focal_px=float(columns["focal_px"][index]),
            principal_px=columns["principal_px"][index],
            parameters={name: columns[name][index] for name in _PARAMETERS},
            part_valid=valid,
            joint_seen=columns["joint_seen"][index],
            body_group_valid=columns["body_group_valid"][index],
            eyes_valid=bool(columns["eyes_valid"][index]),
            eyelids_valid=bool(columns["eyelids_valid"][index]),
            weight=self._weights[index],
        )

    def _check(self) -> None:
        """A box without an extent or a focal length of 0 would give a crop of nothing."""
        boxes = self._columns["bbox_xyxy"]
        sides = np.subtract(boxes[:, 2:], boxes[:, :2])
        for name, bad in (("bbox_xyxy", (sides <= 0).any(1)), ("focal_px", self._columns["focal_px"] <= 0)):
            if bad.any():
                row = int(np.flatnonzero(bad)[0])
                raise ValueError(
                    f"{int(bad.sum())} rows of the labels in {self.selection.path} have no usable {name}, such as "
                    f"{self.sample_id(row)} with {self._columns[name][row].tolist()}; annotate them again or filter "
                    "them out."
                )

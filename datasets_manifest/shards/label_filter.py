"""Which rows of labels may supervise a model, and the reason why a row may not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, NonNegativeFloat

from datasets_manifest.schema.ehm_fields import PART_NAMES, Part
from datasets_manifest.schema.error_codes import Status
from datasets_manifest.settings import Share
from datasets_manifest.shards.selection_columns import gaps, has_body


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelFilter:
    """Which rows may supervise."""

    min_quality: Share = 0.0
    """A part of a lower quality does not supervise, and where this is above 0 neither one that states none; rows that
    are left without a required part are left out."""
    statuses: Annotated[tuple[Literal["ok", "partial"], ...], Field(min_length=1)] = ("ok", "partial")
    """States of the rows that are taken; a failed row has no label."""
    require: Annotated[tuple[Part, ...], Field(min_length=1)] = PART_NAMES
    """Parts (body, left_hand, right_hand, face) of which at least one must be valid."""
    min_box_px: NonNegativeFloat = 0.0
    """Smallest longer side of a person's box, in pixels of the photo."""
    splits: tuple[str, ...] = ()
    """Splits to read; empty: all, which is refused where one of them is `test`."""


def with_good_parts(table: pa.Table, rule: LabelFilter) -> pa.Table:
    """The table with the flags of parts set to false whose quality is below that of the rule."""
    if rule.min_quality == 0:
        return table
    for part in PART_NAMES:
        quality = table[f"{part}_quality"].to_numpy(zero_copy_only=False).astype(np.float64)
        valid = table[f"{part}_valid"].to_numpy(zero_copy_only=False) & (quality >= rule.min_quality)
        place = table.column_names.index(f"{part}_valid")
        table = table.set_column(place, table.schema.field(place), pa.array(valid, pa.bool_()))
    return table


def reasons_to_drop(table: pa.Table, rule: LabelFilter) -> list[str]:
    """Why each row of a label table is left out, the first reason that holds; empty where it is kept.

    Args:
        table: As ``with_good_parts`` leaves it.
        rule: Which rows may supervise.
    """
    statuses, codes = table["status"].to_pylist(), table["error_code"].to_pylist()
    valid = np.stack([table[f"{part}_valid"].to_numpy(zero_copy_only=False) for part in PART_NAMES], 1).astype(bool)
    required = np.logical_or.reduce([valid[:, PART_NAMES.index(part)] for part in rule.require])
    absent = gaps(table)
    bodiless = valid[:, 3] & ~valid[:, :3].any(1) & ~has_body(table)
    small = _box_sides(table) < rule.min_box_px
    reasons: list[str] = []
    for i, status in enumerate(statuses):
        if status == Status.FAILED:
            reasons.append(f"failed with {codes[i]}")
        elif status not in rule.statuses:
            reasons.append(f"status {status}")
        elif not required[i]:
            enough = f" of quality {rule.min_quality:g}" if rule.min_quality else ""
            reasons.append(f"no valid {' or '.join(rule.require)}{enough}")
        elif absent[i]:
            reasons.append(absent[i])
        elif bodiless[i]:
            reasons.append("a face without a body, so without a turn of the head")
        elif small[i]:
            reasons.append(f"box smaller than {rule.min_box_px:g} px")
        else:
            reasons.append("")
    return reasons


def _box_sides(table: pa.Table) -> np.ndarray:
    """(N,) longer side of the box, px; not a number where there is none."""
    corners = [pc.list_element(table["bbox_xyxy"], k).to_numpy().astype(np.float64) for k in range(4)]
    return np.maximum(corners[2] - corners[0], corners[3] - corners[1])

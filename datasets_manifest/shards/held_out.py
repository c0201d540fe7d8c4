"""Rows of labels to evaluate on, chosen by the name of their photo or clip: the choice stays when labels are added."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from datasets_manifest.canonical import config_hash
from datasets_manifest.shards.selection import Selection, snapshot_hash


def hold_out(selection: Selection, share: float, group: Callable[[str], str]) -> tuple[Selection, Selection]:
    """Divides the rows of a data set; all people of a group of photos go the same way.

    Args:
        selection: The rows.
        share: Share of the groups to hold out, from 0 to 1.
        group: Name of a photo to the name of its group, such as the clip that a frame is of.

    Returns:
        The rows to learn from, and those that are held out.
    """
    photos = selection.table["image"].unique()
    held_out = pa.array([name for name in photos.to_pylist() if _place(group(str(name))) < share], photos.type)
    is_held_out = pc.is_in(selection.table["image"], value_set=held_out)
    return _part(selection, pc.invert(is_held_out)), _part(selection, is_held_out)


def _place(image: str) -> float:
    """A number from 0 to 1, evenly spread over names: the first 8 bytes of the name's sha256."""
    return int.from_bytes(hashlib.sha256(image.encode()).digest()[:8], "big") / 2**64


def _part(selection: Selection, rows: Any) -> Selection:
    table = selection.table.filter(rows).combine_chunks()
    return dataclasses.replace(
        selection, table=table, snapshot_hash=snapshot_hash(config_hash(selection.config), table)
    )

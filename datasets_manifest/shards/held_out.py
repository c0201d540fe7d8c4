"""Rows of labels to evaluate on, chosen by the name of their photo or clip: the choice stays when labels are added.

Frames of a video, and the views that several cameras have of a scene, show the same people: they go the same way.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from datasets_manifest.canonical import config_hash
from datasets_manifest.shards.selection import Selection, snapshot_hash
from datasets_manifest.shards.selection_columns import WHO_IS_WHO


def hold_out(selection: Selection, share: float, whole: Callable[[str], str]) -> tuple[Selection, Selection]:
    """Divides the rows of a data set; all people of photos that show the same go the same way.

    Args:
        selection: The rows.
        share: Share of what photos are of to hold out, from 0 to 1.
        whole: Name of a photo, or of the group that labels say it is in, to the name of what it is of, such as the clip
            of a frame.

    Returns:
        The rows to learn from, and those that are held out.
    """
    names = selection.table["image"]
    if WHO_IS_WHO[0] in selection.table.column_names:
        names = pc.coalesce(selection.table[WHO_IS_WHO[0]], names)
    known = names.unique()
    held_out = pa.array([name for name in known.to_pylist() if _place(whole(str(name))) < share], known.type)
    is_held_out = pc.is_in(names, value_set=held_out)
    return _part(selection, pc.invert(is_held_out)), _part(selection, is_held_out)


def _place(image: str) -> float:
    """A number from 0 to 1, evenly spread over names: the first 8 bytes of the name's sha256."""
    return int.from_bytes(hashlib.sha256(image.encode()).digest()[:8], "big") / 2**64


def _part(selection: Selection, rows: Any) -> Selection:
    table = selection.table.filter(rows).combine_chunks()
    return dataclasses.replace(
        selection, table=table, snapshot_hash=snapshot_hash(config_hash(selection.config), table)
    )

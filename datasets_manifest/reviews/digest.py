"""Fingerprint of a label: what a verdict is about, so that labels made again with another outcome make it stale."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datasets_manifest.schema.ehm_fields import LABEL_FIELDS

DIGESTED = (*(field.name for field in LABEL_FIELDS), "focal_px", "principal_px")
"""Columns that decide what a reviewer sees of a person."""


def label_digests(table: pa.Table) -> list[str]:
    """sha256 of the parameters of each row, to the bit; equal for rows that show the same person.

    Args:
        table: Rows of labels with the columns of ``DIGESTED``, in any order.
    """
    digests = [hashlib.sha256() for _ in range(table.num_rows)]
    for name in DIGESTED:
        for digest, values in zip(digests, _row_bytes(table[name]), strict=True):
            digest.update(f"{name} {len(values)}\n".encode())
            digest.update(values)
    return [digest.hexdigest() for digest in digests]


def _row_bytes(column: pa.ChunkedArray) -> list[bytes]:
    """The values of each row as little-endian numbers; none for a row that states none."""
    if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
        counts = pc.list_value_length(column).to_numpy(zero_copy_only=False)
        values = pc.list_flatten(column)
    else:
        counts = pc.is_valid(column).to_numpy(zero_copy_only=False)
        values = column.drop_null()
    numbers = values.to_numpy(zero_copy_only=False)  # a null inside a list is not a number
    numbers = np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("<"))
    counts = np.nan_to_num(counts.astype(np.float64)).astype(np.int64)
    ends = np.cumsum(counts)
    return [numbers[end - count : end].tobytes() for count, end in zip(counts.tolist(), ends.tolist(), strict=True)]

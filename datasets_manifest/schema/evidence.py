"""Named arrays of a person in a table: flat values in one map column, their shapes in another.

``evidence`` of the keypoints holds what later estimators use, ``truth`` of a plan what is known of a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.fields import ARRAY_MAP, SHAPE_MAP


def pack_arrays(people: Sequence[Mapping[str, np.ndarray] | None], name: str) -> dict[str, pa.Array]:
    """Named arrays of each person as the columns ``<name>`` and ``<name>_shape``; None is null."""
    if not any(people):  # Of many people this is the rule, and counting nothing takes its time.
        absent = [None if person is None else {} for person in people]
        return {name: pa.array(absent, ARRAY_MAP), f"{name}_shape": pa.array(absent, SHAPE_MAP)}
    named = [(key, np.asarray(array, np.float32)) for person in people for key, array in (person or {}).items()]
    counts = [len(person or {}) for person in people]
    absent = pa.array([person is None for person in people], pa.bool_())
    names = pa.array([key for key, _ in named], pa.string())

    def column(rows: list[np.ndarray], kind: pa.MapType) -> pa.MapArray:
        flat = np.concatenate(rows) if rows else np.zeros(0)
        lists = pa.ListArray.from_arrays(
            _offsets([len(row) for row in rows]), pa.array(flat, kind.item_type.value_type)
        )
        return pa.MapArray.from_arrays(_offsets(counts), names, lists, kind, mask=absent)  # type: ignore[call-overload]

    return {
        name: column([array.reshape(-1) for _, array in named], ARRAY_MAP),
        f"{name}_shape": column([np.array(array.shape, np.int32) for _, array in named], SHAPE_MAP),
    }


def unpack_arrays(table: pa.Table, name: str) -> dict[str, np.ndarray]:
    """Named float32 arrays (N, ...) that ``pack_arrays`` put into a table of N rows; NaN where a row lacks one.

    Raises:
        ValueError: Rows state different shapes for one name.
    """
    values, shapes = (table[column].combine_chunks() for column in (name, f"{name}_shape"))
    names = values.keys.to_numpy(zero_copy_only=False)
    rows = np.repeat(np.arange(len(values)), np.diff(values.offsets.to_numpy()))
    found: dict[str, np.ndarray] = {}
    for key in dict.fromkeys(names):
        entries = np.flatnonzero([own == key for own in names])
        stated = {tuple(shape) for shape in shapes.items.take(pa.array(entries)).to_pylist()}
        if len(stated) > 1:
            raise ValueError(f"{name} {key} has the shapes {sorted(stated)}; all people must have the same")
        (shape,) = stated
        array = np.full((len(values), *shape), np.nan, np.float32)
        array[rows[entries]] = values.items.take(pa.array(entries)).flatten().to_numpy().reshape(len(entries), *shape)
        found[key] = array
    return found


def _offsets(lengths: Sequence[int]) -> pa.Int32Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32), pa.int32())

"""A hash of the values of a table: equal for equal values, whatever Arrow's buffers look like."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Protocol, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_NO_TEXT = np.zeros(1, np.int32)


class _Digest(Protocol):
    """Takes bytes, as the hashes of ``hashlib`` do."""

    def update(self, data: bytes | memoryview, /) -> None: ...


def table_hash(table: pa.Table, more: Iterable[bytes] = ()) -> str:
    """sha256 of the values of a table, and of more."""
    return table_hashes(table, [table.num_rows], [more])[0]


def table_hashes(table: pa.Table, counts: Sequence[int], more: Sequence[Iterable[bytes]]) -> list[str]:
    """``table_hash`` of the pieces that a table is cut into: of many small ones at once it takes a tenth of the time.

    Args:
        table: All rows.
        counts: Rows of each piece.
        more: What goes into the hash of each.
    """
    digests = [hashlib.sha256() for _ in counts]
    bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    said = dict.fromkeys(counts, b"")  # What comes next in each piece of so many rows; an update costs what it hashes.
    for field, column in zip(table.schema, table.columns, strict=True):
        name = f"{field.name}\0{field.type}\0".encode()
        if column.null_count == len(column):
            said = {count: own + name + _bytes_of_nulls(field.type, count) for count, own in said.items()}
            continue
        for digest, count in zip(digests, counts, strict=True):
            digest.update(said[count] + name)
        said = dict.fromkeys(said, b"")
        _hash_values(digests, column.combine_chunks(), bounds)
    for digest, count, own in zip(digests, counts, more, strict=True):
        digest.update(said[count] + b"".join([len(data).to_bytes(8, "little") + data for data in own]))
    return [digest.hexdigest() for digest in digests]


class _Bytes(bytearray):
    """What a digest would be given."""

    update = bytearray.extend


@lru_cache(maxsize=1024)
def _bytes_of_nulls(kind: Any, count: int) -> bytes:
    """What so many rows without a value put into a digest."""
    found = _Bytes()
    _hash_values([found], pa.nulls(count, kind), np.array([0, count]))
    return bytes(found)


@lru_cache(maxsize=1024)
def _bytes_of_valid(count: int) -> bytes:
    """What is put into a digest before so many values of which none is null."""
    return _bytes_of_validity(np.ones(count, bool))


def _bytes_of_validity(is_valid: np.ndarray) -> bytes:
    return len(is_valid).to_bytes(8, "little") + np.packbits(is_valid).tobytes()


def _hash_values(digests: Sequence[_Digest], values: pa.Array, bounds: np.ndarray) -> None:
    """Puts values into digests, those from one bound to the next into one."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    pieces = list(zip(digests, bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))
    is_valid = values.is_valid().to_numpy(zero_copy_only=False)
    for digest, first, last in pieces:
        rows = _bytes_of_validity(is_valid[first:last]) if values.null_count else _bytes_of_valid(last - first)
        digest.update(rows)
    if pa.types.is_map(values.type):
        offsets = values.offsets.to_numpy()
        _hash_numbers(pieces, np.diff(offsets))
        inner = (offsets[bounds] - offsets[0]).astype(np.int64)
        _hash_values(digests, values.keys, inner)
        _hash_values(digests, values.items, inner)
    elif pa.types.is_list(values.type):
        lengths = pc.list_value_length(values).fill_null(0).to_numpy()
        _hash_numbers(pieces, lengths)
        _hash_values(digests, values.flatten(), _sums(lengths)[bounds])
    elif pa.types.is_struct(values.type):
        for part in values.flatten():
            _hash_values(digests, part, bounds)
    elif pa.types.is_string(values.type) or pa.types.is_binary(values.type):
        values = values.fill_null("" if pa.types.is_string(values.type) else b"")
        _, ends, data = cast(list[Any], values.buffers())
        offsets = np.frombuffer(ends, np.int32)[values.offset : values.offset + len(values) + 1] if ends else _NO_TEXT
        texts, lengths, places = memoryview(data) if data else b"", np.diff(offsets), offsets[bounds].tolist()
        for (digest, first, last), begin, end in zip(pieces, places[:-1], places[1:], strict=True):
            digest.update(lengths[first:last].tobytes())
            digest.update(texts[begin:end])
    else:
        inner = _sums(is_valid)[bounds].tolist()
        numbers = values.drop_null().to_numpy(zero_copy_only=False)
        _hash_numbers(list(zip(digests, inner[:-1], inner[1:], strict=True)), numbers)


def _hash_numbers(pieces: Sequence[tuple[_Digest, int, int]], numbers: np.ndarray) -> None:
    for digest, first, last in pieces:
        digest.update(numbers[first:last].tobytes())


def _sums(lengths: np.ndarray) -> np.ndarray:
    """(N + 1,) where each of N pieces of these lengths begins."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])

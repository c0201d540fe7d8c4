"""Is a PNG whole? Image libraries fill what is missing with grey and say nothing, so its bytes are counted here."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_SAMPLES_PER_PIXEL = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# The seven passes of an interlaced PNG: first column, first row, column step, row step.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_SIGNATURE_BYTES = 8
_PIECE = 1 << 20


def check_png(data: bytes) -> None:
    """Verify the checksums of all chunks that matter, and that the packed rows are all there.

    Args:
        data: a PNG file that begins with the signature and a header.

    Raises:
        ValueError: a chunk is cut short or damaged, or rows are missing; the sentence says which.
        KeyError, struct.error, zlib.error: the header or the packed rows cannot be read.
    """
    unpack = zlib.decompressobj()
    needed = found = -1
    for kind, body in _chunks(data):
        if kind == b"IHDR":
            needed, found = _raw_size(body), 0
        elif kind == b"IDAT" and needed >= 0:
            found += _unpacked_size(unpack, body, needed - found)
        elif kind == b"IEND":
            if found < needed or needed <= 0:
                raise ValueError(f"it has {max(found, 0)} of {needed} bytes of pixel rows")
            return
    raise ValueError("it ends before its last chunk")


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view = memoryview(data)
    position = _SIGNATURE_BYTES
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            raise ValueError(f"its chunk {_named(kind)} is cut short")
        is_critical = not kind[0] & 0x20
        if is_critical and zlib.crc32(view[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise ValueError(f"the checksum of its chunk {_named(kind)} is wrong")
        yield kind, view[position + 8 : end]
        position = end + 4


def _named(kind: bytes) -> str:
    return kind.decode() if kind.isalpha() else kind.hex(" ")


def _raw_size(header: memoryview) -> int:
    """Bytes of all rows, each with its filter byte, before compression."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    bits = depth * _SAMPLES_PER_PIXEL[colour]
    total = 0
    for column, row, column_step, row_step in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -((column - width) // column_step), -((row - height) // row_step)
        total += rows * (1 + (columns * bits + 7) // 8) if columns > 0 and rows > 0 else 0
    return total


def _unpacked_size(unpack: zlib._Decompress, body: bytes | memoryview, wanted: int) -> int:
    """Bytes that a chunk unpacks to, at most ``wanted``, without keeping them."""
    count = 0
    while count < wanted and len(body) and not unpack.eof:
        count += len(unpack.decompress(body, min(_PIECE, wanted - count)))
        body = unpack.unconsumed_tail
    return count

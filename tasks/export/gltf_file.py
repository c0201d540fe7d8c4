"""The container of glTF 2.0 as one binary file (GLB): a JSON document and the arrays that it speaks of."""

from __future__ import annotations

import json
import struct
from typing import Any, Literal

import numpy as np

Kind = Literal["SCALAR", "VEC3", "VEC4", "MAT4"]
VERTICES, ELEMENTS = 34962, 34963
"""Targets of arrays that a graphics card reads."""
_COMPONENTS = {np.dtype(np.uint8): 5121, np.dtype(np.uint32): 5125, np.dtype(np.float32): 5126}
_MAGIC, _VERSION = 0x46546C67, 2
_JSON, _BINARY = 0x4E4F534A, 0x004E4942


class GltfFile:
    """Collects arrays, and writes them behind a document that names them by their numbers."""

    def __init__(self) -> None:
        self._binary = bytearray()
        self._views: list[dict[str, Any]] = []
        self._accessors: list[dict[str, Any]] = []

    def add(self, values: np.ndarray, kind: Kind, target: int | None = None, *, bounds: bool = False) -> int:
        """Takes an array.

        Args:
            values: (N,) or (N, n); uint8 and uint32 are kept, others become float32.
            kind: What a row is.
            target: ``VERTICES`` or ``ELEMENTS``, or None.
            bounds: Whether the least and greatest values are told, as positions and times must.

        Returns:
            The number of its accessor.
        """
        array = np.ascontiguousarray(values if values.dtype in _COMPONENTS else values.astype(np.float32))
        view = {"buffer": 0, "byteOffset": len(self._binary), "byteLength": array.nbytes}
        self._views.append(view | ({"target": target} if target else {}))
        self._binary += array.tobytes() + b"\0" * (-array.nbytes % 4)
        accessor: dict[str, Any] = {
            "bufferView": len(self._views) - 1,
            "componentType": _COMPONENTS[array.dtype],
            "count": len(array),
            "type": kind,
        }
        if bounds:
            rows = array.reshape(len(array), -1)
            accessor |= {"min": rows.min(0).tolist(), "max": rows.max(0).tolist()}
        self._accessors.append(accessor)
        return len(self._accessors) - 1

    def encode(self, document: dict[str, Any]) -> bytes:
        """The file: a document, without its arrays, and all arrays that were taken."""
        arrays = {"buffers": [{"byteLength": len(self._binary)}], "bufferViews": self._views}
        text = json.dumps(document | arrays | {"accessors": self._accessors}, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<II", len(text), _JSON) + text
        chunks += struct.pack("<II", len(self._binary), _BINARY) + bytes(self._binary)
        return struct.pack("<III", _MAGIC, _VERSION, 12 + len(chunks)) + chunks

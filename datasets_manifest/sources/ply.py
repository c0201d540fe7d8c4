"""Vertices of PLY files, text and binary, as registered meshes are distributed."""

from __future__ import annotations

import numpy as np

_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}
_END = b"end_header"


def ply_vertices(data: bytes, name: str) -> np.ndarray:
    """(V, 3) float64 x, y, z of the vertices, which must be the first of the file.

    Args:
        data: Content of the file.
        name: What errors call it.

    Raises:
        ValueError: It is no PLY file, has no such vertices, or is cut off; or a number is not finite.
    """
    head, mark, rest = data.partition(_END)
    lines = [line.split() for line in head.decode("ascii", "replace").splitlines()]
    rest = rest.partition(b"\n")[2]
    forms = [line[1] for line in lines if line[:1] == ["format"] and len(line) > 1]
    if not mark or lines[:1] != [["ply"]] or not forms or forms[0] not in _ORDERS:
        raise ValueError(f"{name} is no PLY file; fetch it again.")
    order, count, fields = _ORDERS[forms[0]], *_vertex_element(lines, name)
    if order:
        kind = np.dtype([(field, order + kind) for field, kind in fields])
        if len(rest) < count * kind.itemsize:
            raise ValueError(f"{name} is cut off: it should hold {count} vertices; fetch it again.")
        rows = np.frombuffer(rest, kind, count)
        points = np.stack([rows[axis] for axis in "xyz"], axis=1).astype(np.float64)
    else:
        places = [[field for field, _ in fields].index(axis) for axis in "xyz"]
        try:
            lines_of_vertices = [line.split() for line in rest.decode("ascii").split("\n", count)[:count]]
            points = np.array([[float(line[k]) for k in places] for line in lines_of_vertices]).reshape(-1, 3)
        except (ValueError, IndexError) as error:
            raise ValueError(f"{name}: a vertex cannot be read ({error}); fetch the file again.") from error
    if len(points) != count or not np.isfinite(points).all():
        raise ValueError(f"{name} should hold {count} vertices of finite numbers; fetch it again.")
    return points


def _vertex_element(lines: list[list[str]], name: str) -> tuple[int, list[tuple[str, str]]]:
    """Number of vertices, and name and type of what each has."""
    elements = [k for k, line in enumerate(lines) if line[:1] == ["element"]]
    first = lines[elements[0]] if elements else []
    end = elements[1] if len(elements) > 1 else len(lines)
    properties = [line[1:] for line in lines[elements[0] : end] if line[:1] == ["property"]] if elements else []
    fields = [(line[1], _TYPES[line[0]]) for line in properties if len(line) == 2 and line[0] in _TYPES]
    if first[1:2] != ["vertex"] or not first[2].isdecimal() or len(fields) < len(properties):
        raise ValueError(f"{name}: expected vertices of plain numbers as the first element of the PLY file.")
    if not set("xyz") <= {field for field, _ in fields} or len(dict(fields)) < len(fields):
        raise ValueError(f"{name}: expected x, y and z of each vertex, got {', '.join(field for field, _ in fields)}.")
    return int(first[2]), fields

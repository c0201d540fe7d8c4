"""PLY files as programs write registered meshes: vertices with more than their place, then a face."""

import numpy as np


def write_ply(path, vertices, form="binary_little_endian"):
    """Write vertices (V, 3), float32, in one of PLY's three forms."""
    head = ["ply", f"format {form} 1.0", "comment made by a test", f"element vertex {len(vertices)}"]
    head += [*(f"property float {axis}" for axis in "xyz"), "property uchar red"]
    head += ["element face 1", "property list uchar int vertex_indices", "end_header", ""]
    if form == "ascii":
        lines = [f"{x:.9g} {y:.9g} {z:.9g} 255" for x, y, z in vertices]
        data = "\n".join([*lines, "3 0 1 2", ""]).encode()
    else:
        order = "<" if form == "binary_little_endian" else ">"
        rows = np.zeros(len(vertices), np.dtype([*((axis, f"{order}f4") for axis in "xyz"), ("red", "u1")]))
        for axis, values in zip("xyz", np.asarray(vertices).T, strict=True):
            rows[axis] = values
        data = rows.tobytes() + b"\x03" + np.arange(3, dtype=f"{order}i4").tobytes()
    path.write_bytes("\n".join(head).encode() + data)

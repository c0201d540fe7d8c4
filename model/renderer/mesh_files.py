"""Posed people as the bytes of glTF and OBJ files, for viewers and modelling programs.

Both formats have y up and a right-handed frame, and a camera in glTF looks along -z. The camera frame (x right, y down,
z forward) is turned half a turn about x, which is a rotation: nothing is mirrored, and triangles stay counter-clockwise
seen from outside. The origin is the photo's camera, lengths are metres.

Legend: P people, V vertices, F faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

MeshFormat = Literal["gltf", "obj"]
MESH_SUFFIX: dict[str, str] = {"gltf": ".glb", "obj": ".obj"}
"""File name of each format; glTF is written as its one-file form."""
Y_UP_FROM_CAMERA = np.diag([1.0, -1.0, -1.0])
"""Rotation by 180 degrees about x."""


def y_up(points_cam: np.ndarray) -> np.ndarray:
    """Points (..., 3) of the camera frame in the frame of mesh files."""
    return np.asarray(points_cam) @ Y_UP_FROM_CAMERA.T


def encode_meshes(
    vertices_cam: np.ndarray,
    faces: np.ndarray,
    names: Sequence[str],
    *,
    form: MeshFormat = "gltf",
    colours: np.ndarray | None = None,
    copyright: str = "",
) -> bytes:
    """People of one photo as one file, an object a person.

    Args:
        vertices_cam: (P, V, 3) camera frame, metres.
        faces: (F, 3) counter-clockwise seen from outside, the same for all.
        names: P different names of the objects.
        form: ``gltf`` (binary, .glb) or ``obj``.
        colours: (V, 3) 0..255 of the vertices, or None; an OBJ has none, since the format does not define them.
        copyright: What the file says of its terms; an OBJ says nothing.

    Raises:
        ValueError: Another format, nobody, a vertex that is not finite, or not one different name a person.
    """
    vertices = np.asarray(vertices_cam, np.float32)
    if form not in get_args(MeshFormat):
        raise ValueError(f"mesh format: expected one of {', '.join(get_args(MeshFormat))}, got {form!r}")
    if vertices.ndim != 3 or vertices.shape[2] != 3 or not len(vertices):
        raise ValueError(f"meshes: expected vertices (P, V, 3) of one person or more, got {vertices.shape}")
    if len(names) != len(vertices) or len(set(names)) != len(names):
        raise ValueError(f"meshes: expected {len(vertices)} different names, got {list(names)}")
    if not np.isfinite(vertices).all():
        raise ValueError("meshes: expected finite vertices, got nan or inf: leave the person out")
    turned = y_up(vertices).astype(np.float32)
    if form == "obj":
        return _obj(turned, np.asarray(faces), names)
    import trimesh  # Dear to import.

    scene = trimesh.Scene()
    for name, points in zip(names, turned, strict=True):
        # process=True would merge vertices, and their numbers would no longer be those of the body model.
        mesh = trimesh.Trimesh(points, faces, vertex_colors=_rgba(colours), process=False)
        scene.add_geometry(mesh, node_name=name, geom_name=name)

    def state(document: dict[str, Any]) -> None:
        document["asset"] |= {"copyright": copyright} if copyright else {}
        document["materials"] = [_matte(coloured=colours is not None)]
        for mesh in document["meshes"]:
            for primitive in mesh["primitives"]:
                primitive["material"] = 0

    data = scene.export(file_type="glb", include_normals=True, tree_postprocessor=state)
    assert isinstance(data, bytes)
    return data


def _matte(*, coloured: bool) -> dict[str, Any]:
    """A material that reflects evenly: glTF's default is metal, which viewers without surroundings draw black."""
    grey = 1.0 if coloured else 0.8  # it multiplies the colours of the vertices
    shading = {"baseColorFactor": [grey, grey, grey, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.9}
    return {"name": "matte", "pbrMetallicRoughness": shading}


def _rgba(colours: np.ndarray | None) -> np.ndarray | None:
    if colours is None:
        return None
    rgb = np.clip(np.round(colours), 0, 255).astype(np.uint8)
    return np.column_stack([rgb, np.full(len(rgb), 255, np.uint8)])


def _obj(vertices: np.ndarray, faces: np.ndarray, names: Sequence[str]) -> bytes:
    """Names with white space would end at it."""
    lines = ["# metres, y up, right-handed; the camera is at the origin and looks along -z"]
    for k, (name, points) in enumerate(zip(names, vertices, strict=True)):
        lines.append(f"o {'_'.join(name.split())}")
        lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in points.tolist()]
        lines += [f"f {a} {b} {c}" for a, b, c in (faces + 1 + k * len(points)).tolist()]
    return ("\n".join(lines) + "\n").encode()

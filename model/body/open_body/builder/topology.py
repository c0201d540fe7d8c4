"""Which part of the base mesh is the body: skin and eyeballs, without helpers, teeth, tongue and eye cavities."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.body.open_body.builder.source import BaseMesh, sample_part_labels

BODY_GROUPS = ("body", "helper-l-eye", "helper-r-eye")
DROPPED_PARTS = ("eye_cavity.L", "eye_cavity.R")
_REMOVED_VERTICES = np.r_[1778:1794, 8450:8466]
"""Two small patches of the chest are cut out and closed by flat caps: fewer, larger faces there."""
_CAPS = np.array(
    [
        [8437, 8438, 8439, 8440], [8436, 8437, 8440, 8441], [8435, 8436, 8441, 8442], [8434, 8435, 8442, 8443],
        [8449, 8434, 8443, 8444], [8448, 8449, 8444, 8445], [8447, 8448, 8445, 8446], [1762, 1771, 1770, 1763],
        [1763, 1770, 1769, 1764], [1764, 1769, 1768, 1765], [1765, 1768, 1767, 1766], [1762, 1777, 1772, 1771],
        [1777, 1776, 1773, 1772], [1776, 1775, 1774, 1773],
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """The body's mesh, cut out of the base mesh."""

    base_ids: np.ndarray
    """(V,) base-mesh vertex of each body vertex."""
    faces: np.ndarray
    """(F, 3)."""
    face_parts: np.ndarray
    """(F,) part name of each face."""
    uv: np.ndarray
    """(V, 2) one texture coordinate a vertex (at a seam: that of its last face)."""
    eye_rims: dict[str, np.ndarray]
    """`left`, `right` -> vertices on the edge of the lids."""
    inner_lip_rim: np.ndarray
    """Vertices where the lips meet the mouth cavity."""

    def part_vertices(self, *parts: str) -> np.ndarray:
        """Vertices (M,) of all faces of some parts."""
        return np.unique(self.faces[np.isin(self.face_parts, parts)])

    def eyeball(self, side: str) -> np.ndarray:
        """Vertices (M,) of the `left` or `right` eyeball."""
        letter = side[0].upper()
        return self.part_vertices(f"eye_front.{letter}", f"eye_back.{letter}")

    def inner(self) -> np.ndarray:
        """(V,) true for what a closed face hides: mouth cavity and eyeballs, without their rims."""
        inside = np.zeros(len(self.base_ids), bool)
        inside[np.r_[self.part_vertices("mouth_cavity"), self.eyeball("left"), self.eyeball("right")]] = True
        for rim in (*self.eye_rims.values(), self.inner_lip_rim):
            inside[rim] = False
        return inside


def cut_body(root: Path, mesh: BaseMesh) -> Topology:
    """Select the body's quads, close the cut-outs, split into triangles and renumber."""
    corners = np.concatenate([mesh.groups[name] for name in BODY_GROUPS])
    quads, texture = corners[..., 0], corners[..., 1]
    parts = sample_part_labels(root, mesh.uv[texture].mean(1))

    def shared(part_a: str, part_b: str) -> np.ndarray:
        return np.intersect1d(quads[parts == part_a], quads[parts == part_b])

    rims = {"left": shared("head", "eye_cavity.L"), "right": shared("head", "eye_cavity.R")}
    lip_rim = shared("head", "mouth_cavity")

    removed = np.isin(quads, _REMOVED_VERTICES).any(1)
    texture_of = dict(zip(quads[removed].ravel(), texture[removed].ravel(), strict=True))
    cap_texture = np.array([[texture_of[v] for v in cap] for cap in _CAPS])
    kept = ~removed & ~np.isin(parts, DROPPED_PARTS)
    quads = np.concatenate([quads[kept], _CAPS])
    texture = np.concatenate([texture[kept], cap_texture])
    parts = np.concatenate([parts[kept], np.full(len(_CAPS), "body", parts.dtype)])

    base_ids = np.unique(quads)
    body_id = np.full(len(mesh.vertices), -1)
    body_id[base_ids] = np.arange(len(base_ids))
    faces, face_texture, parts = body_id[_triangles(quads)], _triangles(texture), np.tile(parts, 2)
    proper = (faces != np.roll(faces, 1, 1)).all(1)
    faces, face_texture, parts = faces[proper], face_texture[proper], parts[proper]
    uv = np.zeros((len(base_ids), 2))
    uv[faces.ravel()] = mesh.uv[face_texture.ravel()]

    def body_rim(base_rim: np.ndarray) -> np.ndarray:
        rim = body_id[base_rim]
        return rim[rim >= 0]

    return Topology(
        base_ids=base_ids, faces=faces, face_parts=parts, uv=uv, inner_lip_rim=body_rim(lip_rim),
        eye_rims={side: body_rim(rim) for side, rim in rims.items()},
    )  # fmt: skip


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3), area weighted."""
    corners = vertices[faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, faces[:, k], face_normals)
    return normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12)


def _triangles(quads: np.ndarray) -> np.ndarray:
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])

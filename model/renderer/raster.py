"""A z-buffer triangle rasteriser in NumPy: which face each pixel sees, where on it, and how far away.

Frame: camera, x right, y down, z forward, metres. Pixel (column i, row j) covers [i, i+1) x [j, j+1) and is sampled at
its centre (i + 0.5, j + 0.5): a point projects to ``focal * x / z + principal``, counted from the image's corner.

Coverage uses homogeneous edge functions (Olano and Greer, 1997): a ray d meets triangle (a, b, c) where d.(b x c),
d.(c x a) and d.(a x b) all have the sign of a.(b x c). Nothing is divided by depth, so a triangle that crosses the
camera plane needs no clipping. Along an image row each edge function is linear in x: the covered pixels are one span,
found in closed form.

Letters: V vertices, F faces, H rows, W columns, P covered pixels.
"""

from typing import NamedTuple

import numpy as np

MAX_CANDIDATES = 4_000_000
"""Pixels (counted once a face) that are resolved at a time; bounds memory to about 200 MB."""

EDGE_TOLERANCE_PX = 1e-6
"""Spans grow by this much, so that two faces that share an edge leave no gap between them."""

DEFAULT_LIGHT = (-0.35, -0.55, -0.75)
"""Direction from the surface towards the light, camera frame: above, a little to the left, behind the camera."""


class Raster(NamedTuple):
    """What each pixel sees."""

    face_id: np.ndarray
    """(H, W) int32 index of the nearest face; -1 where there is none."""
    bary: np.ndarray
    """(H, W, 3) float32 perspective-correct weights of the face's corners; 0 where there is none."""
    depth: np.ndarray
    """(H, W) float32 z of the hit, metres; inf where there is none."""

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool, where a face is seen."""
        return self.face_id >= 0


def project(points_cam: np.ndarray, focal_px: float, principal_px: np.ndarray) -> np.ndarray:
    """Pinhole projection of camera-frame points (..., 3) to pixels (..., 2); not finite at z = 0."""
    points_cam = np.asarray(points_cam, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return focal_px * points_cam[..., :2] / points_cam[..., 2:] + np.asarray(principal_px, dtype=np.float64)


def rasterise(
    vertices_cam: np.ndarray,
    faces: np.ndarray,
    focal_px: float,
    principal_px: np.ndarray,
    size_hw: tuple[int, int],
    *,
    cull_back: bool = True,
    near_m: float = 1e-3,
) -> Raster:
    """Finds the nearest face at every pixel centre.

    Args:
        vertices_cam: (V, 3) vertices, camera frame, metres.
        faces: (F, 3) vertex indices, counter-clockwise seen from outside.
        focal_px: focal length.
        principal_px: (2,) principal point.
        size_hw: image size, (H, W).
        cull_back: leave out faces seen from behind (their normal points away from the camera).
        near_m: nothing nearer than this is drawn.

    Raises:
        ValueError: if a vertex of the mesh is not finite.
    """
    vertices_cam = np.asarray(vertices_cam, dtype=np.float64)
    faces = np.asarray(faces)
    if not np.isfinite(vertices_cam).all():
        raise ValueError("expected finite vertices, got nan or inf: drop the person before drawing it")
    height, width = size_hw
    # (x, y, z) -> (u z, v z, z) with u, v in pixels: rays become (u, v, 1).
    homogeneous = vertices_cam.copy()
    homogeneous[:, :2] = focal_px * vertices_cam[:, :2] + vertices_cam[:, 2:] * np.asarray(
        principal_px, dtype=np.float64
    )

    a, b, c = (homogeneous[faces[:, k]] for k in range(3))
    first_row, num_rows = _row_range(a, b, c, near_m, height, width)
    kept = np.flatnonzero(num_rows > 0)
    edges = np.stack([_cross(b[kept], c[kept]), _cross(c[kept], a[kept]), _cross(a[kept], b[kept])], axis=1)
    volume = np.einsum("fk,fk->f", a[kept], edges[:, 0])
    drawn = volume < 0 if cull_back else volume != 0
    kept, edges, volume = kept[drawn], edges[drawn], volume[drawn]
    edges /= volume[:, None, None]  # inside: every edge function >= 0; their sum is 1 / z
    return _resolve(kept, edges, first_row[kept], num_rows[kept], (height, width), near_m)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross product of two (F, 3) arrays; several times faster than numpy.cross."""
    out = np.empty_like(a)
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        out[:, k] = a[:, i] * b[:, j] - a[:, j] * b[:, i]
    return out


def _row_range(a, b, c, near_m: float, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(F,) first image row and (F,) number of rows each face can touch; 0 rows for a face outside the view."""
    z = np.stack([a[:, 2], b[:, 2], c[:, 2]])
    in_front = z.min(0) > near_m
    safe = np.where(z > near_m, z, 1.0)
    u = np.stack([a[:, 0], b[:, 0], c[:, 0]]) / safe
    v = np.stack([a[:, 1], b[:, 1], c[:, 1]]) / safe
    first = np.clip(np.ceil(v.min(0) - 0.5 - EDGE_TOLERANCE_PX), 0, height)
    last = np.clip(np.floor(v.max(0) - 0.5 + EDGE_TOLERANCE_PX), -1, height - 1)
    rows = np.where((u.max(0) < 0) | (u.min(0) > width), 0, np.maximum(last - first + 1, 0))
    crosses = ~in_front & (z.max(0) > near_m)
    first = np.where(in_front, first, 0).astype(np.int64)
    rows = np.where(in_front, rows, np.where(crosses, height, 0)).astype(np.int64)
    return first, rows


def _expand(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For counts (2, 0, 3): owners (0, 0, 2, 2, 2) and positions within the owner (0, 1, 0, 1, 2)."""
    owner = np.repeat(np.arange(len(counts)), counts)
    start = np.cumsum(counts) - counts
    return owner, np.arange(len(owner)) - start[owner]


def _spans(edges: np.ndarray, face: np.ndarray, row: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """First column and number of columns that face ``face[k]`` covers on row ``row[k]``."""
    low = np.full(len(face), -np.inf)
    high = np.full(len(face), np.inf)
    for k in range(3):
        slope = edges[face, k, 0]
        rest = edges[face, k, 1] * (row + 0.5) + edges[face, k, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            root = -rest / slope
        low = np.where(slope > 0, np.maximum(low, root), low)
        high = np.where(slope < 0, np.minimum(high, root), high)
        high = np.where((slope == 0) & (rest < 0), -np.inf, high)
    first = np.clip(np.ceil(low - 0.5 - EDGE_TOLERANCE_PX), 0, width)
    last = np.clip(np.floor(high - 0.5 + EDGE_TOLERANCE_PX), -1, width - 1)
    return first.astype(np.int64), np.maximum(last - first + 1, 0).astype(np.int64)


def _resolve(kept, edges, first_row, num_rows, size_hw: tuple[int, int], near_m: float) -> Raster:
    """Walks the faces in batches, keeps the nearest hit of every pixel, then computes the weights of the winners."""
    height, width = size_hw
    inverse_depth = np.zeros(height * width)
    winner = np.full(height * width, -1, dtype=np.int64)
    inverse_z = edges.sum(1)  # (F, 3): 1 / z as a linear function of (u, v, 1)
    face, offset = _expand(num_rows)
    row = first_row[face] + offset
    first_column, num_columns = _spans(edges, face, row, width)
    used = np.flatnonzero(num_columns)
    face, row, first_column, num_columns = face[used], row[used], first_column[used], num_columns[used]
    ends = np.cumsum(num_columns)
    begin = 0
    while begin < len(face):
        done = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + MAX_CANDIDATES, side="right")))
        span, offset = _expand(num_columns[begin:end])
        span += begin
        column = first_column[span] + offset
        plane = inverse_z[face]
        at_row = plane[:, 1] * (row + 0.5) + plane[:, 2]
        value = plane[span, 0] * (column + 0.5) + at_row[span]
        pixel = row[span] * width + column
        visible = (value > inverse_depth[pixel]) & (value <= 1.0 / near_m)
        span, pixel, value = span[visible], pixel[visible], value[visible]
        np.maximum.at(inverse_depth, pixel, value)
        nearest = value == inverse_depth[pixel]
        winner[pixel[nearest]] = face[span[nearest]]
        begin = end

    hit = np.flatnonzero(winner >= 0)
    rays = np.stack([hit % width + 0.5, hit // width + 0.5, np.ones(len(hit))], axis=1)
    weights = np.einsum("pkc,pc->pk", edges[winner[hit]], rays)
    weights = np.maximum(weights, 0.0)
    weights /= weights.sum(1, keepdims=True)
    face_id = np.full(height * width, -1, dtype=np.int32)
    bary = np.zeros((height * width, 3), dtype=np.float32)
    depth = np.full(height * width, np.inf, dtype=np.float32)
    face_id[hit], bary[hit], depth[hit] = kept[winner[hit]], weights, 1.0 / inverse_depth[hit]
    return Raster(face_id.reshape(size_hw), bary.reshape(*size_hw, 3), depth.reshape(size_hw))


def interpolate(raster: Raster, faces: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values (V, C) of the vertices at the covered pixels: (P, C), in the order of ``raster.mask``."""
    corners = np.asarray(faces)[raster.face_id[raster.mask]]
    weights = raster.bary[raster.mask]
    first, second, third = (weights[:, k, None] * values[corners[:, k]] for k in range(3))
    return first + second + third


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit outward normals (V, 3), faces weighted by area; zero for a vertex without faces."""
    vertices = np.asarray(vertices, dtype=np.float64)
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = _cross(b - a, c - a)
    flat = np.asarray(faces).reshape(-1)
    total = np.stack(
        [np.bincount(flat, weights=np.repeat(normals[:, k], 3), minlength=len(vertices)) for k in range(3)], axis=1
    )
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


def shade(
    raster: Raster,
    faces: np.ndarray,
    normals: np.ndarray,
    albedo: np.ndarray,
    *,
    light: tuple[float, float, float] = DEFAULT_LIGHT,
    ambient: float = 0.45,
    shine: float = 0.0,
) -> np.ndarray:
    """Smooth Lambert shading with an optional highlight.

    Args:
        raster: result of ``rasterise``.
        faces: (F, 3).
        normals: (V, 3) unit normals, camera frame.
        albedo: (P, 3) colours of the covered pixels, 0..255 (``interpolate`` makes them from vertex colours).
        light: direction towards the light, camera frame.
        ambient: share of the light that comes from everywhere, 0..1.
        shine: strength of a soft highlight towards the viewer, 0..1.

    Returns:
        (P, 3) colours of the covered pixels, 0..255.
    """
    normal = interpolate(raster, faces, np.asarray(normals, dtype=np.float32))
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    towards = np.asarray(light, dtype=np.float32)
    towards = towards / np.linalg.norm(towards)
    # A quarter of the light wraps around the terminator: bodies look round instead of cut.
    diffuse = np.clip((normal @ towards + 0.25) / 1.25, 0.0, 1.0)
    halfway = towards + np.array([0.0, 0.0, -1.0], dtype=np.float32)
    halfway /= max(float(np.linalg.norm(halfway)), 1e-9)
    highlight = np.clip(normal @ halfway, 0.0, 1.0) ** 24
    lit = albedo * (ambient + (1.0 - ambient) * diffuse)[:, None] + 255.0 * shine * highlight[:, None]
    return np.clip(lit, 0.0, 255.0)

"""The body that the published weights know: SMPL-X that wears the whole FLAME head, and teeth of no licensed file.

The teeth are two bows behind the lips, 15 vertices in each of four rows, made from FLAME's outer lips as the published
code makes them. Two oddities of it are part of what the weights have learnt. The head's teeth lie row by row, the body
takes them jaw by jaw, so that some of the body's teeth are at the places of others. And the upper teeth hang on the
neck, not on the head.
"""

import dataclasses
import hashlib

import numpy as np
from numpy.typing import NDArray

from model.body import skeleton
from model.body.assets import BodyAssets, EhmAssets

NUM_FLAME, NUM_SMPLX = 5_023, 10_475
UPPER_LIP = (1713, 1715, 1716, 1735, 1696, 1694, 1657, 3543, 2774, 2811, 2813, 2850, 2833, 2832, 2830)
LOWER_LIP = (1576, 1577, 1773, 1774, 1795, 1802, 1865, 3503, 2948, 2905, 2898, 2881, 2880, 2713, 2712)
"""FLAME vertices along the outer ring of the lips, from one corner of the mouth to the other (Qian et al.,
GaussianAvatars, 2024)."""
ROW = len(UPPER_LIP)
ROWS = ("upper root", "lower root", "upper edge", "lower edge", "upper root back", "upper edge back", "lower root back",
        "lower edge back")  # fmt: skip
"""Rows of teeth in the order of their vertices."""
NUM_TEETH = ROW * len(ROWS)
_MIDDLE_BACK, _EDGE, _LOWER_BACK, _HEIGHT, _THICKNESS = 1.5, 0.1, 0.4, 2.0, 1.0
"""Distances in widths of the lips: the middle from the lips, the edges from it, the lower bow behind the upper one, the
roots from the edges, the back from the front."""
_FLAME_NECK, _FLAME_JAW = 1, 2
_STRIPS = (
    ("upper root", "upper edge", "aBb aAB", "aAb ABb"),
    ("upper root back", "upper edge back", "abB aBA", "abA AbB"),
    ("upper edge back", "upper edge", "abA AbB", "abB aBA"),
    ("lower edge", "lower root", "aAb ABb", "aBb aAB"),
    ("lower root back", "lower edge back", "aBb aAB", "aAb ABb"),
    ("lower edge back", "lower edge", "aAb ABb", "aBb aAB"),
)
"""Strips of triangles between a row a and a row b, in the first half of the rows and in the second. Each square has
the corners a, b here and A, B one further along the row."""


def guava_body(assets: EhmAssets) -> EhmAssets:
    """The licensed body with teeth, in the fusion of the published code; it is posed by ``EHMs``.

    Raises:
        ValueError: It is not SMPL-X and FLAME.
    """
    body, head = assets.smplx, assets.flame
    if (body.num_vertices, head.num_vertices) != (NUM_SMPLX, NUM_FLAME):
        raise ValueError(
            f"GUAVA's weights are of SMPL-X with {NUM_SMPLX} vertices and FLAME with {NUM_FLAME}, got {body.name} with "
            f"{body.num_vertices} and {head.name} with {head.num_vertices}; `pear assets` lists the files"
        )
    upper = [row for row, name in enumerate(ROWS) if name.startswith("upper")]
    lower = [row for row, name in enumerate(ROWS) if name.startswith("lower")]
    placed = _vertices([*upper, *lower]) + NUM_SMPLX
    of_head = head_with_teeth(head)
    of_body = _extended(body, np.zeros((NUM_TEETH, 3)), np.zeros((NUM_TEETH, 3, 0)))
    for rows, joint in ((upper, skeleton.NECK), (lower, skeleton.JAW)):
        of_body.skin_weights[_vertices(rows) + NUM_SMPLX, joint] = 1.0
    padding = np.zeros(NUM_TEETH, bool)
    return dataclasses.replace(
        assets,
        smplx=of_body,
        flame=of_head,
        head_vertex_ids=np.concatenate([assets.head_vertex_ids, placed]),
        regions={name: np.concatenate([mask, padding]) for name, mask in assets.regions.items()},
        uv=None,
        sha256=hashlib.sha256(f"{assets.sha256} with {NUM_TEETH} vertices of teeth".encode()).hexdigest(),
        keep_body_ids=np.zeros(0, np.int64),
        fusion="paper",
    )


def head_with_teeth(head: BodyAssets) -> BodyAssets:
    """FLAME with teeth that follow the shape of the lips and, the lower ones, the jaw."""
    upper, lower = (head.v_template[list(lip)].astype(np.float64) for lip in (UPPER_LIP, LOWER_LIP))
    width = np.linalg.norm(upper - lower, axis=1).mean()
    up, back = np.array([0.0, width, 0.0]), np.array([0.0, 0.0, -width])
    middle = (upper + lower) / 2 + _MIDDLE_BACK * back
    middle[:, 1] = middle[:, 1].mean()
    edges = {"upper": middle + _EDGE * up, "lower": middle - _EDGE * up + _LOWER_BACK * back}
    rows = []
    for name in ROWS:
        jaw, part, *behind = name.split()
        away = up if jaw == "upper" else -up
        rows.append(edges[jaw] + _HEIGHT * away * (part == "root") + _THICKNESS * back * bool(behind))
    follows = (head.shapedirs[list(UPPER_LIP)] + head.shapedirs[list(LOWER_LIP)]) / 2
    found = _extended(head, np.concatenate(rows), np.tile(follows, (len(ROWS), 1, 1)))
    for row, name in enumerate(ROWS):
        joint = _FLAME_NECK if name.startswith("upper") else _FLAME_JAW
        found.skin_weights[_vertices([row]) + NUM_FLAME, joint] = 1.0
    return found


def teeth_faces() -> NDArray[np.int64]:
    """(168, 3) triangles of the teeth, counted from their first vertex."""
    faces = []
    for first, second, before, after in _STRIPS:
        a, b = (ROW * ROWS.index(name) for name in (first, second))
        for place in range(ROW - 1):
            corner = {"a": a + place, "A": a + place + 1, "b": b + place, "B": b + place + 1}
            split = before if place < ROW // 2 else after
            faces += [[corner[letter] for letter in triangle] for triangle in split.split()]
    return np.array(faces)


def _vertices(rows: list[int]) -> NDArray[np.int64]:
    """Teeth of some rows, counted from the first."""
    return (ROW * np.array(rows)[:, None] + np.arange(ROW)).ravel()


def _extended(assets: BodyAssets, template: NDArray, shapedirs: NDArray) -> BodyAssets:
    """Assets with teeth at their end, which neither move joints nor hang on any yet."""
    before, joints = assets.num_vertices, assets.num_joints

    def grown(values: NDArray, more: NDArray) -> NDArray:
        return np.concatenate([values, more.astype(values.dtype)])

    follows = np.zeros((NUM_TEETH, *assets.shapedirs.shape[1:]))
    follows[..., : shapedirs.shape[-1]] = shapedirs
    correctives = assets.posedirs
    if correctives is not None:
        correctives = np.pad(correctives, ((0, 0), (0, 3 * NUM_TEETH)))
    lids = assets.eyelid_dirs
    return dataclasses.replace(
        assets,
        v_template=grown(assets.v_template, template),
        faces=np.concatenate([assets.faces, teeth_faces() + before]),
        shapedirs=grown(assets.shapedirs, follows),
        exprdirs=grown(assets.exprdirs, np.zeros((NUM_TEETH, *assets.exprdirs.shape[1:]))),
        posedirs=correctives,
        joint_regressor=np.pad(assets.joint_regressor, ((0, 0), (0, NUM_TEETH))),
        skin_weights=grown(assets.skin_weights, np.zeros((NUM_TEETH, joints))),
        eyelid_dirs=None if lids is None else grown(lids, np.zeros((NUM_TEETH, *lids.shape[1:]))),
        kid_template=None,
    )

"""Face landmarks (68, 300-W order) and skin keypoints, found by rule on the mean body.

Every landmark is a vertex. Sides are the person's: +x is left. In 300-W order the person's right comes first.
"""

from dataclasses import dataclass

import numpy as np

from model.body.open_body.builder.weights import HEAD_JOINTS, joint_ids
from model.body.skeleton import SMPLX_JOINT_NAMES

NUM_STATIC, NUM_CONTOUR, MAX_YAW_DEG = 51, 17, 39
# 300-W numbers, from the nose outwards where a side is listed.
_BROWS = {1: (22, 23, 24, 25, 26), -1: (21, 20, 19, 18, 17)}
_EYES = {
    1: {"inner": 42, "up_in": 43, "up_out": 44, "outer": 45, "low_out": 46, "low_in": 47},
    -1: {"inner": 39, "up_in": 38, "up_out": 37, "outer": 36, "low_out": 41, "low_in": 40},
}
_CONTOUR_BEARING_DEG = np.r_[np.linspace(160, 190, 4), np.linspace(205, 270, 5)]
"""Directions from the middle of the face: the person's right ear to the chin."""
_PREFER_FRONT = (0.15, 0.15, 0.15, 0.15, 0.15, 0.15, 0.2, 0.3, 0.4)
"""Metres of outline that a metre to the front is worth; more at the chin, whose underside is nearly level."""
_HEEL_HEIGHT_M = 0.025
"""The heel point lies below this height over the sole."""
_BROW_RISE_M = (0.0115, 0.0145, 0.0155, 0.0135, 0.0085)
"""Height of the five brow points above the upper lid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceSurface:
    """What the rules look at; vertex masks are over the whole body."""

    vertices: np.ndarray
    """(V, 3)."""
    normals: np.ndarray
    """(V, 3)."""
    weights: np.ndarray
    """(V, 55) skin weights."""
    skin: np.ndarray
    """(V,) visible surface of the head."""
    lips: np.ndarray
    """(V,)."""
    eyelids: np.ndarray
    """(V,)."""
    ears: np.ndarray
    """(V,)."""
    eye_rims: dict[int, np.ndarray]
    """Side (+1 left, -1 right) -> vertices on the edge of the lids."""

    def nearest(self, point: np.ndarray, allowed: np.ndarray) -> int:
        """Allowed vertex closest to a point (3,)."""
        ids = np.flatnonzero(allowed)
        return int(ids[np.linalg.norm(self.vertices[ids] - point, axis=1).argmin()])


def face_landmarks(face: FaceSurface) -> dict[int, int]:
    """300-W number 17..67 -> vertex."""
    found: dict[int, int] = {}
    for side in (1, -1):
        found |= _eye(face, side)
    for side in (1, -1):
        found |= _brow(face, side, found)
    found |= _nose(face, found)
    return found | _mouth(face)


def _eye(face: FaceSurface, side: int) -> dict[int, int]:
    v, names = face.vertices, _EYES[side]
    lids = np.flatnonzero(face.eyelids & face.skin & (v[:, 0] * side > 0))
    found = {
        names["outer"]: int(lids[(v[lids, 0] * side).argmax()]),
        names["inner"]: int(lids[(v[lids, 0] * side).argmin()]),
    }
    rim = face.eye_rims[side]
    start, end = np.abs(v[rim, 0]).min(), np.abs(v[rim, 0]).max()
    for name, share, up in (("up_in", 1 / 3, 1), ("up_out", 2 / 3, 1), ("low_out", 2 / 3, -1), ("low_in", 1 / 3, -1)):
        half = rim[(v[rim, 1] - v[rim, 1].mean()) * up > 0]
        found[names[name]] = int(half[np.abs(np.abs(v[half, 0]) - (start + share * (end - start))).argmin()])
    return found


def _brow(face: FaceSurface, side: int, eye: dict[int, int]) -> dict[int, int]:
    v, names = face.vertices, _EYES[side]
    start = abs(v[eye[names["inner"]], 0]) - 0.002
    end = abs(v[eye[names["outer"]], 0]) + 0.005
    lid_top = max(v[eye[names["up_in"]], 1], v[eye[names["up_out"]], 1])
    front = face.skin & (face.normals[:, 2] > 0.1) & (v[:, 2] > v[eye[names["outer"]], 2] - 0.01)
    found = {}
    for k, (number, rise) in enumerate(zip(_BROWS[side], _BROW_RISE_M, strict=True)):
        x = side * (start + (end - start) * k / 4)
        ids = np.flatnonzero(front & (np.abs(v[:, 0] - x) < 0.012))
        found[number] = int(ids[np.hypot(v[ids, 0] - x, v[ids, 1] - lid_top - rise).argmin()])
    return found


def _nose(face: FaceSurface, eyes: dict[int, int]) -> dict[int, int]:
    v = face.vertices
    tip = nose_tip(face)
    bridge = np.flatnonzero(
        face.skin & (np.abs(v[:, 0]) < 0.0015) & (face.normals[:, 2] > 0.2)
        & (v[:, 1] > v[tip, 1]) & (v[:, 1] < v[eyes[_EYES[1]["up_in"]], 1] + 0.02)
    )  # fmt: skip
    eye_height = v[eyes[_EYES[-1]["inner"]], 1]
    between_eyes = bridge[(v[bridge, 1] > eye_height - 0.006) & (v[bridge, 1] < eye_height + 0.015)]
    root = int(between_eyes[v[between_eyes, 2].argmin()])
    found = {27: root, 30: tip}
    for k in (1, 2):
        height = v[root, 1] + (v[tip, 1] - v[root, 1]) * k / 3
        found[27 + k] = int(bridge[np.abs(v[bridge, 1] - height).argmin()])
    upper_lip = np.flatnonzero(face.lips & face.skin & (np.abs(v[:, 0]) < 0.004))
    below = np.flatnonzero(
        face.skin & (np.abs(v[:, 0]) < 0.0015) & (v[:, 1] < v[tip, 1]) & (v[:, 1] > v[upper_lip, 1].max() + 0.003)
    )
    base = int(below[np.abs(v[below, 1] - (v[tip, 1] - 0.0105)).argmin()])
    found[33] = base
    not_under = face.skin & (face.normals[:, 2] > -0.2)
    for side, wing, nostril in ((1, 35, 34), (-1, 31, 32)):
        found[wing] = face.nearest(v[base] + [side * 0.0165, 0.002, -0.004], face.skin)
        found[nostril] = face.nearest(v[base] + [side * 0.0075, 0.001, -0.001], not_under)
    return found


def nose_tip(face: FaceSurface) -> int:
    """Foremost vertex of the midline."""
    midline = np.flatnonzero(face.skin & (np.abs(face.vertices[:, 0]) < 0.003))
    return int(midline[face.vertices[midline, 2].argmax()])


def _mouth(face: FaceSurface) -> dict[int, int]:
    v = face.vertices
    lips = face.lips & face.skin
    jaw = face.weights[:, SMPLX_JOINT_NAMES.index("jaw")] >= 0.5
    upper, lower = np.flatnonzero(lips & ~jaw), np.flatnonzero(lips & jaw)
    everything = np.flatnonzero(lips)
    right, left = everything[v[everything, 0].argmin()], everything[v[everything, 0].argmax()]
    width = v[left, 0] - v[right, 0]

    def extreme(ids: np.ndarray, share: float, up: int) -> int:
        """Highest (up = 1) or lowest vertex at a share of the mouth's width, from the right corner."""
        x = v[right, 0] + share * width
        ids = ids[np.abs(v[ids, 0] - x) < 0.004]
        return int(ids[(v[ids, 1] * up - 0.3 * np.abs(v[ids, 0] - x)).argmax()])

    found = {48: int(right), 54: int(left)}
    found[60] = face.nearest(v[right] + [0.004, 0, 0.001], lips)
    found[64] = face.nearest(v[left] + [-0.004, 0, 0.001], lips)
    shares = (0.2, 0.39, 0.5, 0.61, 0.8)
    for k, share in enumerate(shares):
        found[49 + k] = extreme(upper, share, 1)
        found[59 - k] = extreme(lower, share, -1)
    for k, share in enumerate((0.3, 0.5, 0.7)):
        found[61 + k] = extreme(upper[face.normals[upper, 2] > 0], share, -1)
        found[67 - k] = extreme(lower[face.normals[lower, 2] > 0], share, 1)
    return found


def _right_half_contour(face: FaceSurface, static: dict[int, int], yaw_rad: float) -> list[int]:
    """Outline vertices 0..8 (the person's right ear to the chin) when the head is turned by a yaw about +y.

    In each direction from the middle of the face: the outermost vertex that faces the viewer, rather in front than
    behind, because the side of a face runs along the line of sight.
    """
    v = face.vertices
    eye_corner = v[static[36]]
    centre = np.array([0, (v[static[33], 1] + v[static[62], 1]) / 2 + 0.012, eye_corner[2]])
    head_share = face.weights[:, joint_ids(HEAD_JOINTS[1:3])].sum(1)
    allowed = np.flatnonzero(
        face.skin & ~face.ears & (head_share > 0.9) & (v[:, 1] < eye_corner[1] + 0.012)
        & (v[:, 2] > v[face.ears, 2].max() - 0.012) & (v[:, 1] > v[static[57], 1] - 0.055)
    )  # fmt: skip
    turn = np.array([[np.cos(yaw_rad), 0, np.sin(yaw_rad)], [0, 1, 0], [-np.sin(yaw_rad), 0, np.cos(yaw_rad)]])
    seen = (v[allowed] - centre) @ turn.T
    facing = (face.normals[allowed] @ turn.T)[:, 2] > -0.05
    bearing = np.arctan2(seen[:, 1], seen[:, 0])
    radius = np.where(facing, np.hypot(seen[:, 0], seen[:, 1]), 0)
    found = []
    for wanted, prefer_front in zip(np.radians(_CONTOUR_BEARING_DEG), _PREFER_FRONT, strict=True):
        away = np.abs((bearing - wanted + np.pi) % (2 * np.pi) - np.pi)
        score = np.where(away < 0.12, radius, 0) - 0.02 * away + prefer_front * seen[:, 2]
        found.append(int(allowed[score.argmax()]))
    return found


def face_contour(face: FaceSurface, static: dict[int, int], yaw_rad: float) -> list[int]:
    """The 17 outline vertices of the face when the head is turned by a yaw about +y; mirrored for the mirrored yaw."""
    right = _right_half_contour(face, static, yaw_rad)
    mirrored = face.vertices[_right_half_contour(face, static, -yaw_rad)[:-1]] * [-1, 1, 1]
    return right + [face.nearest(point, face.skin & ~face.ears) for point in mirrored[::-1]]


def contour_table(face: FaceSurface, static: dict[int, int]) -> np.ndarray:
    """(79, 17) vertices: row k is a yaw of -k degrees for k up to 39, row 39 + k a yaw of +k degrees."""
    yaws = np.radians(np.r_[-np.arange(MAX_YAW_DEG + 1), np.arange(1, MAX_YAW_DEG + 1)].astype(float))
    return np.array([face_contour(face, static, yaw) for yaw in yaws])


def skin_keypoints(face: FaceSurface, joints: np.ndarray, eyeballs: dict[str, np.ndarray]) -> dict[str, int]:
    """Name -> vertex of the keypoints that are not joints: nose, eyes, ears, fingertips, toes, heels."""
    v = face.vertices
    found = {"nose": nose_tip(face)}
    for side, sign in (("left", 1), ("right", -1)):
        ball = eyeballs[side]
        found[f"{side}_eye"] = int(ball[v[ball, 2].argmax()])
        ear = np.flatnonzero(face.ears & (v[:, 0] * sign > 0))
        opening = np.array([*v[ear, :2].mean(0), v[ear, 2].max() - 0.012])
        found[f"{side}_ear"] = int(ear[np.abs(v[ear] - opening).sum(1).argmin()])
        for finger in ("thumb", "index", "middle", "ring", "pinky"):
            last, before = joint_ids((f"{side}_{finger}3", f"{side}_{finger}2"))
            ids = np.flatnonzero(face.weights[:, last] > 0.5)
            found[f"{side}_{finger}"] = int(ids[(v[ids] @ (joints[last] - joints[before])).argmax()])
        found |= _foot(face, side, sign)
    return found


def _foot(face: FaceSurface, side: str, sign: int) -> dict[str, int]:
    v = face.vertices
    toes = np.flatnonzero(face.weights[:, SMPLX_JOINT_NAMES.index(f"{side}_foot")] > 0.5)
    x, forward = v[toes, 0] * sign, v[toes, 2]
    big = x < np.percentile(x, 35)
    small = x > np.percentile(x, 85)
    sole = v[toes, 1].min()
    ankle = face.weights[:, SMPLX_JOINT_NAMES.index(f"{side}_ankle")] > 0.5
    foot = np.flatnonzero(ankle & (v[:, 1] < sole + _HEEL_HEIGHT_M))
    return {
        f"{side}_big_toe": int(toes[np.where(big, forward, -9).argmax()]),
        f"{side}_small_toe": int(toes[np.where(small, forward + 0.5 * x, -9).argmax()]),
        f"{side}_heel": int(foot[v[foot, 2].argmin()]),
    }

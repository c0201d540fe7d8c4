"""Keypoints in groups (body and feet, face, left hand, right hand), each with the unknowns that can move it.

A face does not move with the knees and a left hand does not move with the right one, so a Jacobian over everything is
mostly zeros. All of this is read off the body's tables: a point moves with a joint when skin weight hangs below it.

Legend: N keypoints of the group, C corners a keypoint, T turned joints, A joints that carry the group, L linear
coefficients, Q pairs (keypoint, joint), K outline bins, F = 45 finger axes.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fitting.sparse_tables import BodyTables, first_vertex_of_point
from fitting.unknowns import BODY, JAW, NUM_TURNED, POSITION, ROOT, Layout
from model.body import skeleton

GROUPS = (
    slice(skeleton.BODY.start, skeleton.FEET.stop),
    skeleton.FACE,
    skeleton.LEFT_HAND,
    skeleton.RIGHT_HAND,
)
"""Keypoints of each group; every group is contiguous."""
FINGERS = (skeleton.SMPLX_LEFT_HAND, skeleton.SMPLX_RIGHT_HAND)
_SIDES = (None, None, 0, 1)
_WHOLE = 1 - 1e-6
"""A point with at least this share of its weight below a joint is rigid with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BlendedPairs:
    """Pairs of a keypoint and a joint of which only a part of the keypoint hangs below the joint."""

    point: Tensor
    """(Q,) keypoint within its group."""
    slot: Tensor
    """(Q,) place of the joint among the group's turned joints, or among the 15 finger joints."""
    vertex: Tensor
    """(Q, C) sparse vertices of the keypoint's corners."""
    below: Tensor
    """(Q,) or (K, Q) share of the keypoint below the joint."""
    joints: Tensor
    """(S,) joints that the pairs are skinned to."""
    skin: Tensor
    """(Q, C, S) or (K, Q, C, S) weight of the corners on those joints, only of joints below the pair's joint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PointGroup:
    """One group of keypoints and the columns of the Jacobian that are not zero for it."""

    points: slice
    """Its keypoints."""
    vertices: slice
    """Its sparse vertices, corner after corner."""
    side: int | None
    """0, 1 for the left, right hand."""
    num_outline: int
    """Leading keypoints that are chosen by the head's yaw."""
    turn_columns: Tensor
    """(3 + 3 T,) position, then the turned joints, as columns of a step."""
    turn_mask: Tensor
    """(N, 3 + 3 T) share of the point that each of them moves."""
    outline_mask: Tensor
    """(K, num_outline, 3 + 3 T) the same by bin."""
    finger_mask: Tensor
    """(N, 45) the same for the finger joints; empty where there are none."""
    coefficients: Tensor
    """(L,) linear coefficients that move the group, numbered from 0; behind the last one the eyelids."""
    directions: Tensor
    """(C, 3, N - num_outline, L) rest displacement of the corners of the points that are not chosen by yaw."""
    outline_directions: Tensor
    """(K, C, 3, num_outline, L)."""
    carriers: Tensor
    """(A,) joints that the group hangs below."""
    below: Tensor
    """(N, A) share of the point that hangs below each carrier."""
    outline_below: Tensor
    """(K, num_outline, A)."""
    carrier_directions: Tensor
    """(A, 3, L) rest displacement of the carriers."""
    head_directions: Tensor
    """(3, L) rest displacement of the head's joint."""
    scaled: Tensor
    """(H,) places among the carriers that scale with the head."""
    scales: bool
    """Whether the head scale moves the group."""
    poses_head: bool
    """Whether the jaw moves the group at rest, as the head scale does: in the fusion `paper`, where no joint of the
    group is the jaw."""
    pairs: tuple[BlendedPairs, ...]
    """Blended pairs of turned joints: first of fixed points, then of outline points, each left out where empty."""
    finger_pairs: tuple[BlendedPairs, ...]
    """Blended pairs of finger joints."""

    @property
    def num_points(self) -> int:
        return self.points.stop - self.points.start


def to_tensors(value: Any, tensor: Callable[[np.ndarray], Tensor]) -> Any:
    """A group with its numpy arrays made tensors."""
    if isinstance(value, np.ndarray):
        return tensor(value)
    if isinstance(value, tuple):
        return tuple(to_tensors(part, tensor) for part in value)
    if isinstance(value, PointGroup | BlendedPairs):
        return type(value)(**{f.name: to_tensors(getattr(value, f.name), tensor) for f in fields(value)})
    return value


def _turn_columns(joints: np.ndarray) -> np.ndarray:
    """Columns of a step that turn these joints (T,) of 0..22: root first, body and jaw after the position."""
    starts = np.where(joints == 0, ROOT.start, BODY.start + 3 * (joints - 1))
    return (starts[:, None] + np.arange(3)).reshape(-1)


def _per_axis(share: np.ndarray) -> np.ndarray:
    """(..., T) -> (..., 3 + 3 T): the position moves every point."""
    return np.concatenate([np.ones((*share.shape[:-1], 3)), np.repeat(share, 3, -1)], -1)


def _moving(table: np.ndarray | None) -> np.ndarray:
    """(54,) which joints' correctives move any of the points (..., 3, 9 * 54)."""
    if table is None:
        return np.zeros(skeleton.NUM_SMPLX_JOINTS - 1, bool)
    return np.asarray((np.abs(table) > 0).reshape(-1, skeleton.NUM_SMPLX_JOINTS - 1, 9).any((0, 2)))


def build_groups(tables: BodyTables) -> list[PointGroup]:
    """The four groups of a body, as numpy arrays."""
    return [_build_group(tables, points, side) for points, side in zip(GROUPS, _SIDES, strict=True)]


def _build_group(tables: BodyTables, points: slice, side: int | None) -> PointGroup:
    is_face = points == skeleton.FACE
    C = tables.corners if is_face else 1
    N = points.stop - points.start
    outline = skeleton.CONTOUR.stop - skeleton.CONTOUR.start if is_face else 0
    start = int(first_vertex_of_point(tables.corners)[points.start])
    vertices = slice(start, start + N * C)
    corner_ids = np.arange(start, vertices.stop).reshape(N, C)
    weight = tables.points.corner[vertices].reshape(N, C)
    corner_skin = tables.points.skin[vertices].reshape(N, C, -1) * weight[..., None]
    bins = len(tables.contour.rest) if is_face else 1
    outline_weight = tables.contour.corner.reshape(len(tables.contour.rest), -1, C)[:bins, :outline]
    outline_skin = tables.contour.skin.reshape(len(tables.contour.rest), -1, C, skeleton.NUM_SMPLX_JOINTS)
    outline_skin = outline_skin[:bins, :outline] * outline_weight[..., None]
    below, outline_below = (skin.sum(-2) @ tables.ancestors for skin in (corner_skin, outline_skin))
    share = np.maximum(below.max(0), outline_below.max((0, 1), initial=0.0))
    carriers = np.flatnonzero(share > 0)

    bent = _moving(None if tables.points.correctives is None else tables.points.correctives[vertices])
    if outline:
        bent |= _moving(tables.contour.correctives)
    turned = np.flatnonzero((share[:NUM_TURNED] > 0) | np.concatenate([[False], bent[: NUM_TURNED - 1]]))
    fingers = None if side is None else FINGERS[side]

    moving = [tables.points[vertices], tables.joints[carriers], *[tables.contour] * bool(outline)]
    coefficients = np.flatnonzero(np.max([points.reach(tables.num_groups) for points in moving], 0) > 0)
    L = len(coefficients)
    fixed = tables.points.directions[vertices][..., coefficients].reshape(N, C, 3, L)[outline:]
    by_bin = tables.contour.directions[:bins, : outline * C][..., coefficients].reshape(bins, outline, C, 3, L)
    head = np.abs(tables.points.head[vertices]).max() + np.abs(tables.joints.head[carriers]).max()

    def pairs(joints: np.ndarray) -> tuple[BlendedPairs, ...]:
        found = [_blended(below[outline:], corner_skin[outline:], corner_ids[outline:], joints, outline, tables)]
        if outline:
            found.append(_blended(outline_below, outline_skin, corner_ids[:outline], joints, 0, tables))
        return tuple(pair for pair in found if len(pair.point))

    arrays: dict[str, Any] = {
        "points": points,
        "vertices": vertices,
        "side": side,
        "num_outline": outline,
        "turn_columns": np.concatenate([np.arange(POSITION.start, POSITION.stop), _turn_columns(turned)]),
        "turn_mask": _per_axis(below[:, turned]),
        "outline_mask": _per_axis(outline_below[..., turned]),
        "finger_mask": np.zeros((N, 0)) if fingers is None else np.repeat(below[:, fingers], 3, -1),
        "coefficients": coefficients,
        "directions": (fixed * weight[outline:, :, None, None]).transpose(1, 2, 0, 3),
        "outline_directions": (by_bin * outline_weight[..., None, None]).transpose(0, 2, 3, 1, 4),
        "carriers": carriers,
        "below": below[:, carriers],
        "outline_below": outline_below[..., carriers],
        "carrier_directions": tables.joints.directions[carriers][..., coefficients],
        "head_directions": tables.joints.directions[skeleton.HEAD][..., coefficients],
        "scaled": np.flatnonzero(tables.joints.head[carriers] != 0),
        "scales": bool(head > 0),
        "poses_head": bool(head > 0) and tables.joints.posed_head is not None,
        "pairs": pairs(turned),
        "finger_pairs": () if fingers is None else pairs(np.arange(fingers.start, fingers.stop)),
    }
    return PointGroup(**arrays)


def _blended(
    below: np.ndarray, skin: np.ndarray, ids: np.ndarray, joints: np.ndarray, first: int, tables: BodyTables
) -> BlendedPairs:
    """Blended pairs of keypoints with `below` ([K,] N, J), corner weights ([K,] N, C, J) and vertices (N, C)."""
    partial = (below > 0) & (below < _WHOLE)
    if below.ndim == 3:
        partial = np.asarray(partial.any(0))
    point, slot = np.nonzero(partial[:, joints])
    hanging = skin[..., point, :, :] * tables.ancestors.T[joints[slot]][:, None]
    used = np.flatnonzero(np.abs(hanging).reshape(-1, hanging.shape[-1]).max(0, initial=0.0) > 0)
    arrays: dict[str, Any] = {
        "point": point + first,
        "slot": slot,
        "vertex": ids[point],
        "below": below[..., point, joints[slot]],
        "joints": used,
        "skin": hanging[..., used],
    }
    return BlendedPairs(**arrays)


def group_columns(group: PointGroup, layout: Layout) -> Tensor:
    """Columns of a step (n,) in the order of a group's Jacobian."""

    def run(places: slice) -> Tensor:
        return torch.arange(places.start, places.stop, device=group.turn_columns.device)

    # The eyelids' numbers go on behind the last coefficient, their places behind the head scale.
    coefficients = layout.coefficients.start + group.coefficients
    shift = layout.eyelids.start - layout.coefficients.stop
    coefficients = torch.where(group.coefficients < layout.num_coefficients, coefficients, coefficients + shift)
    parts = [group.turn_columns, coefficients]
    if group.scales:
        parts.append(run(layout.log_head_scale))
    if group.poses_head:
        parts.append(run(JAW))
    if group.side is not None:
        parts.append(run(layout.hand(group.side)))
    return torch.cat(parts)


def tensor_maker(dtype: torch.dtype, device: torch.device | str) -> Callable[[np.ndarray], Tensor]:
    """Makes tensors of numpy arrays: numbers in `dtype`, indices as int64."""

    def tensor(array: np.ndarray) -> Tensor:
        kind = torch.int64 if array.dtype.kind in "iu" else dtype
        return torch.as_tensor(np.ascontiguousarray(array), dtype=kind).to(device)

    return tensor

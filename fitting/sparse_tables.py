"""Precomputed tables of the few body points that keypoints touch: joints, skin vertices and face landmarks.

A keypoint that is a joint is a point rigid with its parent bone. A skin keypoint is one vertex. A face landmark is
`C` corners (vertices with barycentric weights); C is 1 where every landmark of the body sits on a vertex, else 3.
The 17 outline points choose their corners by the head's yaw: one of `contour bins`.

COCO's hips and shoulders are places on the surface that annotators and networks point at, some centimetres from the
joints. Six more linear coefficients displace these keypoints from their joints, in metres and in the frame of the
parent bone (pelvis, collar); with all of them zero the keypoints are the joints.

Legend: N 133 keypoints, M = 65 + 68 C sparse vertices in keypoint order, J 55 joints, K contour bins, S linear
coefficients (betas, FLAME expression, FLAME shape, surface offsets), Q (vertex, joint) pairs whose skin blends across
the joint.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from datasets_manifest.schema.ehm_fields import BodySize
from model.body import skeleton
from model.body.assets import EhmAssets
from model.body.blended_head import blended_basis
from model.body.paper_head import PaperTable, paper_tables

_HAND_STARTS = (skeleton.LEFT_HAND.start, skeleton.RIGHT_HAND.start)
_FINGER_STARTS = (skeleton.SMPLX_LEFT_HAND.start, skeleton.SMPLX_RIGHT_HAND.start)
_HAND_POINTS = 21
_NEGLIGIBLE_WEIGHT = 1e-5
SURFACE_KEYPOINTS = ((11, 12), (5, 6))
"""Left and right keypoint of each group that lies on the surface and not at its joint: hips, shoulders."""
NUM_SURFACE = 3 * len(SURFACE_KEYPOINTS)
"""Surface offsets of a person: x outwards (mirrored between left and right), y up, z to the front, a group."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PointTables:
    """Rest places, directions and skin weights of a set of points, each with leading dimensions (...)."""

    rest: np.ndarray
    """(..., 3) metres."""
    directions: np.ndarray
    """(..., 3, S)."""
    eyelids: np.ndarray
    """(..., 3, 2)."""
    skin: np.ndarray
    """(..., J) rows sum to 1."""
    head: np.ndarray
    """(...) share of the head scale that the point takes, 0..1."""
    corner: np.ndarray
    """(...) barycentric weight."""
    correctives: np.ndarray | None
    """(..., 3, 9 (J - 1)) pose blend shapes."""
    posed_head: np.ndarray | None
    """(..., 4, 3, 1 + H) what FLAME's posed head adds, times the head scale, in the fusion `paper`, whose `rest` and
    `directions` are those of the body alone: the terms h_k of `model.body.paper_head`, linear in H values (expression,
    FLAME shape, eyelids, and, where FLAME has pose correctives, the 27 entries of R - I that they follow). The first
    column is what does not depend on them. None in the fusion `blended`."""

    def __getitem__(self, index: Any) -> "PointTables":
        def pick(value: Any) -> Any:
            return None if value is None else value[index]

        return PointTables(**{name: pick(getattr(self, name)) for name in self.__slots__})

    def reach(self, num_groups: tuple[int, int, int, int]) -> np.ndarray:
        """(S,) how far each linear coefficient, and each eyelid if `with_eyelids`, moves one of the points at most."""
        reach = np.abs(self.directions).reshape(-1, self.directions.shape[-1]).max(0)
        if self.posed_head is not None:
            betas, expression, shape, _ = num_groups
            of_head = self.posed_head[..., 1 : 1 + expression + shape]
            face = slice(betas, betas + expression + shape)
            reach[face] = np.maximum(reach[face], np.abs(of_head).reshape(-1, expression + shape).max(0, initial=0.0))
            beyond = reach[sum(num_groups) :]
            lids = self.posed_head[..., 1 + expression + shape :][..., : len(beyond)]
            beyond[:] = np.maximum(beyond, np.abs(lids).max(tuple(range(lids.ndim - 1)), initial=0.0))
        return reach

    def with_eyelids(self) -> "PointTables":
        """The same with the eyelids as two more directions, behind all others."""
        return replace(self, directions=np.concatenate([self.directions, self.eyelids], -1))


@dataclass(frozen=True, kw_only=True, slots=True)
class BodyTables:
    """All tables of one body."""

    points: PointTables
    """(M, ...) in keypoint order; the outline's rows are those of bin 0."""
    contour: PointTables
    """(K, 17 C, ...)."""
    joints: PointTables
    """(J, ...) the joints; their `head` is 1 for those that scale with the head: jaw and eyes, in the fusion `paper`
    those that are regressed from vertices of the head."""
    corners: int
    """C."""
    ancestors: np.ndarray
    """(J, J): 1 where the column's joint is the row's joint or above it."""
    pairs: np.ndarray
    """(Q, 2) sparse vertex, joint: blended pairs of a shared vertex."""
    num_groups: tuple[int, int, int, int]
    """Number of betas, expression, FLAME shape coefficients and surface offsets: S in parts."""

    def with_eyelids(self) -> "BodyTables":
        """The same with the eyelids as two more directions of points and joints, behind all others."""
        own = {name: getattr(self, name).with_eyelids() for name in ("points", "contour", "joints")}
        return replace(self, **own)


def _padded_columns(columns: np.ndarray, have: tuple[int, ...], want: tuple[int, ...]) -> np.ndarray:
    """Groups of columns (..., sum have) with zeros where the body has fewer than wanted: (..., sum want)."""
    out = np.zeros((*columns.shape[:-1], sum(want)))
    for start_have, count, start_want in zip(np.cumsum((0, *have)), have, np.cumsum((0, *want)), strict=False):
        out[..., start_want : start_want + count] = columns[..., start_have : start_have + count]
    return out


def _tables(assets: EhmAssets, groups: tuple[int, int, int], ids: np.ndarray) -> tuple[PointTables, PointTables]:
    """Tables of vertices (R,) and of every joint of the fused body; joints are rigid with their parent bone."""
    body = assets.smplx
    betas, expression, shape = groups
    size = assets.available(BodySize(num_betas=betas, num_flame_shape=shape, num_expression=expression))
    num_joints = body.num_joints
    skin = body.skin_weights[ids].astype(np.float64)
    correctives = joint_correctives = None
    if body.posedirs is not None and np.any(body.posedirs):
        correctives = body.posedirs.reshape(-1, body.num_vertices, 3).transpose(1, 2, 0)[ids]
        joint_correctives = np.zeros((num_joints, *correctives.shape[1:]))
    with_parent = np.zeros((num_joints, num_joints))
    with_parent[np.arange(num_joints), np.maximum(np.array(skeleton.SMPLX_PARENTS), 0)] = 1.0
    if assets.fusion == "paper":
        vertices, joints = (_of_paper(table, size, groups) for table in paper_tables(assets, size, ids))
        # Jaw and eyes of the body stay at rest: what hangs on them moves with the head.
        still = list(skeleton.SMPLX_HEAD_JOINTS[1:])
        skin[:, skeleton.HEAD] += skin[:, still].sum(1)
        skin[:, still] = 0.0
        if correctives is not None:
            correctives = correctives.reshape(*correctives.shape[:2], -1, 9).copy()
            correctives[:, :, np.array(still) - 1] = 0.0
            correctives = correctives.reshape(*correctives.shape[:2], -1)
    else:
        basis = blended_basis(assets, size)
        directions, eyelids = _split(basis.dirs[ids], size, groups)
        vertices = {
            "rest": basis.template[ids],
            "directions": directions,
            "eyelids": eyelids,
            "head": basis.head_weight[ids],
            "posed_head": None,
        }
        directions, eyelids = _split(basis.joint_dirs, size, groups)
        joints = {
            "rest": basis.joint_template,
            "directions": directions,
            "eyelids": eyelids,
            "head": np.isin(np.arange(num_joints), skeleton.SMPLX_HEAD_JOINTS[1:]).astype(np.float64),
            "posed_head": None,
        }
    return (
        PointTables(**vertices, skin=skin, corner=np.ones(len(ids)), correctives=correctives),
        PointTables(**joints, skin=with_parent, corner=np.ones(num_joints), correctives=joint_correctives),
    )


def _split(dirs: np.ndarray, size: BodySize, groups: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Directions (..., K) of betas, shape, expression and eyelids -> (..., S) as betas, expression, shape; eyelids."""
    betas, expression, shape = groups
    have = (size.num_betas, size.num_flame_shape, size.num_expression)
    linear = _padded_columns(dirs[..., :-2], have, (betas, shape, expression))
    parts = np.split(linear, np.cumsum((betas, shape)), axis=-1)
    return np.concatenate([parts[0], parts[2], parts[1]], -1), dirs[..., -2:]


def _of_paper(table: PaperTable, size: BodySize, groups: tuple[int, int, int]) -> dict[str, Any]:
    """Fields of `PointTables` that say where points are at rest, in the fusion `paper`."""
    directions, eyelids = _split(table.dirs, size, groups)
    no_betas = replace(size, num_betas=0)
    face, lids = _split(table.head_dirs, no_betas, (0, *groups[1:]))
    parts = [table.head[..., None], face, lids]
    posed_head = np.concatenate(parts if table.head_features is None else [*parts, table.head_features], -1)
    return {
        "rest": table.template,
        "directions": directions,
        "eyelids": eyelids,
        "head": (np.abs(posed_head).max((1, 2, 3)) > 0).astype(np.float64),
        "posed_head": posed_head,
    }


def _corners(ids: np.ndarray, weights: np.ndarray, corners: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertex ids and weights (..., C): all three corners, or the one that carries everything."""
    if corners == 3:
        return ids.astype(np.int64), weights.astype(np.float64)
    best = weights.argmax(-1)[..., None]
    return np.take_along_axis(ids, best, -1).astype(np.int64), np.ones(best.shape)


def _concatenate(parts: list[PointTables]) -> PointTables:
    def join(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else np.concatenate(values)

    return PointTables(**{name: join(name) for name in PointTables.__slots__})


def _clean_skin(tables: PointTables) -> PointTables:
    """Drops weights that move nothing, so that fewer pairs count as blended; rows sum to 1 again."""
    skin = np.where(tables.skin < _NEGLIGIBLE_WEIGHT, 0.0, tables.skin)
    return replace(tables, skin=skin / skin.sum(-1, keepdims=True))


def _ancestors() -> np.ndarray:
    table = np.zeros((skeleton.NUM_SMPLX_JOINTS,) * 2)
    for joint in range(len(table)):
        above = joint
        while above >= 0:
            table[joint, above] = 1.0
            above = skeleton.SMPLX_PARENTS[above]
    return table


def finger_columns(vertex_of_point: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each hand: its sparse vertices (21,) and its finger joints (15,)."""
    points = [np.arange(start, start + _HAND_POINTS) for start in _HAND_STARTS]
    joints = [np.arange(start, start + skeleton.NUM_HAND_JOINTS) for start in _FINGER_STARTS]
    return [(vertex_of_point[p], j) for p, j in zip(points, joints, strict=True)]


def first_vertex_of_point(corners: int) -> np.ndarray:
    """(133,) the first sparse vertex of each keypoint."""
    width = np.ones(skeleton.NUM_KEYPOINTS, np.int64)
    width[skeleton.FACE] = corners
    return np.concatenate([[0], np.cumsum(width)[:-1]])


def _blended_pairs(skin: np.ndarray, ancestors: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Pairs (vertex, joint) for which only a part of the vertex's weight hangs below the joint. skin (..., M, J)."""
    below = skin @ ancestors
    partial = (below > 0) & (below < 1 - 1e-12)
    return np.argwhere(partial.reshape(-1, *partial.shape[-2:]).any(0) & wanted)


def _with_surface_columns(tables: PointTables, keypoint_rows: np.ndarray | None) -> PointTables:
    """The tables with `NUM_SURFACE` more directions; `keypoint_rows` (133,) places keypoints, None moves no point."""
    columns = np.zeros((*tables.directions.shape[:-1], NUM_SURFACE))
    if keypoint_rows is not None:
        for group, sides in enumerate(SURFACE_KEYPOINTS):
            for keypoint, outwards in zip(sides, (1.0, -1.0), strict=True):
                mirrored = np.diag([outwards, 1.0, 1.0])
                columns[keypoint_rows[keypoint], :, 3 * group : 3 * group + 3] = mirrored
    return replace(tables, directions=np.concatenate([tables.directions, columns], -1))


def build_tables(assets: EhmAssets, groups: tuple[int, int, int]) -> BodyTables:
    """Collects the tables of a body.

    Args:
        assets: the fused body.
        groups: number of betas, FLAME expression and FLAME shape coefficients.
    """
    body = assets.smplx
    single = min(body.landmark_weights.max(-1).min(), body.contour_weights.max(-1).min()) > 1 - 1e-6
    corners = 1 if single else 3
    contour_ids, contour_weights = _corners(body.contour_vertices, body.contour_weights, corners)
    inner_ids, inner_weights = _corners(body.landmark_vertices, body.landmark_weights, corners)
    named = {name: body.keypoint_vertices[name] for name in skeleton.KEYPOINT_VERTEX_NAME.values()}
    ids = np.unique(np.concatenate([contour_ids.ravel(), inner_ids.ravel(), list(named.values())]))
    surface, joints = _tables(assets, groups, ids)

    def of(vertex_ids: Any) -> PointTables:
        return surface[np.searchsorted(ids, vertex_ids)]

    parts = []
    for point in (*range(skeleton.FACE.start), *range(skeleton.FACE.stop, skeleton.NUM_KEYPOINTS)):
        if point in skeleton.KEYPOINT_JOINT:
            parts.append(joints[[skeleton.KEYPOINT_JOINT[point]]])
        else:
            parts.append(of([named[skeleton.KEYPOINT_VERTEX_NAME[point]]]))
    bins = len(contour_ids)
    contour = _clean_skin(replace(of(contour_ids.reshape(bins, -1)), corner=contour_weights.reshape(bins, -1)))
    inner = replace(of(inner_ids.reshape(-1)), corner=inner_weights.reshape(-1))
    before = skeleton.FACE.start
    points = _clean_skin(_concatenate([*parts[:before], contour[0], inner, *parts[before:]]))
    points = _with_surface_columns(points, first_vertex_of_point(corners))
    contour, joints = _with_surface_columns(contour, None), _with_surface_columns(joints, None)

    ancestors = _ancestors()
    wanted = np.zeros((len(points.rest), skeleton.NUM_SMPLX_JOINTS), bool)
    wanted[:, : skeleton.JAW + 1] = True
    for vertices, fingers in finger_columns(first_vertex_of_point(corners)):
        wanted[np.ix_(vertices, fingers)] = True
    outline = slice(before, before + contour.rest.shape[1])
    wanted[outline] = False
    return BodyTables(
        points=points,
        contour=contour,
        joints=joints,
        corners=corners,
        ancestors=ancestors,
        pairs=_blended_pairs(points.skin, ancestors, wanted),
        num_groups=(*groups, NUM_SURFACE),
    )

"""The `paper` definition of EHM-s as tables: what FLAME's posed and scaled head makes of rest points and joints.

`model.body.ehms` says what the definition is and poses the whole of it; bodies cut down to a few points take these
tables. A rest point is

    x = b + s * sum_k A_k h_k,    A = (I, R_jaw - I, R_left_eye - I, R_right_eye - I)

where b and the h_k depend linearly on coefficients. A replaced vertex v has h_0 = v and h_k = w_k (v - J_k), with the
skin weight w_k and the FLAME joint J_k, and b = c_b - c_h; a vertex of the body has no h_k. Joints are regressed from
vertices, so theirs are sums of these.

Legend: R points, K = S + Sf + E + 2 coefficients [betas, FLAME shape, expression, eyelids], F = K - S of the face.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datasets_manifest.schema.ehm_fields import BodySize
from model.body import lbs, skeleton
from model.body.assets import EhmAssets
from model.body.parameters import EhmParameters
from model.body.skinned import float_buffer

NUM_TERMS = 4
"""Terms of the sum: the head at rest, and what jaw, left and right eye turn."""
NUM_FEATURES = 27
"""Entries of R - I of jaw, left and right eye, which FLAME's pose correctives follow."""
_FLAME_TURNED = (2, 3, 4)
"""FLAME's jaw, left and right eye."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperTable:
    """Rest places of R points."""

    template: NDArray[np.float64]
    """(R, 3) of b."""
    dirs: NDArray[np.float64]
    """(R, 3, K)."""
    head: NDArray[np.float64]
    """(R, 4, 3) of the h_k."""
    head_dirs: NDArray[np.float64]
    """(R, 4, 3, F)."""
    head_features: NDArray[np.float64] | None
    """(R, 4, 3, 27) FLAME's pose correctives; None where it has none."""


def replaced_head_ids(assets: EhmAssets) -> NDArray[np.int64]:
    """FLAME vertices that take the place of the body's, in FLAME's numbers; the others stay with the body."""
    return np.flatnonzero(~np.isin(assets.head_vertex_ids, assets.keep_body_ids))


def paper_tables(assets: EhmAssets, size: BodySize, vertex_ids: NDArray[np.int64]) -> tuple[PaperTable, PaperTable]:
    """Tables of some vertices of the body, and of its 55 joints.

    Args:
        assets: Body, head and their correspondence.
        size: Numbers of coefficients, not more than the body has.
        vertex_ids: (R,) vertices of the body.
    """
    body, flame = assets.smplx, assets.flame
    ids = replaced_head_ids(assets)
    shape = body.shapedirs[..., : size.num_betas].astype(np.float64)
    regressor = body.joint_regressor.astype(np.float64)
    flame_dirs, flame_joint_dirs, lids = _flame_dirs(assets, size)
    flame_joints = flame.joint_regressor.astype(np.float64) @ flame.v_template
    # c_b - c_h: the midpoint of the body's eyes less that of the head's, which is not scaled.
    body_eyes, head_eyes = regressor[skeleton.SMPLX_EYES].mean(0), skeleton.FLAME_EYES
    place = body_eyes @ body.v_template - flame_joints[head_eyes].mean(0)
    place_dirs = np.concatenate(
        [
            np.einsum("v,vck->ck", body_eyes, shape),
            -flame_joint_dirs[head_eyes].mean(0),
            np.zeros((3, lids.shape[-1])),
        ],
        -1,
    )
    head, head_dirs, features = _head_rows(assets, ids, flame_dirs, flame_joints, flame_joint_dirs, lids)

    row_of = np.full(body.num_vertices, -1)
    row_of[assets.head_vertex_ids[ids]] = np.arange(len(ids))
    rows = row_of[vertex_ids]
    taken = rows >= 0
    num_face = place_dirs.shape[-1] - size.num_betas
    own_dirs = np.concatenate([shape[vertex_ids], np.zeros((len(vertex_ids), 3, num_face))], -1)
    vertices = PaperTable(
        template=np.where(taken[:, None], place, body.v_template[vertex_ids]),
        dirs=np.where(taken[:, None, None], place_dirs, own_dirs),
        head=_spread(head, rows, taken),
        head_dirs=_spread(head_dirs, rows, taken),
        head_features=None if features is None else _spread(features, rows, taken),
    )
    of_head = regressor[:, assets.head_vertex_ids[ids]]
    of_body = regressor.copy()
    of_body[:, assets.head_vertex_ids[ids]] = 0.0
    share = of_head.sum(1)
    joint_dirs = share[:, None, None] * place_dirs
    joint_dirs[..., : size.num_betas] += np.einsum("jv,vck->jck", of_body, shape)
    joints = PaperTable(
        template=of_body @ body.v_template + share[:, None] * place,
        dirs=joint_dirs,
        head=np.tensordot(of_head, head, 1),
        head_dirs=np.tensordot(of_head, head_dirs, 1),
        head_features=None if features is None else np.tensordot(of_head, features, 1),
    )
    return vertices, joints


def _flame_dirs(assets: EhmAssets, size: BodySize) -> tuple[NDArray, NDArray, NDArray]:
    """Directions of shape and expression of FLAME's vertices (V, 3, n) and joints (5, 3, n), and eyelids (V, 3, 2)."""
    flame = assets.flame
    dirs = [flame.shapedirs[..., : size.num_flame_shape], flame.exprdirs[..., : size.num_expression]]
    dirs = np.concatenate(dirs, -1).astype(np.float64)
    joint_dirs = np.einsum("jv,vck->jck", flame.joint_regressor.astype(np.float64), dirs)
    lids = np.zeros((flame.num_vertices, 3, 2)) if flame.eyelid_dirs is None else flame.eyelid_dirs.astype(np.float64)
    return dirs, joint_dirs, lids


def _head_rows(
    assets: EhmAssets, ids: NDArray[np.int64], dirs: NDArray, joints: NDArray, joint_dirs: NDArray, lids: NDArray
) -> tuple[NDArray, NDArray, NDArray | None]:
    """The h_k of FLAME's vertices `ids`: what ``PaperTable`` calls `head`, `head_dirs` and `head_features`."""
    flame, turned = assets.flame, list(_FLAME_TURNED)
    weights = np.concatenate([np.ones((len(ids), 1)), flame.skin_weights[ids][:, turned]], -1).astype(np.float64)
    pivots = np.concatenate([np.zeros((1, 3)), joints[turned]])
    pivot_dirs = np.concatenate([np.zeros((1, *joint_dirs.shape[1:])), joint_dirs[turned]])
    face = np.concatenate([dirs[ids], lids[ids]], -1)
    pivot_dirs = np.concatenate([pivot_dirs, np.zeros((*pivot_dirs.shape[:2], lids.shape[-1]))], -1)
    features = None
    if flame.posedirs is not None:
        # Rows of the correctives: neck, which stays at rest, jaw, eyes.
        correctives = flame.posedirs[-NUM_FEATURES:].reshape(NUM_FEATURES, -1, 3)[:, ids].transpose(1, 2, 0)
        features = weights[:, :, None, None] * correctives[:, None].astype(np.float64)
    head = weights[..., None] * (flame.v_template[ids][:, None] - pivots)
    return head, weights[..., None, None] * (face[:, None] - pivot_dirs), features


def _spread(value: NDArray, rows: NDArray, taken: NDArray) -> NDArray:
    """Values of replaced vertices put in the rows that are replaced, zeros in the others."""
    out = np.zeros((len(rows), *value.shape[1:]))
    out[taken] = value[rows[taken]]
    return out


class PaperRest(nn.Module):
    """Rest places of the points of a table."""

    template: Tensor
    dirs: Tensor
    head: Tensor
    head_dirs: Tensor

    def __init__(self, table: PaperTable) -> None:
        super().__init__()
        columns = [table.head_dirs] if table.head_features is None else [table.head_dirs, table.head_features]
        self.has_features = table.head_features is not None
        for name, value in (
            ("template", table.template.reshape(-1)),
            ("dirs", table.dirs.reshape(-1, table.dirs.shape[-1]).T),
            ("head", table.head.reshape(-1)),
            ("head_dirs", np.concatenate(columns, -1).reshape(table.head.size, -1).T),
        ):
            self.register_buffer(name, float_buffer(value), persistent=False)

    def forward(self, people: EhmParameters) -> Tensor:
        """(N, R, 3) for N people."""
        coefficients = people.rest_coefficients()
        turns = torch.cat([people.jaw_pose[:, None], people.eye_pose], 1)
        identity = torch.eye(3, dtype=turns.dtype, device=turns.device)
        turns = turns - identity
        face = coefficients[:, people.betas.shape[-1] :]
        if self.has_features:
            face = torch.cat([face, turns.flatten(1)], -1)
        terms = lbs.blend(self.head, self.head_dirs, face).unflatten(1, (-1, NUM_TERMS, 3))
        turns = torch.cat([identity.expand(len(turns), 1, 3, 3), turns], 1)
        moved = torch.einsum("nkij,nrkj->nri", turns, terms)
        base = lbs.blend(self.template, self.dirs, coefficients).unflatten(1, (-1, 3))
        return base + people.head_scale[:, None] * moved


def body_rotations(people: EhmParameters) -> Tensor:
    """(N, 55, 3, 3) local rotations of the body, whose jaw and eyes stay at rest: the head is articulated already."""
    identity = torch.eye(3, dtype=people.jaw_pose.dtype, device=people.jaw_pose.device)
    still = replace(
        people,
        jaw_pose=identity.expand_as(people.jaw_pose),
        eye_pose=identity.expand_as(people.eye_pose),
    )
    return still.local_rotations()

"""The head in the fusion `paper`: FLAME's, posed at rest, scaled, and only then carried by the body.

A rest point or joint is x = b + s * sum_k A_k h_k, as `model.body.paper_head` says; b is the body's, and this is the
rest, with its derivatives. The h_k are linear in expression, shape and eyelids, and in what the pose correctives of
FLAME follow; the A_k are turns of jaw and eyes less the identity.

Legend: B people, M sparse vertices, J 55 joints, R some rows of these, K outline bins, C corners a keypoint, L linear
coefficients of a group, S all of them, H values that the h_k are linear in.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fitting import so3
from fitting.carried import in_bins
from fitting.forward import Forward, people_last
from fitting.point_groups import PointGroup
from fitting.products import product_sum, table_product
from fitting.sparse_tables import BodyTables
from fitting.unknowns import State
from model.body import skeleton
from model.body.paper_head import NUM_FEATURES, NUM_TERMS

_JAW_FEATURES = slice(-NUM_FEATURES, -NUM_FEATURES + 9)
"""Of H, the nine that the jaw decides."""


class PosedHead:
    """Tables of the h_k at all sparse vertices and joints, and what is made of them."""

    def __init__(self, tables: BodyTables, tensor: Any):
        """Only for tables of the fusion `paper`."""
        betas, expression, shape, _ = tables.num_groups
        self.face = slice(betas, betas + expression + shape)
        self.num_coefficients = sum(tables.num_groups)
        rows = (tables.points.posed_head, tables.contour.posed_head, tables.joints.posed_head)
        self.points, self.contour, self.joints = (tensor(part) for part in rows)
        own = (tables.points, tables.contour, tables.joints)
        self.own_points, self.own_contour, self.own_joints = (tensor(part.with_eyelids().directions) for part in own)
        self.outline = slice(skeleton.CONTOUR.start, skeleton.CONTOUR.start + self.contour.shape[1])
        self.has_features = self.joints.shape[-1] > 1 + expression + shape + 2

    @property
    def joint_directions(self) -> Tensor:
        """(J, 3, S) how coefficients move the rest joints of a head of scale one with its mouth closed."""
        return self._of_coefficients(self.joints[:, 0])[..., : self.num_coefficients]

    def at_rest(self, state: State, local: Tensor) -> tuple[Tensor, Tensor]:
        """sum_k A_k h_k of the sparse vertices (M, 3, B) and of the joints (J, 3, B), for rotations (B, J, 3, 3)."""
        values, turns = self._values(state, local), people_last(self._turns(local))
        points = table_product(self.points.flatten(0, 2), values.T).unflatten(0, (-1, NUM_TERMS, 3))
        outline = product_sum(self.contour.index_select(0, state.contour_bin).flatten(1, 3), values[:, None])
        outline = outline.T.unflatten(0, (-1, NUM_TERMS, 3))
        joints = table_product(self.joints.flatten(0, 2), values.T).unflatten(0, (-1, NUM_TERMS, 3))
        if (carried := state.carried) is not None:
            points = points + people_last(carried.points.of_head)
            outline = outline + people_last(in_bins(carried.outline.of_head, state.contour_bin))
            joints = joints + people_last(carried.joints.of_head)
        points = torch.cat([points[: self.outline.start], outline, points[self.outline.stop :]])
        return _moved(turns, points), _moved(turns, joints)

    def columns(self, group: PointGroup, state: State, forward: Forward) -> tuple[Tensor, Tensor]:
        """Derivatives of the rest places of a group's sparse vertices (B, N C, 3, n) and carriers (B, A, 3, n).

        The n columns: L coefficients, log head scale, jaw.
        """
        outline, start = group.num_outline * len(group.directions), group.vertices.start
        inner = slice(start + outline, group.vertices.stop)
        parts, moved = [], state.carried
        if outline:
            bins = state.contour_bin
            tables = self.contour.index_select(0, bins), self.own_contour.index_select(0, bins)
            more = None if moved is None else in_bins(moved.outline.of_head, bins)
            at_rest = forward.from_head[:, start : start + outline]
            parts.append(self._moves(group, state, forward, *tables, at_rest, more))
        tables = self.points[inner], self.own_points[inner]
        more = None if moved is None else moved.points.of_head[:, inner]
        parts.append(self._moves(group, state, forward, *tables, forward.from_head[:, inner], more))
        tables = self.joints[group.carriers], self.own_joints[group.carriers]
        more = None if moved is None else moved.joints.of_head[:, group.carriers]
        joints = self._moves(group, state, forward, *tables, forward.joints_from_head[:, group.carriers], more)
        return torch.cat(parts, 1), joints

    def _moves(
        self,
        group: PointGroup,
        state: State,
        forward: Forward,
        terms: Tensor,
        directions: Tensor,
        at_rest: Tensor,
        carried: Tensor | None,
    ) -> Tensor:
        """Derivatives (B, R, 3, n) of rest places.

        Args:
            group: Whose coefficients.
            state: Where to differentiate.
            forward: Forward pass there.
            terms: (R, 4, 3, 1 + H) or (B, R, 4, 3, 1 + H) tables of the h_k.
            directions: (R, 3, S + 2) or (B, R, 3, S + 2) of b.
            at_rest: (B, R, 3) sum of the A_k h_k.
            carried: (B, R, 4, 3) what carried coefficients add to the h_k; None for nothing.
        """
        turns, scale = self._turns(forward.local), forward.head_scale[:, None, :, None]
        by_coefficient = self._of_coefficients(terms).index_select(-1, group.coefficients)
        moves = _sum_of_terms(turns, by_coefficient) * scale + directions.index_select(-1, group.coefficients)
        sizes = torch.diag_embed(forward.head_scale[:, None] * at_rest)
        # A turn d of the jaw, in the camera frame, is R_head^T d in the frame of the head: A_jaw h changes by its cross
        # product with R_jaw h.
        jaw, head = forward.local[:, skeleton.JAW], forward.rotations[:, skeleton.HEAD]
        hanging = (terms[..., 1, :, :] * self._values(state, forward.local)[:, None, None]).sum(-1)
        if carried is not None:
            hanging = hanging + carried[:, :, 1]
        opened = -so3.product(so3.skew(so3.apply(jaw[:, None], hanging)), head.transpose(-1, -2)[:, None])
        if self.has_features:
            axes = so3.skew(head)  # column by column R_head^T d is a row of R_head
            change = (axes @ jaw[:, None]).flatten(2).transpose(1, 2)
            opened = opened + _sum_of_terms(turns, terms[..., _JAW_FEATURES]) @ change[:, None]
        return torch.cat([moves, sizes, scale * opened], -1)

    def _values(self, state: State, local: Tensor) -> Tensor:
        """(B, 1 + H) what the h_k are linear in, behind a one."""
        one = torch.ones_like(state.eyelids[:, :1])
        parts = [one, state.coefficients[:, self.face], state.eyelids]
        if self.has_features:
            parts.append(self._turns(local)[:, 1:].flatten(1))
        return torch.cat(parts, 1)

    def _turns(self, local: Tensor) -> Tensor:
        """The A_k (B, 4, 3, 3) of local rotations (B, J, 3, 3)."""
        identity = torch.eye(3, dtype=local.dtype, device=local.device)
        turns = local[:, skeleton.JAW : skeleton.RIGHT_EYE + 1] - identity
        return torch.cat([identity.expand(len(turns), 1, 3, 3), turns], 1)

    def _of_coefficients(self, terms: Tensor) -> Tensor:
        """Columns (..., 1 + H) of a table -> of all linear coefficients, then of the eyelids (..., S + 2)."""
        end = 1 + self.face.stop - self.face.start
        face = F.pad(terms[..., 1:end], (self.face.start, self.num_coefficients - self.face.stop))
        return torch.cat([face, terms[..., end : end + 2]], -1)


def _moved(turns: Tensor, terms: Tensor) -> Tensor:
    """sum_k A_k h_k: turns (4, 3, 3, B) and terms (R, 4, 3, B) -> (R, 3, B)."""
    parts = [so3.apply_last(turns[k : k + 1], terms[:, k]) for k in range(1, NUM_TERMS)]
    return terms[:, 0] + torch.stack(parts).sum(0)


def _sum_of_terms(turns: Tensor, columns: Tensor) -> Tensor:
    """sum_k A_k of columns (R, 4, 3, n) or (B, R, 4, 3, n), for turns (B, 4, 3, 3): (B, R, 3, n)."""
    parts = [so3.product(turns[:, None, k], columns[..., k, :, :]) for k in range(1, NUM_TERMS)]
    return columns[..., 0, :, :] + torch.stack(parts).sum(0)

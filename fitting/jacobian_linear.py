"""Columns of the keypoints' Jacobian for everything linear: shape, expression, surface offsets, eyelids, head scale.

A coefficient moves the rest places of joints and points. The joints' moves travel down the chain with the rotations,
the points' own are turned by their blended rotation; both are projected.

Legend: B people, N keypoints of a group, r rows a keypoint, L coefficients of a group, C corners a keypoint,
J 55 joints.
"""

import torch
from torch import Tensor

from fitting import so3
from fitting.forward import Forward, people_last
from fitting.point_groups import PointGroup
from fitting.point_rows import PointRows
from fitting.sparse_body import SparseBody
from fitting.unknowns import State
from model.batches import take_rows


def hinges_of(body: SparseBody, forward: Forward) -> Tensor:
    """R_parent - R of every joint (B, J, 3, 3), without the parent for the root: how offsets move with a rest joint."""
    rotations = people_last(forward.rotations)
    hinges = rotations.index_select(0, body.parents) * body.not_root - rotations
    return hinges.movedim(-1, 0).contiguous()


def linear_columns(
    body: SparseBody, group: PointGroup, state: State, forward: Forward, rows: PointRows, hinges: Tensor
) -> list[Tensor]:
    """Columns of the coefficients (B, N, r, L), of the log head scale (B, N, r, 3) where that moves the group, and of
    the jaw (B, N, r, 3) where it moves the group at rest."""
    carried = hinges.index_select(1, group.carriers)
    if body.posed_head is not None and group.poses_head:
        own, moves = body.posed_head.columns(group, state, forward)
        out = _carried(group, state, rows, so3.product(carried, moves))
        _add_posed_head(body, group, state, forward, rows, own, out)
        return [out]
    moves = so3.product(carried, group.carrier_directions)
    head_directions = group.head_directions
    scale = forward.head_scale
    if group.scales:
        # Joints and points that scale with the head take (1 + share (s - 1)) of their move relative to the head joint.
        share = body.joints.head.index_select(0, group.carriers)[:, None, None] * scale[:, None, None]
        from_head = forward.joints_from_head.index_select(1, group.carriers)[:, :, None]
        grown = carried * (share - body.joints.head.index_select(0, group.carriers)[:, None, None])
        moves = moves + so3.product(grown, group.carrier_directions - head_directions)
        moves = torch.cat([moves, carried * share * from_head], -1)
    out = _carried(group, state, rows, moves)
    _add_own_moves(body, group, state, forward, rows, head_directions, out)
    return [out]


def _carried(group: PointGroup, state: State, rows: PointRows, moves: Tensor) -> Tensor:
    """What moves (B, A, 3, n) of the carriers do to the points in the image: (B, N, r, n)."""
    if group.num_outline:
        outline = group.outline_below.index_select(0, state.contour_bin)
        inner = group.below[group.num_outline :].expand(len(outline), -1, -1)
        below = torch.cat([outline, inner], 1)
    else:
        below = group.below
    moves = torch.matmul(below, moves.flatten(2)).unflatten(2, (3, -1))
    return rows.of_people_first(*moves.unbind(2))


def _add_posed_head(
    body: SparseBody,
    group: PointGroup,
    state: State,
    forward: Forward,
    rows: PointRows,
    moves: Tensor,
    out: Tensor,
) -> None:
    """Adds to `out` (B, N, r, n) what moves (B, N C, 3, n) of the points' own rest places do, while all joints stay."""
    C = len(group.directions)
    blended, weight = people_last(forward.blended[:, group.vertices]), body.points.corner[group.vertices]
    if C > 1:
        rows = take_rows(rows, torch.arange(len(blended), device=blended.device) // C)
    weight = weight.expand(len(moves), -1)
    if group.num_outline:
        outline = body.contour.corner.index_select(0, state.contour_bin)
        weight = torch.cat([outline, weight[:, C * group.num_outline :]], 1)
    projected = rows.of(*blended.unbind(1)).permute(3, 0, 1, 2) * weight[..., None, None]
    out += (projected @ moves).unflatten(1, (-1, C)).sum(2)


def _add_own_moves(
    body: SparseBody,
    group: PointGroup,
    state: State,
    forward: Forward,
    rows: PointRows,
    head_directions: Tensor,
    out: Tensor,
) -> None:
    """Adds to `out` (B, N, 2, L [+ 3]) what the points' own rest places do, while all joints stay."""
    C, L = len(group.directions), len(group.coefficients)
    blended = people_last(forward.blended[:, group.vertices])
    if C > 1:
        rows = take_rows(rows, torch.arange(len(blended), device=blended.device) // C)
    projected = rows.of(*blended.unbind(1))
    if not group.scales:
        _add_directions(out, projected.permute(3, 0, 1, 2).contiguous(), group, state)
        return
    bins = state.contour_bin
    head = body.points.head[group.vertices][:, None].expand(-1, len(bins))
    weight = body.points.corner[group.vertices][:, None].expand(-1, len(bins))
    if group.num_outline:
        head = torch.cat([people_last(body.contour.head.index_select(0, bins)), head[C * group.num_outline :]])
        weight = torch.cat([people_last(body.contour.corner.index_select(0, bins)), weight[C * group.num_outline :]])
    scale = people_last(forward.head_scale)
    grow = head[:, None, None] * (scale - 1)
    from_head = people_last(forward.from_head[:, group.vertices])
    sized = projected * (head * weight)[:, None, None] * (scale * from_head)[:, None]
    joint = (projected * (grow * weight[:, None, None])).unflatten(0, (-1, C)).sum(1).permute(3, 0, 1, 2)
    _add_directions(out, (projected * (1 + grow)).permute(3, 0, 1, 2).contiguous(), group, state)
    out[..., :L] -= joint @ head_directions
    out[..., L:] += sized.unflatten(0, (-1, C)).sum(1).permute(3, 0, 1, 2)


def _add_directions(out: Tensor, projected: Tensor, group: PointGroup, state: State) -> None:
    """Adds projected (B, N C, 2, 3) @ directions (N C, 3, L) to the first L columns of `out` (B, N, 2, ...)."""
    C, L = len(group.directions), len(group.coefficients)
    corners = projected.unflatten(1, (-1, C))
    fixed, inner = corners[:, group.num_outline :], out[:, group.num_outline :, :, :L]
    for corner in range(C):
        for axis in range(3):
            inner.addcmul_(fixed[:, :, corner, :, axis, None], group.directions[corner, axis, :, None])
    if group.num_outline:
        outline, first = corners[:, : group.num_outline], out[:, : group.num_outline, :, :L]
        table = group.outline_directions.index_select(0, state.contour_bin)
        for corner in range(C):
            for axis in range(3):
                first.addcmul_(outline[:, :, corner, :, axis, None], table[:, corner, axis, :, None])

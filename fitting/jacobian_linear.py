"""Columns of the keypoints' Jacobian for everything linear: shape, expression, surface offsets and the head scale.

A coefficient moves the rest places of joints and points. The joints' moves travel down the chain with the rotations,
the points' own are turned by their blended rotation; both are projected.

Legend: B people, N keypoints of a group, L coefficients of a group, C corners a keypoint, J 55 joints.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fitting import so3
from fitting.forward import Forward, people_last
from fitting.point_groups import PointGroup
from fitting.sparse_body import SparseBody
from fitting.unknowns import State
from model.body.skeleton import HEAD


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectionRows:
    """Projection of each point, with the people last: a row of the Jacobian is gain (w_x - ray_x w_z), and so for y."""

    ray_x: Tensor
    """(N, B) x / z."""
    ray_y: Tensor
    gain: Tensor
    """(N, B) focal length times the square root of the weight, over the depth."""

    def take(self, points: slice) -> "ProjectionRows":
        return ProjectionRows(ray_x=self.ray_x[points], ray_y=self.ray_y[points], gain=self.gain[points])

    def pick(self, index: Tensor) -> "ProjectionRows":
        return ProjectionRows(
            ray_x=self.ray_x.index_select(0, index),
            ray_y=self.ray_y.index_select(0, index),
            gain=self.gain.index_select(0, index),
        )

    def of(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Rows (N, 2, ..., B) of vectors whose components are (N, ..., B)."""
        extra = [1] * (x.dim() - 2)
        mu, nu, gain = (v.view(len(v), *extra, -1) for v in (self.ray_x, self.ray_y, self.gain))
        return torch.stack([(x - mu * z) * gain, (y - nu * z) * gain], 1)

    def of_turns(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Rows (N, 2, 3, B) of -P [v]x for vectors with components (N, B)."""
        mu, nu, gain = self.ray_x, self.ray_y, self.gain
        entries = [-mu * y, z + mu * x, -y, -nu * y - z, nu * x, x]
        return (torch.stack(entries, 1) * gain[:, None]).unflatten(1, (2, 3))


def hinges_of(body: SparseBody, forward: Forward) -> Tensor:
    """R_parent - R of every joint (B, J, 3, 3), without the parent for the root: how offsets move with a rest joint."""
    rotations = people_last(forward.rotations)
    hinges = rotations.index_select(0, body.parents) * body.not_root - rotations
    return hinges.movedim(-1, 0).contiguous()


def linear_columns(
    body: SparseBody, group: PointGroup, state: State, forward: Forward, rows: ProjectionRows, hinges: Tensor
) -> list[Tensor]:
    """Columns of the coefficients (B, N, 2, L), of the log head scale (B, N, 2, 3) where that moves the group, and of
    the jaw (B, N, 2, 3) where it moves the group at rest."""
    carried = hinges.index_select(1, group.carriers)
    if body.posed_head is not None and group.poses_head:
        own, moves = body.posed_head.columns(group, state, forward)
        out = _carried(group, state, rows, so3.product(carried, moves))
        _add_posed_head(body, group, state, forward, rows, own, out)
        return [out]
    moves = so3.product(carried, group.carrier_directions)
    head_directions = body.joints.directions[HEAD].index_select(1, group.coefficients)
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


def _carried(group: PointGroup, state: State, rows: ProjectionRows, moves: Tensor) -> Tensor:
    """What moves (B, A, 3, n) of the carriers do to the points in the image: (B, N, 2, n)."""
    if group.num_outline:
        outline = group.outline_below.index_select(0, state.contour_bin)
        inner = group.below[group.num_outline :].expand(len(outline), -1, -1)
        below = torch.cat([outline, inner], 1)
    else:
        below = group.below
    moves = torch.matmul(below, moves.flatten(2)).unflatten(2, (3, -1))
    mu, nu, gain = (value.T[..., None] for value in (rows.ray_x, rows.ray_y, rows.gain))
    x, y, z = moves.unbind(2)
    return torch.stack([(x - mu * z) * gain, (y - nu * z) * gain], 2)


def _add_posed_head(
    body: SparseBody,
    group: PointGroup,
    state: State,
    forward: Forward,
    rows: ProjectionRows,
    moves: Tensor,
    out: Tensor,
) -> None:
    """Adds to `out` (B, N, 2, n) what moves (B, N C, 3, n) of the points' own rest places do, while all joints stay."""
    C = len(group.directions)
    blended, weight = people_last(forward.blended[:, group.vertices]), body.points.corner[group.vertices]
    if C > 1:
        rows = rows.pick(torch.arange(len(blended), device=blended.device) // C)
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
    rows: ProjectionRows,
    head_directions: Tensor,
    out: Tensor,
) -> None:
    """Adds to `out` (B, N, 2, L [+ 3]) what the points' own rest places do, while all joints stay."""
    C, L = len(group.directions), len(group.coefficients)
    blended = people_last(forward.blended[:, group.vertices])
    if C > 1:
        rows = rows.pick(torch.arange(len(blended), device=blended.device) // C)
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

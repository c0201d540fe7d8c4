"""Closed-form derivative of the projected keypoints with respect to a step, group of keypoints by group.

A world-frame turn d of joint j, which sits at c, moves a point x below it by d x (x - c). With P the 2 x 3 derivative
of the projection, the two rows of that are

    P (d x (x - c)) = ( -P [x]x + P [c]x ) d  =  [-P [x]x | P] [I; [c]x] d

so the columns of all joints are one matrix product of a 6-vector a row, which is the point's, with a 6 x 3 block a
joint. Points of which only a part hangs below the joint get a small correction. Everything linear (shape, expression,
head scale) is pushed through the blended rotations.

Legend: B people, N keypoints of a group, r rows a keypoint (2 in an image), n columns of a group, C corners a keypoint,
J 55 joints, M sparse vertices.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from fitting import so3
from fitting.forward import Forward, people_last
from fitting.jacobian_linear import hinges_of, linear_columns
from fitting.point_groups import FINGERS, BlendedPairs, PointGroup
from fitting.point_rows import PointRows, ProjectionRows, rows_of
from fitting.products import table_product
from fitting.sparse_body import SparseBody
from fitting.unknowns import BODY, HAND_DIM, NUM_TURNED, Layout, State
from model.batches import take_rows
from model.imaging.camera import NEAR_M


def keypoint_jacobian(
    body: SparseBody, state: State, forward: Forward, ray_xy: Tensor, gain: Tensor, last_column: Tensor | None = None
) -> Iterator[Tensor]:
    """Derivative of gain * (x/z, y/z) of every keypoint, for each group of the body in turn: (B, N, 2, n).

    The columns of a group are those of `body.group_columns`.

    Args:
        body: tables.
        state: where to differentiate.
        forward: forward pass at the state.
        ray_xy: (B, 133, 2) x/z, y/z of the keypoints.
        gain: (B, 133) factor of each point's rows: focal length, and the square root of its weight.
        last_column: (B, 133, 2) values to put behind the columns of every group, such as residuals; None is nothing.
    """
    points = people_last(forward.points)
    depth = points[:, 2] + forward.translation[:, 2]
    # Points before the near plane are projected as if they were on it, so their depth does not move them.
    ray_x, ray_y = (torch.where(depth < NEAR_M, 0.0, people_last(value)) for value in ray_xy.unbind(-1))
    depth = depth.clamp(min=NEAR_M)
    rows = ProjectionRows(ray_x=ray_x, ray_y=ray_y, gain=people_last(gain) / depth)
    return point_jacobian(body, state, forward, rows, last_column)


def point_jacobian(
    body: SparseBody, state: State, forward: Forward, rows: PointRows, last_column: Tensor | None = None
) -> Iterator[Tensor]:
    """Derivative of the rows of every keypoint, for each group of the body in turn: (B, N, r, n).

    The columns of a group are those of `body.group_columns`.

    Args:
        body: tables.
        state: where to differentiate.
        forward: forward pass at the state.
        rows: of the 133 keypoints, linear in their motion in the camera frame.
        last_column: (B, 133, r) values to put behind the columns of every group, such as residuals; None is nothing.
    """
    twists = _twist_rows(rows, people_last(forward.points))
    turns, fingers = _turn_blocks(forward)
    bent = None if body.points.correctives is None else _corrective_features(forward)
    hinges = hinges_of(body, forward)
    for group in body.groups:
        own = rows_of(rows, group.points)
        twist = twists[:, group.points].flatten(1, 2)
        parts = [_turned(body, group, state, forward, own, twist, turns, bent)]
        parts += linear_columns(body, group, state, forward, own, hinges)
        if group.side is not None and body.layout.num_hand:
            parts.append(_fingered(body, group, state, forward, own, twist, fingers, bent))
        if last_column is not None:
            parts.append(last_column[:, group.points, :, None])
        yield torch.cat(parts, -1)


def dense(blocks: Iterable[Tensor], columns: list[Tensor], layout: Layout) -> Tensor:
    """The full matrix (B, 133, r, P) from the blocks of the groups."""
    parts = []
    for block, places in zip(blocks, columns, strict=True):
        full = block.new_zeros(*block.shape[:3], layout.size)
        full[..., places] = block
        parts.append(full)
    return torch.cat(parts, 1)


# --- turns ------------------------------------------------------------------------------------------------------------
def _twist_rows(rows: PointRows, points: Tensor) -> Tensor:
    """[-P [x]x | P] of every keypoint: (B, N, r, 6)."""
    both = torch.cat([rows.of_turns(*points.unbind(1)), rows.of_shifts()], 2)
    return both.permute(3, 0, 1, 2).contiguous()


def _turn_blocks(forward: Forward) -> tuple[Tensor, Tensor]:
    """[I; [c]x] of root, position, body and jaw (B, 6, 72), and of the finger joints (B, 6, 90).

    The position moves everything by d (translation) / d (x/z, y/z, log z) instead.
    """
    x, y, z = people_last(forward.joints).unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).unflatten(1, (3, 3))
    tx, ty, tz = forward.translation.unbind(1)
    none = zero[0]
    place = torch.stack([tz, none, tx, none, tz, ty, none, none, tz]).view(3, 3, -1)

    def columns(joints: slice) -> Tensor:
        return cross[joints].transpose(0, 1).flatten(1, 2)

    bottom = torch.cat([columns(slice(0, 1)), place, columns(slice(1, NUM_TURNED))], 1)
    eye = torch.eye(3, dtype=x.dtype, device=x.device)
    top = eye.repeat(1, NUM_TURNED + 1)
    top[:, BODY.start - 3 : BODY.start] = 0
    start, stop = FINGERS[0].start, FINGERS[1].stop
    bottom_fingers = columns(slice(start, stop))

    def block(top: Tensor, bottom: Tensor) -> Tensor:
        return torch.cat([top[..., None].expand_as(bottom), bottom]).permute(2, 0, 1).contiguous()

    return block(top, bottom), block(eye.repeat(1, stop - start), bottom_fingers)


def _turned(
    body: SparseBody,
    group: PointGroup,
    state: State,
    forward: Forward,
    rows: PointRows,
    twist: Tensor,
    turns: Tensor,
    bent: Tensor | None,
) -> Tensor:
    """Columns of position and turned joints (B, N, r, 3 + 3 T)."""
    block = (twist @ turns.index_select(2, group.turn_columns)).unflatten(1, (-1, rows.size))
    if group.num_outline:
        outline = group.outline_mask.index_select(0, state.contour_bin)
        block[:, : group.num_outline] *= outline[:, :, None]
        block[:, group.num_outline :] *= group.turn_mask[group.num_outline :, None]
    else:
        block *= group.turn_mask[:, None]
    for pairs in group.pairs:
        _correct_blended(block[..., 3:], group, pairs, state, forward, rows)
    if bent is not None:
        turned = group.turn_columns[3::3]
        joints = torch.where(turned < 3, 0, (turned - 3) // 3)
        block[..., 3:] += _corrective_rows(body, group, state, forward, rows, bent, joints)
    return block


def _correct_blended(
    block: Tensor, group: PointGroup, pairs: BlendedPairs, state: State, forward: Forward, rows: PointRows
) -> None:
    """Adds to columns (B, N, r, 3 T) what is wrong where only a part of a point hangs below a joint.

    The columns hold b (x - c) as the lever, b the share below. The true one is h - b c, h the part of the point that
    the joints below carry; the difference h - b x knows nothing of c.
    """
    skin, below = pairs.skin, pairs.below
    if below.dim() == 2:
        skin, below = skin.index_select(0, state.contour_bin), below.index_select(0, state.contour_bin)
    rotations = forward.rotations.index_select(1, pairs.joints).flatten(2)
    carriers = torch.cat([rotations, forward.offsets.index_select(1, pairs.joints)], -1)
    mixed = people_last(torch.matmul(skin.flatten(-3, -2), carriers))
    rest = people_last(forward.rest.index_select(1, pairs.vertex.flatten()))
    corners = so3.apply_last(mixed[:, :9].unflatten(1, (3, 3)), rest) + mixed[:, 9:]
    hanging = corners.unflatten(0, pairs.vertex.shape).sum(1)
    share = below[:, None, None] if below.dim() == 1 else people_last(below)[:, None]
    point = people_last(forward.points[:, group.points].index_select(1, pairs.point))
    missing = hanging - share * point
    extra = take_rows(rows, pairs.point).of_turns(*missing.unbind(1)).permute(3, 0, 1, 2)
    place = block.unflatten(-1, (-1, 3)).transpose(2, 3)
    place[:, pairs.point, pairs.slot] += extra


# --- fingers ----------------------------------------------------------------------------------------------------------
def _fingered(
    body: SparseBody,
    group: PointGroup,
    state: State,
    forward: Forward,
    rows: PointRows,
    twist: Tensor,
    fingers: Tensor,
    bent: Tensor | None,
) -> Tensor:
    """Columns of the hand's own coordinates (B, N, r, K): turns of its joints times how coordinates turn them."""
    assert group.side is not None
    side = slice(group.side * HAND_DIM, (group.side + 1) * HAND_DIM)
    block = (twist @ fingers[..., side]).unflatten(1, (-1, rows.size)) * group.finger_mask[:, None]
    for pairs in group.finger_pairs:
        _correct_blended(block, group, pairs, state, forward, rows)
    joints = FINGERS[group.side]
    if bent is not None:
        index = torch.arange(joints.start, joints.stop, device=block.device)
        block = block + _corrective_rows(body, group, state, forward, rows, bent, index)
    rotvec = forward.hand_rotvec[:, group.side].permute(2, 1, 0)
    jacobian = torch.stack(so3.right_jacobian_entries(*rotvec.unbind(0)), 1).unflatten(1, (3, 3))
    turn = so3.product_last(people_last(forward.rotations[:, joints]), jacobian).movedim(-1, 0).contiguous()
    directions = body.hands_components[group.side, : body.layout.num_hand].T.unflatten(0, (15, 3)).contiguous()
    return (block.flatten(1, 2) @ so3.product(turn, directions).flatten(1, 2)).unflatten(1, (-1, rows.size))


# --- pose correctives -------------------------------------------------------------------------------------------------
def _corrective_features(forward: Forward) -> Tensor:
    """How the corrective features (the local rotations of joints 1..54) change when a joint turns: (B, 54, 3, 9)."""
    axes = so3.skew(forward.rotations[:, 1:])
    return (forward.local[:, 1:, None] @ axes).flatten(-2)


def _corrective_rows(
    body: SparseBody,
    group: PointGroup,
    state: State,
    forward: Forward,
    rows: PointRows,
    features: Tensor,
    joints: Tensor,
) -> Tensor:
    """What the correctives of some joints (T,) add to the group's columns (B, N, r, 3 T); the root has none.

    Finger correctives are followed on the points of their own hand only.
    """
    assert body.points.correctives is not None
    assert body.contour.correctives is not None
    own = joints.clamp(min=1) - 1
    change = features.index_select(1, own) * (joints > 0)[:, None, None]
    table = body.points.correctives[group.vertices].unflatten(-1, (-1, 9)).index_select(2, own)
    C = table.shape[0] // group.num_points
    first = C * group.num_outline
    # Table (T, 3 M, 9) times (T, 9, 3 B).
    moved = table_product(table[first:].flatten(0, 1).transpose(0, 1), change.permute(1, 3, 2, 0).flatten(2))
    moved = moved.unflatten(2, (3, -1)).unflatten(1, (-1, 3)).permute(4, 1, 2, 0, 3)
    weight = body.points.corner[group.vertices][first:, None, None, None]
    moved = torch.einsum("bmdc,bmctk->bmdtk", forward.blended[:, group.vertices][:, first:], moved) * weight
    if group.num_outline:
        table = body.contour.correctives.index_select(0, state.contour_bin).unflatten(-1, (-1, 9)).index_select(3, own)
        outline = (table[..., None, :] * change[:, None, None]).sum(-1)
        weight = body.contour.corner.index_select(0, state.contour_bin)[..., None, None, None]
        blended = forward.blended[:, group.vertices][:, :first]
        outline = torch.einsum("bmdc,bmctk->bmdtk", blended, outline) * weight
        moved = torch.cat([outline, moved], 1)
    moved = moved.unflatten(1, (-1, C)).sum(2).flatten(3).permute(1, 2, 3, 0)
    return rows.of(*moved.unbind(1)).permute(3, 0, 1, 2)

"""Closed-form derivative of the projected keypoints with respect to a step.

A world-frame turn d of joint j moves a point by d x a, where the lever a is the point minus the joint; where the
skin of the point blends across the joint, a is the part of the point that hangs below the joint. Everything linear
(shape, expression, head scale) is pushed through the blended rotations.

Finger columns touch the 21 points of their own hand only, so they are kept apart: the Jacobian is one block over all
points and the common unknowns, and one small block a hand.

Legend: B people, N 133 keypoints, M sparse vertices, Pc common unknowns. The first axis of 2 is u, v.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fitting import so3
from fitting.parameters import BODY, HAND_DIM, JAW, NUM_TURNED, POSITION, ROOT, Layout, State
from fitting.sparse_body import HEAD, Forward, SparseBody
from model.body import skeleton

HAND_POINTS = (skeleton.LEFT_HAND, skeleton.RIGHT_HAND)
_FINGERS = (skeleton.SMPLX_LEFT_HAND, skeleton.SMPLX_RIGHT_HAND)


@dataclass(frozen=True, kw_only=True, slots=True)
class KeypointJacobian:
    """d (u, v) / d step in blocks."""

    common: Tensor
    """(B, 2, N, Pc) every point, all unknowns but the fingers."""
    hands: Tensor
    """(B, 2 [left, right], 2, 21, 45) the points of a hand, its own PCA coordinates."""

    def dense(self, layout: Layout) -> Tensor:
        """The full matrix (B, 2, N, P)."""
        B, _, N, _ = self.common.shape
        full = self.common.new_zeros(B, 2, N, layout.size)
        full[..., : layout.num_common] = self.common
        for side, points in enumerate(HAND_POINTS):
            full[:, :, points, layout.hand(side)] = self.hands[:, side]
        return full


def keypoint_jacobian(
    body: SparseBody, state: State, forward: Forward, ray_xy: Tensor, gain: Tensor
) -> KeypointJacobian:
    """Derivative of gain * (x/z, y/z) of every keypoint.

    Args:
        body: tables.
        state: where to differentiate.
        forward: forward pass at the state.
        ray_xy: (B, N, 2) x/z, y/z of the keypoints.
        gain: (B, N) factor of each point's rows: focal length, and the square root of its weight.
    """
    bins = state.contour_bin
    depth_gain = gain / forward.points_cam[..., 2].clamp(min=1e-3)
    levers, hand_levers = _levers(body, state, forward)
    turned = _turn_rows(levers, depth_gain[..., None], ray_xy[:, :, None])
    linear = body.to_keypoints(_linear_moves(body, state, forward), bins)
    layout = body.layout
    common = gain.new_empty(*gain.shape[:1], 2, gain.shape[1], layout.num_common)
    if body.points.correctives is not None:
        turned, hand_extra = _add_corrective_turns(body, state, forward, depth_gain, ray_xy, turned)
    else:
        hand_extra = None
    z = forward.translation[:, None, 2]
    for axis in range(2):
        rows, mu = common[:, axis], ray_xy[..., axis]
        rows[..., ROOT] = turned[axis][:, :, 0]
        rows[..., BODY] = turned[axis][:, :, 1:22].flatten(2)
        rows[..., JAW] = turned[axis][:, :, 22]
        place = rows[..., POSITION]
        place.zero_()
        place[..., axis] = depth_gain * z
        place[..., 2] = depth_gain * (forward.translation[:, None, axis] - mu * z)
        rows[..., layout.coefficients.start :] = depth_gain[..., None] * (
            linear[:, :, axis] - mu[..., None] * linear[:, :, 2]
        )
    return KeypointJacobian(
        common=common, hands=_hand_block(body, forward, hand_levers, depth_gain, ray_xy, hand_extra)
    )


def _levers(body: SparseBody, state: State, forward: Forward) -> tuple[Tensor, Tensor]:
    """Levers of root, body and jaw (B, N, 23, 3), and of the fingers (B, 2, 21, 15, 3)."""
    bins, placed, joints = state.contour_bin, forward.vertices, forward.joints
    below = body.with_outline(body.below.expand(len(bins), *body.below.shape), body.contour_below[bins])
    levers = below[..., None] * (placed[:, :, None] - joints[:, None, :NUM_TURNED])
    part = _hanging(body.pair_skin, forward, body.pair_vertex)
    of_body, vertex, joint = body.body_pair, body.pair_vertex, body.pair_joint
    v, j = vertex[of_body], joint[of_body]
    levers[:, v, j] = part[:, of_body] - body.below[v, j][:, None] * joints[:, j]
    if len(body.contour_pair_joint):
        v, j = body.contour_pair_vertex, body.contour_pair_joint
        hanging = _hanging(body.contour_pair_skin[bins], forward, v)
        levers[:, v, j] = hanging - below[:, v, j][..., None] * joints[:, j]
    hand_points = torch.stack([placed[:, vertices] for vertices in body.hand_vertices], 1)
    hand_joints = torch.stack([joints[:, fingers] for fingers in _FINGERS], 1)
    hand = body.hand_below[..., None] * (hand_points[:, :, :, None] - hand_joints[:, :, None])
    if len(body.hand_pairs):
        side, point, finger = body.hand_pairs.unbind(1)
        weight = body.hand_below[side, point, finger][:, None]
        hand[:, side, point, finger] = part[:, ~of_body] - weight * hand_joints[:, side, finger]
    return body.to_keypoints(levers, bins), hand


def _hanging(skin: Tensor, forward: Forward, vertex: Tensor) -> Tensor:
    """The part of each blended vertex that is carried by the joints of `skin` (Q, J) or (B, Q, J): (B, Q, 3)."""
    mixed = torch.matmul(skin, forward.transforms)
    return so3.apply(mixed[..., :9].unflatten(-1, (3, 3)), forward.rest[:, vertex]) + mixed[..., 9:]


def _turn_rows(lever: Tensor, gain: Tensor, ray_xy: Tensor) -> tuple[Tensor, Tensor]:
    """Projection rows of d x lever for the three components of d: two tensors (..., 3)."""
    x, y, z = lever.unbind(-1)
    mu, nu = ray_xy.unbind(-1)
    u = torch.stack([-mu * y, z + mu * x, -y], -1) * gain[..., None]
    v = torch.stack([-nu * y - z, nu * x, x], -1) * gain[..., None]
    return u, v


def _linear_moves(body: SparseBody, state: State, forward: Forward) -> Tensor:
    """Motion (B, M, 3, S + 3) of every sparse vertex with the coefficients and the log head scale."""
    bins, scale = state.contour_bin, forward.head_scale
    grow = (scale - 1)[:, None, :, None]
    of_head = body.joints.directions[HEAD]
    directions, head = body.per_row("directions", bins), body.per_row("head", bins)
    shape = directions + head[..., None, None] * grow * (directions - of_head)
    size = torch.diag_embed(scale[:, None] * head[..., None] * forward.from_head)
    vertex_moves = torch.cat([shape, size], -1)
    joint_head = body.joints.head[:, None, None]
    joint_shape = body.joints.directions + joint_head * grow * (body.joints.directions - of_head)
    joint_size = torch.diag_embed(scale[:, None] * body.joints.head[:, None] * forward.joints_from_head)
    joint_moves = torch.cat([joint_shape, joint_size], -1)
    bones = so3.product(forward.rotations[:, body.parents], joint_moves - joint_moves[:, body.parents])
    posed = torch.matmul(body.ancestors, (bones * body.not_root[..., None]).flatten(2)).unflatten(2, (3, -1))
    offsets = (posed - so3.product(forward.rotations, joint_moves)).flatten(2)
    return so3.product(forward.blended, vertex_moves) + body.blend(offsets, bins).unflatten(2, (3, -1))


def _hand_block(
    body: SparseBody, forward: Forward, levers: Tensor, depth_gain: Tensor, ray_xy: Tensor, extra: Tensor | None
) -> Tensor:
    """Finger columns (B, 2, 2, 21, 45): turns of the finger joints, chained with d (turn) / d (PCA coordinate)."""
    gain = torch.stack([depth_gain[:, points] for points in HAND_POINTS], 1)[..., None]
    rays = torch.stack([ray_xy[:, points] for points in HAND_POINTS], 1)[:, :, :, None]
    rows = torch.stack(_turn_rows(levers, gain, rays), 2).flatten(-2)
    if extra is not None:
        rows = rows + extra
    rotations = torch.stack([forward.rotations[:, fingers] for fingers in _FINGERS], 1)
    directions = body.hands_components.unflatten(-1, (15, 3)).permute(0, 2, 3, 1)
    turns = (rotations @ so3.right_jacobian(forward.hand_rotvec)) @ directions
    return rows @ turns.reshape(*turns.shape[:2], 1, 3 * 15, HAND_DIM)


def _add_corrective_turns(
    body: SparseBody,
    state: State,
    forward: Forward,
    depth_gain: Tensor,
    ray_xy: Tensor,
    turned: tuple[Tensor, Tensor],
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Adds what pose correctives do when a joint turns; returns the turned rows and the fingers' extra rows.

    Finger correctives are followed on the points of their own hand only.
    """
    bins = state.contour_bin
    table = body.per_row("correctives", bins).unflatten(-1, (54, 9))
    axes = so3.skew(forward.rotations[:, 1:])
    change = (forward.local[:, 1:, None] @ axes).flatten(-2)

    def rows(points: Tensor, blended: Tensor, joints: slice) -> Tensor:
        moved = torch.einsum("bmcjf,bjkf->bmcjk", points[..., joints, :], change[:, joints])
        return torch.einsum("bmcd,bmdjk->bmjck", blended, moved)

    def project(moved: Tensor, gain: Tensor, rays: Tensor) -> list[Tensor]:
        return [
            gain[..., None, None] * (moved[..., axis, :] - rays[..., axis, None, None] * moved[..., 2, :])
            for axis in range(2)
        ]

    moved = body.to_keypoints(rows(table, forward.blended, slice(0, NUM_TURNED - 1)), bins)
    extra = project(moved, depth_gain, ray_xy)
    for axis in range(2):
        turned[axis][:, :, 1:] += extra[axis]
    hands = []
    for vertices, points, fingers in zip(body.hand_vertices, HAND_POINTS, _FINGERS, strict=True):
        joints = slice(fingers.start - 1, fingers.stop - 1)
        moved = rows(table[:, vertices], forward.blended[:, vertices], joints)
        hands.append(torch.stack(project(moved, depth_gain[:, points], ray_xy[:, points]), 1).flatten(-2))
    return turned, torch.stack(hands, 1)

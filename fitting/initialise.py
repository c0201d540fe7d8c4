"""Where the refinement starts: place from linear least squares, a neutral body where the estimate is no good,
relaxed hands where they were not seen, head and wrists from the part estimators.

Frames: camera x right, y down, z forward, metres; rotations of parts are in the camera frame.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from fitting import so3
from fitting.inputs import Coarse
from fitting.priors import wrists_count
from fitting.products import length
from fitting.settings import RefineConfig
from fitting.sparse_body import SparseBody
from fitting.unknowns import State, own_parameters
from model.body import skeleton
from model.body.skeleton import ELBOWS, HEAD, NECK, SHOULDERS, SPINE, WRISTS
from model.imaging import camera
from model.imaging.camera import Camera

_DEG = math.pi / 180
_PART_SHARE = 0.3
"""Weight of face and hand points in the first translation: many points, little extent."""
_SOFTNESS_SIGMA = 12.0
_MIN_DEPTH_M = 0.3
_MIN_ALIKE = 0.5
"""Smallest ratio of the depth that shows a body best to the one that shows it as large as it is seen. The ratio is the
correlation of the body's points with their places in the image: where these are hardly alike, the body is turned
wrongly, and what shows it best is close to the camera or behind it."""
_START_DEPTH_M = 5.0
_STATED_FACTOR = 3.0
_SHOULDER_DROP_RAD = 1.0


def solve_translation(
    points_m: Tensor, keypoints_px: Tensor, precision: Tensor, view: Camera, rounds: int = 8
) -> Tensor:
    """Pelvis translation (B, 3) that best projects a fixed body, by reweighted linear least squares; before the camera.

    Args:
        points_m: (B, N, 3) keypoints of the body relative to the pelvis, in camera axes.
        keypoints_px: (B, N, 2).
        precision: (B, N) one over sigma in px, 0 where not seen.
        view: camera.
        rounds: reweighting rounds against outliers.
    """
    seen = precision > 0
    target = camera.from_pixels(torch.where(seen[..., None], keypoints_px, torch.zeros_like(keypoints_px)), view)
    part = torch.ones_like(precision)
    part[:, skeleton.FACE.start :] = _PART_SHARE
    base = precision * part
    weight = base
    translation = points_m.new_zeros(len(points_m), 3)
    translation[:, 2] = _START_DEPTH_M
    for _ in range(rounds):
        found = camera.fitted_translation(points_m, target, weight.square())
        sized = _translation_by_size(points_m, target, weight.square())
        is_turned = found[:, 2] < (_MIN_ALIKE * sized[:, 2]).clamp(min=_MIN_DEPTH_M)
        found = torch.where(is_turned[:, None], sized, found)
        translation = torch.where(torch.isfinite(found).all(1, keepdim=True), found, translation)
        error = length(camera.ray(points_m + translation[:, None]) - target)
        sigmas = error * view.focal_px[:, None] * precision
        weight = base / (1 + (sigmas / _SOFTNESS_SIGMA).square())
    return translation


def _translation_by_size(points_m: Tensor, ray_xy: Tensor, weight: Tensor) -> Tensor:
    """Translation (B, 3) that shows points (B, N, 3) as far apart as their places (B, N, 2), turned or not."""
    share = (weight / weight.sum(1, keepdim=True))[..., None]
    places = points_m[..., :2]
    place_mean, ray_mean = (share * places).sum(1), (share * ray_xy).sum(1)
    spread, seen_spread = (
        (share * (value - mean[:, None]).square()).sum((1, 2))
        for value, mean in ((places, place_mean), (ray_xy, ray_mean))
    )
    depth = (spread / seen_spread).sqrt().clamp(min=_MIN_DEPTH_M)[:, None]
    return torch.cat([depth * ray_mean - place_mean, depth], 1)


def shows_person(
    points_m: Tensor, translation_m: Tensor, keypoints_px: Tensor, precision: Tensor, view: Camera
) -> Tensor:
    """Whether a body that stands at a stated position (B, 3) is seen about where its keypoints are, (B,) bool.

    It may appear three times as large or as small as its keypoints, and off them by three times their extent. One that
    is behind the camera, or absurdly far away, is not.

    Args:
        points_m: (B, N, 3) keypoints of the body relative to the pelvis, in camera axes.
        translation_m: (B, 3) pelvis; zeros are no position.
        keypoints_px: (B, N, 2).
        precision: (B, N) 0 where not seen.
        view: cameras.
    """
    share = (precision > 0).to(points_m.dtype)[..., None]
    share = share / share.sum(1, keepdim=True).clamp(min=1)
    placed = points_m + translation_m[:, None]

    def spread(pixels: Tensor) -> tuple[Tensor, Tensor]:
        middle = (share * pixels).sum(1)
        return middle, (share * (pixels - middle[:, None]).square()).sum((1, 2)).sqrt()

    (middle, size), (seen_middle, seen_size) = spread(camera.project(placed, view)), spread(keypoints_px)
    before = ((placed[..., 2] > camera.NEAR_M) | (share[..., 0] == 0)).all(1)
    alike = (size < _STATED_FACTOR * seen_size) & (seen_size < _STATED_FACTOR * size)
    return before & alike & (length(middle - seen_middle) < _STATED_FACTOR * seen_size)


def neutral_body(count: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Standing people with lowered arms, turned by `count` equal steps of yaw; the first faces the camera.

    Returns:
        Root rotations (count, 3, 3) in the camera frame, and body pose (21, 3, 3).
    """
    yaw = torch.zeros(count, 3, dtype=dtype)
    yaw[:, 1] = torch.arange(count, dtype=dtype) * (2 * math.pi / count)
    upright = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=dtype))
    rotvec = torch.zeros(21, 3, dtype=dtype)
    for shoulder, drop_rad in zip(SHOULDERS, (-_SHOULDER_DROP_RAD, _SHOULDER_DROP_RAD), strict=True):
        rotvec[shoulder - 1, 2] = drop_rad
    return upright @ so3.exp(yaw), so3.exp(rotvec)


def with_head(body: SparseBody, state: State, head_orient: Tensor, use: Tensor, max_angle_rad: float) -> State:
    """Turns neck and head so that the head has the orientation (B, 3, 3) a face estimator saw, where `use` (B,) holds.

    The turn from chest to head is split 40 to 60 between neck and head.
    """
    rotations = body.global_rotations(body.local_rotations(state)[0])
    turn = so3.log(
        rotations[:, SPINE[-1]].transpose(-1, -2) @ torch.where(use[:, None, None], head_orient, rotations[:, HEAD])
    )
    turn = turn * (max_angle_rad / length(turn)[..., None].clamp(min=1e-9)).clamp(max=1.0)
    pose = state.body_pose.clone()
    pose[:, NECK - 1] = torch.where(use[:, None, None], so3.exp(0.4 * turn), pose[:, NECK - 1])
    pose[:, HEAD - 1] = torch.where(use[:, None, None], so3.exp(0.6 * turn), pose[:, HEAD - 1])
    return replace(state, body_pose=pose)


def with_wrists(
    body: SparseBody, state: State, wrist_orient: Tensor, use: Tensor, gate_rad: float, max_angle_rad: float
) -> State:
    """Takes wrists (B, 2, 3, 3) of a hand estimator where `use` (B, 2) holds and the body agrees within `gate_rad`."""
    rotations = body.global_rotations(body.local_rotations(state)[0])
    pose = state.body_pose.clone()
    for side in range(2):
        wanted = torch.where(use[:, side, None, None], wrist_orient[:, side], rotations[:, WRISTS[side]])
        agrees = use[:, side] & (so3.angle_between(rotations[:, WRISTS[side]], wanted) < gate_rad)
        local = so3.limit_angle(rotations[:, ELBOWS[side]].transpose(-1, -2) @ wanted, max_angle_rad)
        pose[:, WRISTS[side] - 1] = torch.where(agrees[:, None, None], local, pose[:, WRISTS[side] - 1])
    return replace(state, body_pose=pose)


def place(body: SparseBody, state: State, keypoints_px: Tensor, precision: Tensor, view: Camera) -> State:
    """The state moved to where its body best covers the keypoints, with the outline chosen for its head yaw."""
    state = replace(state, contour_bin=body.contour_bin(state))
    translation = solve_translation(body.forward(state).points, keypoints_px, precision, view)
    return replace(state, position=camera.transl_to_position(translation))


def start_state(model: SparseBody, coarse: Coarse, surface_offset_m: Tensor, config: RefineConfig) -> State:
    """The coarse estimates as a state at the origin; invalid hands relaxed, head and wrists from their estimators.

    Args:
        model: the body.
        coarse: part estimates, checked.
        surface_offset_m: (B, 6) from the joints to the hip and shoulder keypoints.
        config: settings.
    """
    count = len(coarse.global_orient)
    hands = model.hand_coordinates(coarse.hand_pose)
    hands = torch.where(coarse.hand_valid[..., None], hands, model.relaxed_hand.expand_as(hands))
    coefficients = linear_coefficients(
        model, coarse.betas, coarse.flame_expression, coarse.flame_shape, surface_offset_m
    )
    known = coarse.betas, coarse.flame_expression, coarse.flame_shape
    carried = None if model.carried is None else model.carried.of(*known)
    state = State(
        **own_parameters(coarse),
        hand_pca=hands,
        coefficients=coefficients,
        log_head_scale=coefficients.new_zeros(count, 3),
        position=coefficients.new_zeros(count, 3),
        contour_bin=torch.zeros(count, dtype=torch.int64, device=coefficients.device),
        carried=carried,
    )
    if coarse.head_orient is not None:
        use = coarse.face_valid & coarse.body_valid
        state = with_head(model, state, coarse.head_orient, use, config.head_limit_deg * _DEG)
    if coarse.wrist_orient is not None:
        use = wrists_count(coarse, config)
        gate, limit = config.wrist_gate_deg * _DEG, config.wrist_limit_deg * _DEG
        state = with_wrists(model, state, coarse.wrist_orient, use, gate, limit)
    return state


def linear_coefficients(
    model: SparseBody, betas: Tensor, expression: Tensor, shape: Tensor, surface_offset_m: Tensor | None = None
) -> Tensor:
    """Coefficients (B, S) of a state from those of the parts, each cut or padded with zeros to what the body has.

    Args:
        model: the body.
        betas: (B, any) SMPL-X shape.
        expression: (B, any) FLAME expression.
        shape: (B, any) FLAME shape.
        surface_offset_m: (6,) or (B, 6) from the joints to the hip and shoulder keypoints; None puts them together.
    """
    if surface_offset_m is None:
        surface_offset_m = betas.new_zeros(len(betas), 0)
    surface_offset_m = surface_offset_m.expand(len(betas), -1)
    parts = (betas, expression, shape, surface_offset_m)
    return torch.cat([_columns(part, count) for part, count in zip(parts, model.num_groups, strict=True)], 1)


def seen_from_behind(
    model: SparseBody,
    state: State,
    coarse: Coarse,
    keypoints_px: Tensor,
    precision: Tensor,
    view: Camera,
    max_angle_rad: float,
) -> Tensor:
    """People (B,) whose head faces away from the camera for all that is known before the fit.

    The coarse body must be valid, its head turned by more than the angle from the direction to the camera, and no valid
    face estimate may see the face. A face estimate without an orientation counts as seeing it.

    Args:
        model: the body.
        state: the start; where it stands does not matter.
        coarse: part estimates, checked.
        keypoints_px: (B, 133, 2); their mean gives the direction to the camera.
        precision: (B, 133) 0 for keypoints that were not seen.
        view: cameras.
        max_angle_rad: largest angle of a face that can be seen.
    """
    seen = (precision > 0).to(keypoints_px.dtype)[..., None]
    middle = (keypoints_px * seen).sum(1, keepdim=True) / seen.sum(1, keepdim=True).clamp(min=1)
    ray = torch.nn.functional.pad(camera.from_pixels(middle, view)[:, 0], (0, 1), value=1.0)
    to_camera = -ray / length(ray)[:, None]

    def is_away(head: Tensor) -> Tensor:
        return (head[:, :, 2] * to_camera).sum(1) < math.cos(max_angle_rad)

    away = is_away(model.global_rotations(model.local_rotations(state)[0])[:, HEAD]) & coarse.body_valid
    face_seen = coarse.face_valid if coarse.head_orient is None else coarse.face_valid & ~is_away(coarse.head_orient)
    return away & ~face_seen


def _columns(value: Tensor, count: int) -> Tensor:
    """The first `count` coefficients, padded with zeros."""
    out = value.new_zeros(len(value), count)
    have = min(count, value.shape[1])
    out[:, :have] = value[:, :have]
    return out

"""Synthetic people with known truth: poses, keypoints with noise, gaps and gross outliers, and coarse estimates with
the error that published estimators have. For tests, the calibration of the quality score, and benchmarks.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from fitting import so3
from fitting.hand_population import sample_hands
from fitting.inputs import Coarse, Observations
from fitting.sparse_body import SparseBody
from fitting.unknowns import State
from model.body import skeleton
from model.body.joint_limits import JOINT_LIMITS_RAD
from model.imaging import camera as pinhole
from model.imaging.camera import Camera

_DEG = math.pi / 180
_STATURE_M = 1.7
Offset: TypeAlias = tuple[float, float, float]
"""Metres to the side, up and forwards."""
Draw: TypeAlias = Callable[[float, float, tuple[int, ...]], np.ndarray]
"""Errors of a mean and a standard deviation, in a shape, as `numpy.random.Generator.normal` draws them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyConfig:
    """What the people and their estimates look like."""

    noise_px: tuple[float, float] = (1.0, 3.0)
    """Range of a person's keypoint noise, for a person 512 px tall."""
    outlier_share: float = 0.03
    """Share of keypoints that are 30-80 px off, at 512 px."""
    missing_share: float = 0.10
    """Share of keypoints that were not seen."""
    sigma_px: float = 2.0
    """Standard deviation stated for every keypoint, at 512 px."""
    body_error_deg: float = 5.5
    """Error of the coarse body joints, an axis (a mean angle of 8.8 degrees)."""
    root_error_deg: float = 5.0
    """The same for the root."""
    hand_error_deg: float = 9.4
    """The same for the fingers (15 degrees)."""
    yaw_deg: tuple[float, float] = (-60.0, 60.0)
    """Range of the direction people face; 180 is away from the camera."""
    head_scale: tuple[float, float] = (0.9, 1.3)
    """Range of the true head scale, an axis."""
    height_px: tuple[float, float] = (200.0, 800.0)
    """Range of a person's height."""
    focal_px: float = 1600.0
    """Focal length; the longer, the further away is somebody of the same height."""
    face_shape_sigma: float = 0.5
    """Standard deviation of the true FLAME shape."""
    wrong_joint_share: float = 0.0
    """Share of coarse body joints that are grossly wrong: turned by `wrong_joint_deg` about a random axis."""
    wrong_joint_deg: tuple[float, float] = (30.0, 70.0)
    """Range of that turn."""
    yaw_error_deg: float = 0.0
    """Standard deviation of an error of the coarse root about the vertical, on top of `root_error_deg`."""
    log_depth_error: float | None = None
    """Standard deviation of the logarithm of the stated pelvis depth; None states no position."""
    place_error_m: float = 0.03
    """Standard deviation of the stated pelvis position across the view, an axis; used where a depth is stated."""
    hip_offset_m: Offset = (0.0, 0.0, 0.0)
    """Where annotators put the left hip, from the joint: outwards, up, forwards in the pelvis frame; the right one is
    its mirror image. `clean_px` stays on the joint."""
    shoulder_offset_m: Offset = (0.0, 0.0, 0.0)
    """The same for the left shoulder, in the frame of its collar."""
    offset_spread: float = 0.0
    """Standard deviation of a person's factor on both offsets, about 1."""

    def __post_init__(self) -> None:
        for name in ("outlier_share", "missing_share", "wrong_joint_share"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ValueError(f"{name} is a share of 0..1, got {share}")


HARD_START = StudyConfig(wrong_joint_share=0.1, yaw_error_deg=25.0, log_depth_error=0.2)
"""Estimates that failed: a tenth of the joints 30-70 degrees off, the root 25 degrees in yaw, the depth 20 %."""
SURFACE_ANNOTATION = StudyConfig(hip_offset_m=(0.02, 0.04, 0.01), shoulder_offset_m=(0.01, 0.02, 0.0))
"""Hips (4.6 cm) and shoulders (2.2 cm) marked on the surface of the body, as in COCO, not on the joints of the model.
Directions (hips further out and up, shoulders on top) and lengths are assumptions of a plausible size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntheticPeople:
    """B people: the truth, and what a pipeline would know about them."""

    truth: State
    """True state."""
    observations: Observations
    """Keypoints."""
    coarse: Coarse
    """Part estimates."""
    camera: Camera
    """Cameras."""
    clean_px: Tensor
    """(B, 133, 2) keypoints of the true body, without noise and annotation offsets."""
    outlier: Tensor
    """(B, 133) bool: gross outliers."""
    height_px: Tensor
    """(B,)."""


def make_people(body: SparseBody, count: int, seed: int = 0, config: StudyConfig | None = None) -> SyntheticPeople:
    """Draws people; the same seed gives the same people.

    Gross errors of the coarse estimate and annotation offsets have a stream of their own: turning them on leaves the
    people, the noise and the ordinary errors as they are.
    """
    config = config or StudyConfig()
    rng, extra = np.random.default_rng(seed), np.random.default_rng([seed, 1])

    def tensor(array: object) -> Tensor:
        return torch.as_tensor(np.asarray(array), dtype=body.dtype)

    height_px = rng.uniform(*config.height_px, count)
    focal = np.full(count, config.focal_px)
    view = Camera(focal_px=tensor(focal), principal_px=tensor(np.tile([640.0, 480.0], (count, 1))))
    truth = _truth(body, count, rng, config, focal * _STATURE_M / height_px)
    posed = body.forward(truth)
    clean = pinhole.project(posed.points_cam, view)
    factor = 1 + config.offset_spread * extra.normal(0, 1, count)
    offset = annotation_offset_m(posed.rotations, config) * tensor(factor)[:, None, None]
    marked = pinhole.project(posed.points_cam + offset, view)

    noise, outlier, seen = draw_noise(height_px, rng, config)
    sigma = np.where(seen, (config.sigma_px * height_px / 512)[:, None], np.inf)
    return SyntheticPeople(
        truth=truth,
        observations=Observations(keypoints_px=marked + tensor(noise), sigma_px=tensor(sigma)),
        coarse=_with_gross_errors(draw_estimates(body, truth, rng.normal, config), truth, extra, config),
        camera=view,
        clean_px=clean,
        outlier=torch.as_tensor(outlier),
        height_px=tensor(height_px),
    )


def _pose(count: int, rng: np.random.Generator) -> np.ndarray:
    """Everyday body poses (count, 21, 3), axis-angle."""
    pose = rng.normal(0, 0.25, (count, 21, 3))
    of_joint = np.concatenate([np.zeros((count, 1, 3)), pose], 1)
    for joints, sigma in (
        (skeleton.SPINE, 0.1),
        ((*skeleton.FOOT_JOINTS, *skeleton.COLLARS), 0.06),
        ((skeleton.NECK, skeleton.HEAD), 0.17),
        (skeleton.ANKLES, 0.12),
        (skeleton.KNEES, 0.04),
    ):
        of_joint[:, joints] = rng.normal(0, sigma, (count, len(joints), 3))
    for hip, knee in zip(skeleton.HIPS, skeleton.KNEES, strict=True):
        of_joint[:, knee, 0] = np.abs(rng.normal(0, 0.6, count))
        of_joint[:, hip, 0] -= np.abs(rng.normal(0, 0.35, count))
    for elbow, sign in zip(skeleton.ELBOWS, (-1, 1), strict=True):
        of_joint[:, elbow] = rng.normal(0, 0.08, (count, 3))
        of_joint[:, elbow, 1] = sign * rng.uniform(0, 1.8, count)
    for shoulder, sign in zip(skeleton.SHOULDERS, (-1, 1), strict=True):
        of_joint[:, shoulder, 2] += rng.normal(0.8 * sign, 0.25, count)
    return np.clip(of_joint[:, 1:], JOINT_LIMITS_RAD[..., 0], JOINT_LIMITS_RAD[..., 1])


def _truth(body: SparseBody, count: int, rng: np.random.Generator, config: StudyConfig, depth: np.ndarray) -> State:
    def tensor(array: object) -> Tensor:
        return torch.as_tensor(np.asarray(array), dtype=body.dtype)

    yaw = np.zeros((count, 3))
    yaw[:, 1] = rng.uniform(*config.yaw_deg, count) * _DEG
    upright = torch.diag(tensor([1.0, -1.0, -1.0]))
    root = upright @ so3.exp(tensor(yaw)) @ so3.exp(tensor(rng.normal(0, 0.12, (count, 3))))
    jaw = np.stack([rng.uniform(0, 0.3, count), rng.normal(0, 0.03, count), rng.normal(0, 0.02, count)], 1)
    hands = so3.exp(tensor(sample_hands(body.tables.joints.rest, count, rng)))
    betas, expression, shape = body.num_groups[:3]
    drawn = rng.normal(0, 1, (count, betas + expression + shape))
    drawn[:, betas + expression :] *= config.face_shape_sigma
    # Further groups say how keypoints differ from the model; the truth has no such difference.
    coefficients = np.zeros((count, sum(body.num_groups)))
    coefficients[:, : drawn.shape[1]] = drawn
    place = np.stack([rng.uniform(-0.12, 0.12, count), rng.uniform(-0.06, 0.06, count), np.log(depth)], 1)
    eye = torch.eye(3, dtype=body.dtype)
    state = State(
        global_orient=root,
        body_pose=so3.exp(tensor(_pose(count, rng))),
        jaw_pose=so3.exp(tensor(jaw)),
        hand_pca=body.hand_coordinates(hands),
        coefficients=tensor(coefficients),
        log_head_scale=torch.log(tensor(rng.uniform(*config.head_scale, (count, 3)))),
        position=tensor(place),
        eye_pose=eye.expand(count, 2, 3, 3),
        eyelids=torch.zeros(count, 2, dtype=body.dtype),
        contour_bin=torch.zeros(count, dtype=torch.int64),
    )
    return replace(state, contour_bin=body.contour_bin(state))


def draw_noise(
    height_px: np.ndarray, rng: np.random.Generator, config: StudyConfig, noise: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors (B, 133, 2) of keypoints of people of a height (B,) in px, and which are gross and seen (B, 133); `noise`
    (B, 133, 2) of those that are not gross is drawn where it is not given."""
    count, zoom = len(height_px), height_px / 512
    if noise is None:
        noise = rng.normal(0, 1, (count, 133, 2)) * (rng.uniform(*config.noise_px, count) * zoom)[:, None, None]
    outlier = rng.random((count, 133)) < config.outlier_share
    angle, reach = rng.uniform(0, 2 * np.pi, (count, 133)), rng.uniform(30, 80, (count, 133)) * zoom[:, None]
    gross = np.stack([np.cos(angle), np.sin(angle)], -1) * reach[..., None]
    return np.where(outlier[..., None], gross, noise), outlier, rng.random((count, 133)) >= config.missing_share


def draw_estimates(body: SparseBody, truth: State, draw: Draw, config: StudyConfig) -> Coarse:
    """Estimates of body and hands of people, with the errors of published estimators, which `draw` draws."""
    count = len(truth.position)

    def error(sigma_deg: float, *shape: int) -> Tensor:
        return so3.exp(torch.as_tensor(draw(0, sigma_deg * _DEG, (count, *shape, 3)), dtype=body.dtype))

    hands = so3.exp(body.hand_rotvec(truth.hand_pca)) @ error(config.hand_error_deg, 2, 15)
    sigma = torch.full((count, skeleton.NUM_MAIN_JOINTS), config.body_error_deg * _DEG, dtype=body.dtype)
    sigma[:, 0] = 1.2 * config.root_error_deg * _DEG
    blank = Coarse.unknown(count, body.dtype)
    return replace(
        blank,
        global_orient=truth.global_orient @ error(config.root_error_deg),
        body_pose=truth.body_pose @ error(config.body_error_deg, 21),
        hand_pose=hands,
        body_valid=torch.ones(count, dtype=torch.bool),
        hand_valid=torch.ones(count, 2, dtype=torch.bool),
        face_valid=torch.ones(count, dtype=torch.bool),
        sigma_rad=sigma,
        hand_sigma_rad=torch.full((count, 2), config.hand_error_deg * _DEG, dtype=body.dtype),
    )


def _with_gross_errors(coarse: Coarse, truth: State, rng: np.random.Generator, config: StudyConfig) -> Coarse:
    """The estimate with failures that its stated sigmas know nothing of."""
    count, dtype = len(truth.position), truth.dtype

    def tensor(array: object) -> Tensor:
        return torch.as_tensor(np.asarray(array), dtype=dtype)

    axis = rng.normal(0, 1, (count, 21, 3))
    angle = rng.uniform(*config.wrong_joint_deg, (count, 21, 1)) * _DEG
    wrong = rng.random((count, 21, 1)) < config.wrong_joint_share
    turn = np.where(wrong, axis / np.linalg.norm(axis, axis=-1, keepdims=True) * angle, 0)
    yaw = np.zeros((count, 3))
    yaw[:, 1] = rng.normal(0, config.yaw_error_deg * _DEG, count)
    # Multiplied from the left: about the vertical of the camera, whatever the tilt of the person.
    coarse = replace(
        coarse,
        body_pose=coarse.body_pose @ so3.exp(tensor(turn)),
        global_orient=so3.exp(tensor(yaw)) @ coarse.global_orient,
    )
    if config.log_depth_error is None:
        return coarse
    depth = torch.exp(truth.position[:, 2:])
    position = torch.cat(
        [
            truth.position[:, :2] + tensor(rng.normal(0, config.place_error_m, (count, 2))) / depth,
            truth.position[:, 2:] + tensor(rng.normal(0, config.log_depth_error, (count, 1))),
        ],
        1,
    )
    return replace(coarse, transl_m=pinhole.position_to_transl(position))


def annotation_offset_m(rotations: Tensor, config: StudyConfig) -> Tensor:
    """How far annotators mark hips and shoulders from the joints of the model: (B, 133, 3), camera frame.

    Args:
        rotations: (B, J, 3, 3) joint rotations of the posed bodies in the camera frame.
        config: the offsets in the frames of the pelvis and of the collars.
    """
    offset = rotations.new_zeros(len(rotations), skeleton.NUM_KEYPOINTS, 3)
    for keypoint, joint in skeleton.KEYPOINT_JOINT.items():
        name = skeleton.SMPLX_JOINT_NAMES[joint]
        if not name.endswith(("_hip", "_shoulder")):
            continue
        own = config.hip_offset_m if name.endswith("_hip") else config.shoulder_offset_m
        side = 1.0 if name.startswith("left") else -1.0
        local = rotations.new_tensor([side * own[0], own[1], own[2]])
        offset[:, keypoint] = rotations[:, skeleton.SMPLX_PARENTS[joint]] @ local
    return offset


def keep_keypoints(observations: Observations, keep: list[slice]) -> Observations:
    """The observations with only some ranges of keypoints seen."""
    mask = torch.zeros(skeleton.NUM_KEYPOINTS, dtype=torch.bool)
    for part in keep:
        mask[part] = True
    return replace(
        observations,
        sigma_px=torch.where(mask, observations.sigma_px, torch.full_like(observations.sigma_px, torch.inf)),
    )

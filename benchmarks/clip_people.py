"""Synthetic people who move: smooth paths through the poses of `benchmarks.synthetic_people`, with errors that last.

Rows are frames, clip after clip. A path is a cubic spline through poses drawn every so many frames: 8 is lively, 20 is
everyday, 50 is slow. Half of the variance of the keypoint noise, and the errors of the estimates, fade by a tenth a
frame, as those of networks do: errors that are new in every frame would flatter any smoothing.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from benchmarks.synthetic_people import StudyConfig, make_people
from fitting import so3
from fitting.clips.inputs import Clips
from fitting.inputs import Coarse, Observations
from fitting.prepare import face_keypoints
from fitting.sparse_body import SparseBody
from fitting.unknowns import State
from model.body import skeleton
from model.imaging import camera as pinhole
from model.imaging.camera import Camera

_DEG = math.pi / 180
_LASTING = 0.9
"""Share of a lasting error that is left after a frame."""
RATE = 30.0
"""Frames a second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipPeople:
    """S clips of F frames, S F rows."""

    truth: State
    """True states."""
    observations: Observations
    """Keypoints."""
    coarse: Coarse
    """Part estimates."""
    camera: Camera
    """Of each row."""
    clips: Clips
    """Which rows are a clip, and when they were taken."""
    height_px: Tensor
    """(S F) of the people."""


def draw_motion(
    body: SparseBody, count: int, frames: int, *, seed: int, spacing: int = 20, config: StudyConfig | None = None
) -> tuple[State, Tensor]:
    """True states (S F) of people who move, and their height (S F) in px.

    Args:
        body: the body.
        count: S.
        frames: F.
        seed: of the draw.
        spacing: frames from one drawn pose to the next.
        config: what the people look like.
    """
    number = max(4, math.ceil((frames - 1) / spacing) + 1)
    drawn = make_people(body, count * number, seed, config)
    rng = np.random.default_rng([seed, 3])
    keys, first = drawn.truth, torch.arange(count) * number
    key_time, time = np.arange(number) * spacing, np.arange(frames)

    def path(values: Tensor) -> Tensor:
        by_clip = values.double().unflatten(0, (count, number)).numpy()
        moved = CubicSpline(key_time, by_clip, axis=1, bc_type="natural")(time)
        return torch.from_numpy(moved).flatten(0, 1).to(body.dtype)

    def turns(rotation: Tensor) -> Tensor:
        return so3.exp(path(so3.log(rotation)))

    def of_first(values: Tensor) -> Tensor:
        return values[first].repeat_interleave(number, 0)

    root = of_first(keys.global_orient)
    position = keys.position.clone()
    position[:, :2] = 0.3 * of_first(position)[:, :2] + 0.5 * position[:, :2]
    position[:, 2] = of_first(keys.position)[:, 2] + torch.from_numpy(rng.normal(0, 0.06, count * number)).to(position)
    coefficients = keys.coefficients.clone()
    betas, expression, shape, _ = body.num_groups
    for group in (slice(0, betas), slice(betas + expression, betas + expression + shape)):
        coefficients[:, group] = of_first(coefficients)[:, group]
    everyone = count * frames
    state = State(
        global_orient=root[:1].new_zeros(0, 3, 3),
        body_pose=turns(keys.body_pose),
        jaw_pose=turns(keys.jaw_pose),
        hand_pca=path(keys.hand_pca),
        coefficients=path(coefficients),
        log_head_scale=keys.log_head_scale[first].repeat_interleave(frames, 0),
        position=path(position),
        eye_pose=torch.eye(3, dtype=body.dtype).expand(everyone, 2, 3, 3),
        eyelids=torch.zeros(everyone, 2, dtype=body.dtype),
        contour_bin=torch.zeros(everyone, dtype=torch.int64),
    )
    turned = path(0.6 * so3.log(root.transpose(-1, -2) @ keys.global_orient))
    state = replace(state, global_orient=keys.global_orient[first].repeat_interleave(frames, 0) @ so3.exp(turned))
    state = replace(state, contour_bin=body.contour_bin(state))
    return state, drawn.height_px[first].repeat_interleave(frames)


def lasting(rng: np.random.Generator, count: int, frames: int, shape: tuple[int, ...], share: float) -> np.ndarray:
    """Errors (S F, ...) of unit variance; `share` is left after a frame."""
    drawn = rng.normal(0, 1, (count, frames, *shape))
    drawn[:, 1:] *= math.sqrt(1 - share**2)
    for frame in range(1, frames):
        drawn[:, frame] += share * drawn[:, frame - 1]
    return drawn.reshape(count * frames, *shape)


def make_clips(
    body: SparseBody,
    count: int,
    frames: int,
    *,
    seed: int = 0,
    spacing: int = 20,
    gaps: tuple[tuple[int, int], ...] = (),
    hand_gaps: tuple[tuple[int, int, int], ...] = (),
    config: StudyConfig | None = None,
) -> ClipPeople:
    """Draws clips.

    Args:
        body: the body.
        count: number of clips.
        frames: of each.
        seed: of the draw.
        spacing: frames from one drawn pose to the next.
        gaps: first frame and number of frames without anybody.
        hand_gaps: first frame, number of frames, and the hand (0 left, 1 right) that is not seen.
        config: what the people and their estimates look like.
    """
    config = config or StudyConfig()
    truth, height = draw_motion(body, count, frames, seed=seed, spacing=spacing, config=config)
    rng, total = np.random.default_rng([seed, 21]), count * frames

    def tensor(array: object) -> Tensor:
        return torch.as_tensor(np.asarray(array), dtype=body.dtype)

    camera = Camera(
        focal_px=tensor(np.full(total, config.focal_px)), principal_px=tensor(np.tile([640.0, 480.0], (total, 1)))
    )
    clean = pinhole.project(body.forward(truth).points_cam, camera)
    zoom = height.numpy() / 512
    size = np.repeat(rng.uniform(*config.noise_px, count), frames) * zoom
    noise = math.sqrt(0.5) * rng.normal(0, 1, (total, 133, 2)) + math.sqrt(0.5) * lasting(
        rng, count, frames, (133, 2), _LASTING
    )
    noise *= size[:, None, None]
    outlier = rng.random((total, 133)) < config.outlier_share
    angle, reach = rng.uniform(0, 2 * np.pi, (total, 133)), rng.uniform(30, 80, (total, 133)) * zoom[:, None]
    gross = np.stack([np.cos(angle), np.sin(angle)], -1) * reach[..., None]
    noise = np.where(outlier[..., None], gross, noise)
    seen = torch.from_numpy(rng.random((total, 133)) >= config.missing_share)
    gone = torch.zeros(count, frames, dtype=torch.bool)
    hidden = torch.zeros(count, frames, 2, dtype=torch.bool)
    for start, length in gaps:
        gone[:, start : start + length] = True
    for start, length, side in hand_gaps:
        hidden[:, start : start + length, side] = True
    gone, hidden = gone.flatten(), hidden.flatten(0, 1) | gone.flatten()[:, None]
    head = body.global_rotations(body.local_rotations(truth)[0])[:, skeleton.HEAD]
    behind = -head[:, 2, 2] < math.cos(100 * _DEG)
    seen &= ~(behind[:, None] & face_keypoints(seen.device)) & ~gone[:, None]
    for side, hand in enumerate(skeleton.HANDS):
        seen[:, hand] &= ~hidden[:, side, None]
    sigma = torch.where(seen, (config.sigma_px * height / 512)[:, None], torch.inf)
    return ClipPeople(
        truth=truth,
        observations=Observations(keypoints_px=clean + tensor(noise), sigma_px=sigma),
        coarse=_estimates(body, truth, count, frames, np.random.default_rng([seed, 22]), config, gone, hidden),
        camera=camera,
        clips=Clips(
            clip=torch.arange(count).repeat_interleave(frames),
            time_s=torch.arange(frames, dtype=torch.float64).repeat(count) / RATE,
        ),
        height_px=height,
    )


def _estimates(
    body: SparseBody,
    truth: State,
    count: int,
    frames: int,
    rng: np.random.Generator,
    config: StudyConfig,
    gone: Tensor,
    hidden: Tensor,
) -> Coarse:
    """Estimates with lasting errors; none of frames that are gone (S F,) and of hands that are hidden (S F, 2)."""
    total = count * frames

    def drawn(*shape: int) -> Tensor:
        return torch.as_tensor(lasting(rng, count, frames, shape, _LASTING), dtype=body.dtype)

    def error(sigma_deg: float, *shape: int) -> Tensor:
        return so3.exp(drawn(*shape, 3) * (sigma_deg * _DEG))

    sigma = torch.full((total, skeleton.NUM_MAIN_JOINTS), config.body_error_deg * _DEG, dtype=body.dtype)
    sigma[:, 0] = 1.2 * config.root_error_deg * _DEG
    hands = so3.exp(body.hand_rotvec(truth.hand_pca)) @ error(config.hand_error_deg, 2, 15)
    depth = torch.exp(truth.position[:, 2:])
    place = torch.cat(
        [
            truth.position[:, :2] + config.place_error_m * drawn(2) / depth,
            truth.position[:, 2:] + (config.log_depth_error or 0.07) * drawn(1),
        ],
        1,
    )
    return replace(
        Coarse.unknown(total, body.dtype),
        global_orient=truth.global_orient @ error(config.root_error_deg),
        body_pose=truth.body_pose @ error(config.body_error_deg, 21),
        hand_pose=hands,
        body_valid=~gone,
        hand_valid=~hidden,
        face_valid=~gone,
        sigma_rad=sigma,
        hand_sigma_rad=torch.full((total, 2), config.hand_error_deg * _DEG, dtype=body.dtype),
        transl_m=torch.where(gone[:, None], torch.nan, pinhole.position_to_transl(place)),
    )

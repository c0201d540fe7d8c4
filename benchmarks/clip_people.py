"""Synthetic people who move: smooth paths through the poses of `benchmarks.synthetic_people`, with errors that last.

Rows are frames, clip after clip. A path is a cubic spline through poses drawn every so many frames: 8 is lively, 20 is
everyday, 50 is slow. Half of the variance of the keypoint noise, and the errors of the estimates, fade by a tenth a
frame, as those of networks do: errors that are new in every frame would flatter any smoothing.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from benchmarks.rig_people import RigPeople, from_behind, in_camera, ring
from benchmarks.synthetic_people import StudyConfig, draw_estimates, draw_noise, make_people
from fitting import so3
from fitting.clips.inputs import Clips
from fitting.inputs import Coarse, Observations
from fitting.prepare import face_keypoints
from fitting.rigs.inputs import Rig
from fitting.sparse_body import SparseBody
from fitting.unknowns import State
from model.batches import cat_rows, map_tensors, take_rows
from model.body import skeleton
from model.imaging import camera as pinhole
from model.imaging.camera import Camera
from tasks.synthetic.paths import RATE_HZ, path_through

_LASTING = 0.9
"""Share of a lasting error that is left after a frame."""
_DEPTH_ERROR = 0.07
"""Standard deviation of the logarithm of the stated depth."""


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

    def path(values: Tensor) -> Tensor:
        by_clip = values.double().unflatten(0, (count, number)).numpy()
        return torch.from_numpy(path_through(by_clip, spacing, frames, axis=1)).flatten(0, 1).to(body.dtype)

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


class Lasting:
    """Draws errors of S clips of F frames of which a share is left after a frame."""

    def __init__(self, rng: np.random.Generator, count: int, frames: int):
        """S and F."""
        self.rng, self.count, self.frames = rng, count, frames

    def normal(self, mean: float, sigma: float, shape: tuple[int, ...]) -> np.ndarray:
        """Of a shape (S F, ...), as `numpy.random.Generator.normal`."""
        drawn = self.rng.normal(0, sigma, shape).reshape(self.count, self.frames, *shape[1:])
        drawn[:, 1:] *= math.sqrt(1 - _LASTING**2)
        for frame in range(1, self.frames):
            drawn[:, frame] += _LASTING * drawn[:, frame - 1]
        return mean + drawn.reshape(shape)


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
    total, camera = count * frames, _camera(body, count * frames, config)
    keypoints_px, seen = _keypoints(body, truth, height, np.random.default_rng([seed, 21]), count, config)
    gone = torch.zeros(count, frames, dtype=torch.bool)
    hidden = torch.zeros(count, frames, 2, dtype=torch.bool)
    for start, length in gaps:
        gone[:, start : start + length] = True
    for start, length, side in hand_gaps:
        hidden[:, start : start + length, side] = True
    gone, hidden = gone.flatten(), hidden.flatten(0, 1) | gone.flatten()[:, None]
    seen &= ~gone[:, None]
    for side, hand in enumerate(skeleton.HANDS):
        seen[:, hand] &= ~hidden[:, side, None]
    sigma = torch.where(seen, (config.sigma_px * height / 512)[:, None], torch.inf)
    lasting = Lasting(np.random.default_rng([seed, 22]), count, frames)
    coarse = draw_estimates(body, truth, lasting.normal, config)

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(truth.position)

    depth = torch.exp(truth.position[:, 2:])
    across = truth.position[:, :2] + tensor(lasting.normal(0, config.place_error_m, (total, 2))) / depth
    along = truth.position[:, 2:] + tensor(lasting.normal(0, config.log_depth_error or _DEPTH_ERROR, (total, 1)))
    place = pinhole.position_to_transl(torch.cat([across, along], 1))
    return ClipPeople(
        truth=truth,
        observations=Observations(keypoints_px=keypoints_px, sigma_px=sigma),
        coarse=replace(
            coarse,
            body_valid=~gone,
            hand_valid=~hidden,
            face_valid=~gone,
            transl_m=torch.where(gone[:, None], torch.nan, place),
        ),
        camera=camera,
        clips=Clips(
            clip=torch.arange(count).repeat_interleave(frames),
            time_s=torch.arange(frames, dtype=torch.float64).repeat(count) / RATE_HZ,
        ),
    )


LEGS = slice(skeleton.KEYPOINT_NAMES.index("left_knee"), skeleton.FEET.stop)
"""Keypoints of knees, ankles and feet."""
EVERYTHING = slice(0, skeleton.NUM_KEYPOINTS)


def with_sides_swapped(people: ClipPeople, rows: Tensor, points: slice) -> ClipPeople:
    """The same people with some of the keypoints of left and right taken for each other in some rows."""
    own = torch.arange(skeleton.NUM_KEYPOINTS)[points]
    other, seen = torch.tensor(skeleton.KEYPOINT_FLIP)[own], people.observations
    swapped = map_tensors(seen, torch.clone)
    swapped.keypoints_px[rows[:, None], own] = seen.keypoints_px[rows[:, None], other]
    swapped.sigma_px[rows[:, None], own] = seen.sigma_px[rows[:, None], other]
    return replace(people, observations=swapped)


def make_predictions(body: SparseBody, people: ClipPeople, count: int, *, seed: int) -> State:
    """What a regressor may say of each frame of S clips: bodies and hands as estimators do, and more besides.

    Half of the variance of every error lasts.
    """
    truth, rng = people.truth, np.random.default_rng([seed, 41])
    total = len(truth.position)
    lasting = Lasting(rng, count, total // count)

    def draw(mean: float, sigma: float, shape: tuple[int, ...]) -> np.ndarray:
        both = lasting.normal(0, sigma, shape) + rng.normal(0, sigma, shape)
        return mean + math.sqrt(0.5) * both

    def error(sigma: float, like: Tensor) -> Tensor:
        return torch.from_numpy(draw(0, sigma, tuple(like.shape))).to(like)

    coarse = draw_estimates(body, truth, draw, StudyConfig())
    place = torch.cat([error(0.015, truth.position[:, :2]) / torch.exp(truth.position[:, 2:]),
                       error(_DEPTH_ERROR, truth.position[:, 2:])], 1)  # fmt: skip
    used = slice(0, sum(body.num_groups[:3]))
    coefficients = truth.coefficients.clone()
    coefficients[:, used] += error(0.5, coefficients[:, used])
    state = replace(
        truth,
        global_orient=coarse.global_orient,
        body_pose=coarse.body_pose,
        hand_pca=body.hand_coordinates(coarse.hand_pose),
        position=truth.position + place,
        coefficients=coefficients,
        log_head_scale=truth.log_head_scale + error(0.05, truth.log_head_scale),
    )
    return replace(state, contour_bin=body.contour_bin(state))


def make_view_clips(
    body: SparseBody, count: int, frames: int, num_views: int, *, seed: int = 0, config: StudyConfig | None = None
) -> tuple[RigPeople, Tensor]:
    """Draws clips seen by rings of V cameras, and the clip of each row: S F V, views of a frame together.

    Every clip has a ring of its own, about the middle of the first frame; estimates of every view have errors of their
    own.
    """
    config = config or StudyConfig()
    truth, height = draw_motion(body, count, frames, seed=seed, config=config)
    total, first = count * frames, torch.arange(count) * frames
    camera, rng = _camera(body, total, config), np.random.default_rng([seed, num_views, 31])
    ring_of_clip = ring(pinhole.position_to_transl(truth.position[first]), num_views, 360.0, rng)
    rotation, shift = (part.repeat_interleave(frames, 0) for part in ring_of_clip)
    rows = []
    for view in range(num_views):
        own = in_camera(body, truth, rotation[:, view].to(body.dtype), shift[:, view].to(body.dtype))
        keypoints_px, seen = _keypoints(body, own, height, rng, count, config)
        sigma = torch.where(seen, (config.sigma_px * height / 512)[:, None], torch.inf)
        coarse = draw_estimates(body, own, Lasting(rng, count, frames).normal, config)
        rows.append((own, Observations(keypoints_px=keypoints_px, sigma_px=sigma), coarse, camera, height))
    order = torch.arange(total * num_views).view(num_views, total).T.flatten()
    truth, observations, coarse, camera, height = take_rows(cat_rows(rows), order)
    clip = torch.arange(count).repeat_interleave(frames * num_views)
    rig = Rig(
        rotation=rotation.flatten(0, 1),
        translation_m=shift.flatten(0, 1),
        moment=torch.arange(total).repeat_interleave(num_views),
        time_s=(torch.arange(frames, dtype=torch.float64) / RATE_HZ).repeat(count).repeat_interleave(num_views),
        camera_index=clip * num_views + torch.arange(num_views).repeat(total),
    )
    people = RigPeople(truth=truth, observations=observations, coarse=coarse, camera=camera, rig=rig, height_px=height)
    return people, clip


def _camera(body: SparseBody, count: int, config: StudyConfig) -> Camera:
    focal = torch.full((count,), config.focal_px, dtype=body.dtype)
    return Camera(focal_px=focal, principal_px=focal.new_tensor([640.0, 480.0]).expand(count, 2))


def _keypoints(
    body: SparseBody, truth: State, height_px: Tensor, rng: np.random.Generator, count: int, config: StudyConfig
) -> tuple[Tensor, Tensor]:
    """Keypoints (S F, 133, 2) with noise of which a half lasts, and which are seen (S F, 133)."""
    total = len(height_px)
    clean = pinhole.project(body.forward(truth).points_cam, _camera(body, total, config))
    size = np.repeat(rng.uniform(*config.noise_px, count), total // count) * height_px.numpy() / 512
    new, old = rng.normal(0, 1, (total, 133, 2)), Lasting(rng, count, total // count).normal(0, 1, (total, 133, 2))
    noise = math.sqrt(0.5) * (new + old) * size[:, None, None]
    noise, _, seen = draw_noise(height_px.numpy(), rng, config, noise)
    hidden = from_behind(body, truth)[:, None] & face_keypoints(clean.device)
    return clean + torch.from_numpy(noise).to(clean), torch.from_numpy(seen) & ~hidden

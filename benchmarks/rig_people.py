"""Synthetic people seen by a ring of calibrated cameras: what `benchmarks.synthetic_people` draws, through more views.

Rows are views, moment after moment. Estimates of a view have errors of their own; a head turned from a camera shows it
no face.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from benchmarks.synthetic_people import StudyConfig, SyntheticPeople, draw_estimates, draw_noise, make_people
from fitting import so3
from fitting.inputs import Coarse, Observations
from fitting.prepare import face_keypoints
from fitting.rigs.inputs import Rig
from fitting.sparse_body import SparseBody
from fitting.unknowns import State
from model.batches import cat_rows, take_rows
from model.body import skeleton
from model.imaging import camera as pinhole
from model.imaging.camera import Camera

_DEG = math.pi / 180
_BACK_DEG = 100.0
"""Turn of a head from the camera beyond which no face is seen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RigPeople:
    """M moments of V views, M V rows."""

    truth: State
    """(M V) true states in the frame of each row's camera."""
    observations: Observations
    """Keypoints of each row."""
    coarse: Coarse
    """Estimates of each row."""
    camera: Camera
    """Of each row."""
    rig: Rig
    """True extrinsics."""
    height_px: Tensor
    """(M V) of the people."""

    def take_rows(self, index: Tensor) -> "RigPeople":
        """Some of the rows."""
        return take_rows(self, index)


def in_camera(body: SparseBody, state: State, rotation: Tensor, shift_m: Tensor) -> State:
    """States (B) in the frames that rotations (B, 3, 3) and shifts (B, 3) lead to."""
    pelvis = (rotation @ pinhole.position_to_transl(state.position)[..., None]).squeeze(-1) + shift_m
    state = replace(state, global_orient=rotation @ state.global_orient, position=pinhole.transl_to_position(pelvis))
    return replace(state, contour_bin=body.contour_bin(state))


def ring(middle_m: Tensor, num_views: int, arc_deg: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Rotations (M, V, 3, 3) and shifts (M, V, 3) from the first camera of each moment to all of its cameras.

    The cameras stand on an arc about the middles (M, 3), at their distance from the first, up to 15 degrees higher or
    lower and 5 degrees off their places.
    """
    count, every = len(middle_m), []
    step = arc_deg / num_views if arc_deg >= 360 else arc_deg / max(num_views - 1, 1)
    for view in range(num_views):
        yaw, tilt = np.zeros((count, 3)), np.zeros((count, 3))
        if view:
            yaw[:, 1] = (view * step + rng.normal(0, 5, count)) * _DEG
            tilt[:, 0] = rng.uniform(-15, 15, count) * _DEG
        every.append(so3.exp(torch.from_numpy(tilt)) @ so3.exp(torch.from_numpy(yaw)))
    rotation = torch.stack(every, 1)
    middle = middle_m.double()[:, None]
    return rotation, middle - (rotation @ middle[..., None]).squeeze(-1)


def make_rig_people(
    body: SparseBody,
    count: int,
    num_views: int,
    *,
    seed: int = 0,
    arc_deg: float = 360.0,
    frames: int = 1,
    config: StudyConfig | None = None,
) -> RigPeople:
    """Draws people, each before a ring of cameras of its own.

    Args:
        body: the body.
        count: number of people.
        num_views: V.
        seed: of the draw; the same people whatever the number of views.
        arc_deg: over which the cameras stand; 360 is a ring.
        frames: moments of each person, who has one shape and turns about within a metre; M = count * frames.
        config: what the people and their estimates look like.
    """
    config = config or StudyConfig()
    people = make_people(body, count * frames, seed, config)
    truth = _one_person(people, frames) if frames > 1 else people.truth
    rng = np.random.default_rng([seed, num_views, 17])
    first = torch.arange(count) * frames
    rotation, shift = ring(pinhole.position_to_transl(truth.position[first]), num_views, arc_deg, rng)
    rotation, shift = rotation.repeat_interleave(frames, 0), shift.repeat_interleave(frames, 0)
    moments = count * frames
    height = people.height_px if frames == 1 else people.height_px[first].repeat_interleave(frames)
    rows = []
    for view in range(num_views):
        own = in_camera(body, truth, rotation[:, view].to(body.dtype), shift[:, view].to(body.dtype))
        clean = pinhole.project(body.forward(own).points_cam, people.camera)
        noise, _, seen = draw_noise(height.numpy(), rng, config)
        seen = torch.from_numpy(seen) & ~(from_behind(body, own)[:, None] & face_keypoints(clean.device))
        sigma = torch.where(seen, (config.sigma_px * height / 512)[:, None], torch.inf)
        observed = Observations(keypoints_px=clean + torch.from_numpy(noise).to(clean), sigma_px=sigma.to(clean))
        rows.append((own, observed, draw_estimates(body, own, rng.normal, config), people.camera, height))
    order = torch.arange(moments * num_views).view(num_views, moments).T.flatten()
    truth, observations, coarse, camera, height = take_rows(cat_rows(rows), order)
    rig = Rig(
        rotation=rotation.flatten(0, 1),
        translation_m=shift.flatten(0, 1),
        moment=torch.arange(moments).repeat_interleave(num_views),
        time_s=torch.zeros(moments * num_views),
        camera_index=(torch.arange(count)[:, None, None] * num_views + torch.arange(num_views))
        .expand(count, frames, num_views)
        .flatten(),
    )
    return RigPeople(truth=truth, observations=observations, coarse=coarse, camera=camera, rig=rig, height_px=height)


def _one_person(people: SyntheticPeople, frames: int) -> State:
    """The states with the shape, the head scale and nearly the place of the first of every `frames`."""
    truth = people.truth
    first = torch.arange(len(truth.position)) // frames * frames
    coefficients = truth.coefficients.clone()
    coefficients[:, :10], coefficients[:, 20:30] = coefficients[first, :10], coefficients[first, 20:30]
    position = torch.cat([truth.position[:, :2], truth.position[first, 2:]], 1)
    position[:, 2] += 0.2 * (truth.position[:, 0] + truth.position[:, 1])
    return replace(truth, coefficients=coefficients, log_head_scale=truth.log_head_scale[first], position=position)


def from_behind(body: SparseBody, state: State) -> Tensor:
    """(B,) bool: heads turned so far from the camera that no face is seen."""
    head = body.global_rotations(body.local_rotations(state)[0])[:, skeleton.HEAD]
    return -head[:, 2, 2] < math.cos(_BACK_DEG * _DEG)


def disturbed(rig: Rig, rotation_deg: float, position_m: float, seed: int = 5) -> Rig:
    """The rig with cameras turned and moved at random, by these root mean squares in all; each moment's first stays."""
    assert rig.camera_index is not None
    rng = np.random.default_rng(seed)
    number = int(rig.camera_index.max()) + 1
    turn = torch.from_numpy(rng.normal(0, rotation_deg * _DEG / math.sqrt(3), (number, 3)))
    move = torch.from_numpy(rng.normal(0, position_m / math.sqrt(3), (number, 3)))
    first = torch.zeros(number, dtype=torch.bool)
    start = torch.cat([torch.ones(1, dtype=torch.bool), rig.moment[1:] != rig.moment[:-1]])
    first[rig.camera_index[start]] = True
    turn[first], move[first] = 0, 0
    rotation = so3.exp(turn)[rig.camera_index] @ rig.rotation
    centre = -(rig.rotation.transpose(-1, -2) @ rig.translation_m[..., None]).squeeze(-1) + move[rig.camera_index]
    return replace(rig, rotation=rotation, translation_m=-(rotation @ centre[..., None]).squeeze(-1))


def other_person(people: RigPeople, num_views: int, view: int) -> RigPeople:
    """The people with one view of each moment taken from the next person, as large and a third of a height aside."""
    rows = torch.arange(len(people.height_px))
    wrong = rows[rows % num_views == view]
    source = wrong.roll(-1)
    observations, height = people.observations, people.height_px
    own, other = (take_rows(observations, index) for index in (wrong, source))

    def middle(seen: Observations) -> Tensor:
        share = torch.isfinite(seen.sigma_px).to(seen.keypoints_px)[..., None]
        return (seen.keypoints_px * share).sum(1, keepdim=True) / share.sum(1, keepdim=True)

    zoom = (height[wrong] / height[source])[:, None]
    moved = (other.keypoints_px - middle(other)) * zoom[..., None] + middle(own)
    moved[..., 0] += 0.35 * height[wrong, None]
    keypoints, sigma = observations.keypoints_px.clone(), observations.sigma_px.clone()
    keypoints[wrong], sigma[wrong] = moved, other.sigma_px * zoom
    coarse = cat_rows([people.coarse, take_rows(people.coarse, source)])
    order = rows.clone()
    order[wrong] = len(rows) + torch.arange(len(wrong))
    return replace(
        people,
        observations=replace(observations, keypoints_px=keypoints, sigma_px=sigma),
        coarse=take_rows(coarse, order),
    )

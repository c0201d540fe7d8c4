"""Several people before one rig: those of `benchmarks.rig_people`, with its noise, in one world, and their tracks."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from benchmarks.rig_people import from_behind, in_camera, ring
from benchmarks.synthetic_people import StudyConfig, draw_noise, make_people
from fitting.inputs import Observations
from fitting.prepare import face_keypoints
from fitting.sparse_body import SparseBody
from model.batches import cat_rows, take_rows
from model.imaging import camera as pinhole
from tasks.tracks.pieces import Tracked

DISTANCE_M = 5.0
"""Of the cameras from the middle of the people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Crowd:
    """What the cameras of a ring see of people: rows by person, then camera, then moment."""

    people: Tracked
    """Each camera's tracks: the people's own numbers, counted from another one on in every camera."""
    truth: np.ndarray
    """(P,) who it is."""


def make_crowd(
    body: SparseBody,
    num_people: int,
    num_views: int,
    moments: int,
    seed: int,
    *,
    moving: bool = True,
    apart_m: float = 0.6,
    config: StudyConfig | None = None,
) -> Crowd:
    """Draws people who walk within some metres of each other; the first two stand close to each other.

    Args:
        body: The body.
        num_people: How many.
        num_views: Cameras, on a ring.
        moments: At which all are seen.
        seed: Of the draw.
        moving: Whether they take another pose and place at every moment, or stand as they are.
        apart_m: Distance of the first two.
        config: What the people look like.
    """
    config = config or StudyConfig(yaw_deg=(-180.0, 180.0))
    rng = np.random.default_rng([seed, num_people, num_views, moments])
    drawn = make_people(body, num_people * moments, seed, config).truth
    first = torch.arange(num_people).repeat_interleave(moments) * moments
    coefficients = drawn.coefficients.clone()
    coefficients[:, :10], coefficients[:, 20:30] = coefficients[first, :10], coefficients[first, 20:30]
    state = replace(drawn, coefficients=coefficients, log_head_scale=drawn.log_head_scale[first])
    if not moving:
        state = take_rows(state, first)
    middle = torch.tensor([0.0, 0.0, DISTANCE_M])
    place = _places(num_people, moments if moving else 1, apart_m, rng).repeat(1 if moving else moments, axis=1)
    pelvis = middle + torch.from_numpy(place.reshape(-1, 3)).to(body.dtype)
    state = replace(state, position=pinhole.transl_to_position(pelvis.to(body.dtype)))
    rotation, shift = ring(middle[None], num_views, 360.0, rng)
    rows = []
    camera = make_people(body, 1, 0, config).camera
    for view in range(num_views):
        own = in_camera(
            body, state, rotation[:, view].to(body.dtype).expand(len(first), 3, 3), shift[:, view].to(body.dtype)
        )
        pinholes = take_rows(camera, torch.zeros(len(first), dtype=torch.long))
        clean = pinhole.project(body.forward(own).points_cam, pinholes)
        height = 1.7 * config.focal_px / pinhole.position_to_transl(own.position)[:, 2]
        noise, _, seen = draw_noise(height.double().numpy(), rng, config)
        seen = torch.from_numpy(seen) & ~(from_behind(body, own)[:, None] & face_keypoints(clean.device))
        sigma = torch.where(seen, (config.sigma_px * height / 512)[:, None], torch.inf)
        rows.append(
            (Observations(keypoints_px=clean + torch.from_numpy(noise).to(clean), sigma_px=sigma.to(clean)), pinholes)
        )
    observations, pinholes = cat_rows(rows)
    who = np.tile(np.repeat(np.arange(num_people), moments), num_views)
    view = np.repeat(np.arange(num_views), num_people * moments)
    placed = torch.cat([rotation[0], shift[0][..., None]], -1).numpy()
    people = Tracked(
        track=(who + view) % num_people,
        camera=view,
        frame=np.tile(np.arange(moments), num_people * num_views),
        known=np.zeros(len(who), bool),
        observations=observations,
        pinholes=pinholes,
        world_to_camera=placed[view],
    )
    return Crowd(people=people, truth=who)


def some(people: Tracked, rows: np.ndarray) -> Tracked:
    """Some of the people, by a mask (P,) or by their numbers."""
    index = np.flatnonzero(rows) if rows.dtype == bool else rows
    changed = {name: getattr(people, name)[index] for name in ("track", "camera", "frame", "known", "world_to_camera")}
    seen = {name: take_rows(getattr(people, name), torch.from_numpy(index)) for name in ("observations", "pinholes")}
    return replace(people, **changed, **seen)


def swapped(people: Tracked, camera: int, frame: int) -> Tracked:
    """The first two tracks of a camera change places from a moment on."""
    own = (people.camera == camera) & (people.frame >= frame) & (people.track < 2)
    return replace(people, track=np.where(own, 1 - people.track, people.track))


def _places(num_people: int, moments: int, apart_m: float, rng: np.random.Generator) -> np.ndarray:
    """Pelves (people, moments, 3) about the middle, y down."""
    angle = 2 * math.pi * (np.arange(num_people) + rng.uniform()) / num_people
    middle = 1.2 * np.stack([np.cos(angle), 0 * angle, np.sin(angle)], -1)[:, None] * np.ones((1, moments, 1))
    if num_people > 1:
        aside = rng.normal(size=2)
        aside = apart_m * aside / np.linalg.norm(aside)
        middle[1] = middle[0] + np.array([aside[0], 0.0, aside[1]])
    walk = np.cumsum(rng.normal(0, 0.15, (num_people, moments, 3)), axis=1) * [1, 0, 1]
    if num_people > 1:
        walk[1] = walk[0]
    return middle + walk + rng.normal(0, 0.03, (num_people, moments, 3))

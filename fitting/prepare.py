"""Where a refinement starts: inputs checked, bodies placed, neutral bodies tried where there is no estimate."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from fitting import initialise
from fitting.inputs import Coarse, Observations, without_bad_values
from fitting.keypoint_term import precision_of
from fitting.priors import hand_prior, pose_sigma_rad, surface_prior
from fitting.problem import People, Problem
from fitting.settings import RefineConfig
from fitting.sightings import Sightings
from fitting.sparse_body import SparseBody
from fitting.stated import Stated
from fitting.unknowns import State
from model.batches import map_tensors, put_rows, take_rows
from model.body import skeleton
from model.imaging import camera as pinhole
from model.imaging.camera import Camera

_DEG = math.pi / 180
_FIRST_EAR = 3
_LEAST_PLACES = 2
"""Keypoints that say where a person is: two, if it is known how they stand."""
_SEARCHED = 16
"""People searched for at once: each is tried in several yaws."""


def prepare(
    model: SparseBody, observations: Observations, coarse: Coarse, camera: Camera, config: RefineConfig
) -> Problem:
    """Checks inputs and finds the start of every person, each row on its own; see `fitting.refine.refine`."""
    return with_neutral_starts(check(model, observations, coarse, camera, config))


def check(
    model: SparseBody, observations: Observations, coarse: Coarse, camera: Camera, config: RefineConfig
) -> Problem:
    """`prepare`, but for the search of a start for people without an estimate: those start from what was passed on."""
    camera = camera.to(model.dtype)
    observed = observations.keypoints_px.to(model.dtype)
    precision = precision_of(observations.sigma_px.to(model.dtype), observed)
    bad_input, coarse = without_bad_values(coarse, camera, model.dtype)
    stated = Stated.of(observations, model.dtype)
    known, places = precision > 0, precision > 0
    if stated is not None:
        known, places = known | (stated.as_keypoints[1] > 0), places | (stated.placed.as_keypoints[1] > 0)
    usable = ~bad_input & (known.sum(1) >= config.min_points) & (places.sum(1) >= _LEAST_PLACES)
    camera = Camera(
        focal_px=torch.where(bad_input, torch.ones_like(camera.focal_px), camera.focal_px),
        principal_px=torch.where(bad_input[:, None], torch.zeros_like(camera.principal_px), camera.principal_px),
    )
    observed = torch.where((precision > 0)[..., None], observed, torch.zeros_like(observed))
    precision = torch.where(usable[:, None], precision, torch.zeros_like(precision))

    surface_offset, surface_sigma = surface_prior(observations, config, model.dtype)
    start = initialise.start_state(model, coarse, surface_offset, config)
    behind = initialise.seen_from_behind(model, start, coarse, observed, precision, camera, config.face_away_deg * _DEG)
    precision = torch.where(behind[:, None] & face_keypoints(precision.device), torch.zeros_like(precision), precision)
    sightings = None
    if stated is not None:
        sightings = Sightings.of_one_camera(camera, observed, precision, stated)
        observed, precision = with_stated(observed, precision, stated.placed, camera)
    people = People(
        keypoints_px=observed,
        precision=precision,
        surface_sigma_m=surface_sigma,
        camera=camera,
        coarse=coarse,
        start=with_likely_fingers(model, start, coarse, precision, config),
        pose_sigma_rad=pose_sigma_rad(coarse, config),
        bad_input=bad_input,
        usable=usable,
        boxes_xyxy=observations.boxes_xyxy,
        hidden_error_mm=observations.hidden_error_mm,
        sightings=sightings,
    )
    problem = Problem(model=model, config=config, people=people)
    start = problem.placed(people.start)
    if coarse.transl_m is not None and (stated is None or stated.is_relative is not None):
        stated_m = coarse.transl_m.nan_to_num(0.0)
        points = model.forward(start).points
        given = coarse.body_valid & initialise.shows_person(points, stated_m, observed, precision, camera)
        if stated is not None and stated.is_relative is not None:
            given = given & stated.is_relative
        position = torch.where(given[:, None], pinhole.transl_to_position(stated_m), start.position)
        start = replace(start, position=position)
    return replace(problem, people=replace(people, start=start))


def with_neutral_starts(problem: Problem) -> Problem:
    """The problem with a start for usable people without a valid body estimate: the best of several neutral bodies."""
    lost = torch.nonzero(problem.people.usable & ~problem.people.coarse.body_valid).squeeze(1)
    if not len(lost):
        return problem
    start, sigma = map_tensors(problem.people.start, torch.clone), problem.people.pose_sigma_rad.clone()
    for part in lost.split(_SEARCHED):
        found = _search_neutral(problem.take_rows(part))
        put_rows((start, sigma), part, (found.start, found.pose_sigma_rad))
    return replace(problem, people=replace(problem.people, start=start, pose_sigma_rad=sigma))


def with_stated(observed: Tensor, precision: Tensor, stated: Stated, camera: Camera) -> tuple[Tensor, Tensor]:
    """Keypoints (B, 133, 2) and precisions (B, 133) where those that no image shows are where 3D says they are seen.

    For what is said of the result; the fit takes the places in 3D.
    """
    points, known = stated.as_keypoints
    depth = points[..., 2]
    added = (precision == 0) & (known > 0) & (depth > pinhole.NEAR_M)
    observed = torch.where(added[..., None], pinhole.project(points, camera), observed)
    return observed, torch.where(added, known * depth / camera.focal_px[:, None], precision)


def with_likely_fingers(
    model: SparseBody, start: State, coarse: Coarse, precision: Tensor, config: RefineConfig
) -> State:
    """Fingers that are not refined where they are most likely: between the estimate and the hands that people have."""
    first = model.layout.num_hand
    likely = hand_prior(model, coarse, precision, start, config).mean
    return replace(start, hand_pca=torch.cat([start.hand_pca[..., :first], likely[..., first:]], -1))


def face_keypoints(device: torch.device) -> Tensor:
    """(133,) bool: what only a visible face shows, nose, eyes and the 68 landmarks; ears are seen from behind too."""
    mask = torch.zeros(skeleton.NUM_KEYPOINTS, dtype=torch.bool, device=device)
    mask[:_FIRST_EAR] = True
    mask[skeleton.FACE] = True
    return mask


def _search_neutral(problem: Problem) -> People:
    """People of whom each starts from the best of several neutral bodies, unrefined, with the pose sigmas of those."""
    config, model = problem.config, problem.model
    count, yaws, finalists = len(problem.people.usable), config.num_yaws, config.num_finalists
    root, pose = (part.to(model.device) for part in initialise.neutral_body(yaws, model.dtype))
    sigma = torch.tensor(config.neutral_sigma_deg, dtype=model.dtype, device=model.device)
    sigma = (sigma * (_DEG * config.pose_sigma_scale)).expand(count * yaws, -1)
    tries = problem.repeat_rows(yaws)
    start = replace(
        tries.people.start,
        global_orient=root.repeat(count, 1, 1),
        body_pose=pose.expand(count * yaws, -1, -1, -1),
    )
    start = tries.placed(start)
    tries = replace(tries, people=replace(tries.people, start=start, pose_sigma_rad=sigma))
    wide_stage, final_stage = config.stages(model.device.type)
    wide = tries.solve(start, wide_stage)
    people = torch.arange(count, device=model.device)
    ahead = wide.cost.nan_to_num(torch.inf).view(count, yaws).argsort(1)[:, :finalists]
    kept = (ahead + people[:, None] * yaws).flatten()
    tries = tries.take_rows(kept)
    tight = tries.solve(take_rows(wide.state, kept), replace(final_stage, iterations=config.search_iterations))
    best = tight.cost.nan_to_num(torch.inf).view(count, finalists).argmin(1) + people * finalists
    return tries.take_rows(best).people

"""Where a refinement starts: inputs checked, bodies placed, neutral bodies tried where there is no estimate."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fitting import initialise
from fitting.beliefs import hand_belief, pose_sigma_rad, surface_belief
from fitting.inputs import Coarse, Observations, without_bad_values
from fitting.job import Job
from fitting.parameters import State
from fitting.residuals import precision_of
from fitting.rows import copy_rows, grown_index, put_rows, repeat_rows, take_rows
from fitting.settings import RefineConfig
from fitting.solver import ROW_MULTIPLE
from fitting.sparse_body import SparseBody
from model.body import skeleton
from model.imaging import camera as pinhole
from model.imaging.camera import Camera

_DEG = math.pi / 180
_FIRST_EAR = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """B people ready to be refined."""

    job: Job
    """What the solver works on."""
    start: State
    """Where they start, and what the beliefs are about."""
    pose_sigma: Tensor
    """(B, 22) sigmas of root and body joints about the start, radians."""
    bad_input: Tensor
    """(B,) bool: a camera or a valid estimate that is not finite."""
    empty: Tensor
    """(B,) bool: too few keypoints."""

    @property
    def usable(self) -> Tensor:
        """(B,) bool: can be refined."""
        return ~self.bad_input & ~self.empty


def prepare(
    model: SparseBody, observations: Observations, coarse: Coarse, camera: Camera, config: RefineConfig
) -> Prepared:
    """Checks inputs and finds the start of every person, each row on its own; see `fitting.refine.refine`."""
    camera = camera.to(model.dtype)
    observed = observations.keypoints_px.to(model.dtype)
    precision = precision_of(observations.sigma_px.to(model.dtype), observed)
    bad_input, coarse = without_bad_values(coarse, camera, model.dtype)
    empty = (precision > 0).sum(1) < config.min_points
    usable = ~bad_input & ~empty
    camera = Camera(
        focal_px=torch.where(bad_input, torch.ones_like(camera.focal_px), camera.focal_px),
        principal_px=torch.where(bad_input[:, None], torch.zeros_like(camera.principal_px), camera.principal_px),
    )
    observed = torch.where((precision > 0)[..., None], observed, torch.zeros_like(observed))
    precision = torch.where(usable[:, None], precision, torch.zeros_like(precision))

    surface_offset, surface_sigma = surface_belief(observations, config, model.dtype)
    start = initialise.start_state(model, coarse, surface_offset, config)
    behind = initialise.seen_from_behind(model, start, coarse, observed, precision, camera, config.face_away_deg * _DEG)
    precision = torch.where(behind[:, None] & face_keypoints(precision.device), torch.zeros_like(precision), precision)
    start = _with_believed_fingers(model, start, coarse, precision, config)
    pose_sigma = pose_sigma_rad(coarse, config)
    start = initialise.place(model, start, observed, precision, camera)
    if coarse.transl_m is not None:
        given = torch.isfinite(coarse.transl_m).all(1) & coarse.body_valid
        stated = pinhole.transl_to_position(coarse.transl_m.nan_to_num(1.0))
        start = replace(start, position=torch.where(given[:, None], stated, start.position))
    job = Job(
        model=model,
        observed=observed,
        precision=precision,
        surface_sigma=surface_sigma,
        view=camera,
        coarse=coarse,
        config=config,
    )
    lost = torch.nonzero(usable & ~coarse.body_valid).squeeze(1)
    if len(lost):
        start, pose_sigma = copy_rows(start), pose_sigma.clone()
        for part in lost.split(ROW_MULTIPLE):
            tried = grown_index(len(part), ROW_MULTIPLE, part.device)
            real = torch.arange(len(tried), device=part.device) < len(part)
            found, sigma = _search_neutral(job.take_rows(part[tried]), take_rows(start, part[tried]), real)
            put_rows(start, part, take_rows(found, tried[: len(part)]))
            pose_sigma[part] = sigma[: len(part)]
    return Prepared(job=job, start=start, pose_sigma=pose_sigma, bad_input=bad_input, empty=empty)


def _with_believed_fingers(
    model: SparseBody, start: State, coarse: Coarse, precision: Tensor, config: RefineConfig
) -> State:
    """Fingers that are not refined where they are most likely: between the estimate and the hands that people have."""
    first = model.layout.num_hand
    believed = hand_belief(model, coarse, precision, start, config)[0]
    return replace(start, hand_pca=torch.cat([start.hand_pca[..., :first], believed[..., first:]], -1))


def face_keypoints(device: torch.device) -> Tensor:
    """(133,) bool: what only a visible face shows, nose, eyes and the 68 landmarks; ears are seen from behind too."""
    mask = torch.zeros(skeleton.NUM_KEYPOINTS, dtype=torch.bool, device=device)
    mask[:_FIRST_EAR] = True
    mask[skeleton.FACE] = True
    return mask


def _search_neutral(job: Job, start: State, active: Tensor) -> tuple[State, Tensor]:
    """The best of several neutral bodies for each person: its unrefined state, and its pose sigmas (B, 22).

    Rows that are not active (B,) come along to fill the batch; what they get is of no use.
    """
    config, model = job.config, job.model
    count, yaws = len(start.position), config.num_yaws
    root, pose = (part.to(model.device) for part in initialise.neutral_body(yaws, model.dtype))
    people = torch.arange(count, device=model.device)
    tries, many = repeat_rows(start, yaws), job.repeat_rows(yaws)
    tries = replace(
        tries,
        global_orient=root.repeat(count, 1, 1),
        body_pose=pose.expand(count * yaws, -1, -1, -1),
    )
    tries = initialise.place(model, tries, many.observed, many.precision, many.view)
    sigma = torch.tensor(config.neutral_sigma_deg, dtype=model.dtype, device=model.device)
    sigma = (sigma * (_DEG * config.pose_sigma_scale)).expand(count * yaws, -1)
    wide_stage, final_stage = config.stages(model.device.type)
    wide = many.run(tries, tries, sigma, wide_stage, repeat_rows(active, yaws))
    finalists = config.num_finalists
    ahead = wide.cost.nan_to_num(torch.inf).view(count, yaws).argsort(1)[:, :finalists]
    kept = (ahead + people[:, None] * yaws).flatten()
    tries = take_rows(tries, kept)
    short = replace(final_stage, iterations=config.search_iterations)
    tight = many.take_rows(kept).run(
        take_rows(wide.state, kept), tries, sigma[kept], short, repeat_rows(active, finalists)
    )
    best = tight.cost.nan_to_num(torch.inf).view(count, finalists).argmin(1) + people * finalists
    return take_rows(tries, best), sigma[:count]

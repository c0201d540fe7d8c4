"""One benchmark problem: synthetic people, the state all methods start from, and the objective they are scored with."""

from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from benchmarks.synthetic_people import StudyConfig, SyntheticPeople, make_people
from fitting import initialise
from fitting.forward import Forward
from fitting.keypoint_term import KeypointTerm, geman_mcclure, keypoint_residual, precision_of
from fitting.priors import pose_sigma_rad, surface_prior
from fitting.problem import People, Problem
from fitting.refine import refine
from fitting.result import parameters_of
from fitting.settings import RefineConfig
from fitting.sparse_body import SparseBody
from fitting.unknowns import State
from model.batches import map_tensors, take_rows
from model.body import skeleton
from model.body.parameters import EhmParameters
from model.imaging import camera as pinhole
from model.imaging.camera import Camera

BODY_PART, FACE_PART = slice(skeleton.BODY.start, skeleton.FEET.stop), skeleton.FACE
HAND_PART = slice(skeleton.LEFT_HAND.start, skeleton.RIGHT_HAND.stop)
"""Rows of the 133 keypoints: body with feet, face, both hands."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """B people for every method to refine."""

    body: SparseBody
    """Tables of the body."""
    people: SyntheticPeople
    """Truth, keypoints and coarse estimates."""
    start: State
    """The coarse estimates, placed in front of the camera: where every method starts."""
    config: RefineConfig
    """Settings of the refinement; they define the objective as well."""

    @property
    def count(self) -> int:
        """Number of people B."""
        return len(self.start.position)

    def take_rows(self, index: Tensor) -> "Trial":
        """The same for some of the people."""
        return replace(self, people=take_rows(self.people, index), start=take_rows(self.start, index))

    def first(self, count: int) -> "Trial":
        """The first people."""
        return self.take_rows(torch.arange(min(count, self.count), device=self.start.position.device))

    def split(self, size: int) -> list["Trial"]:
        """Batches of people."""
        rows = torch.arange(self.count, device=self.start.position.device)
        return [self.take_rows(part) for part in rows.split(size)]

    @property
    def pixel_scale(self) -> Tensor:
        """(B,) factor from image pixels to pixels of a person 512 px tall."""
        return 512 / self.people.height_px


def make_trial(
    body: SparseBody,
    count: int,
    *,
    seed: int = 0,
    people: StudyConfig | None = None,
    config: RefineConfig | None = None,
    focal_factor: float = 1.0,
) -> Trial:
    """Draws people and places their coarse estimates.

    Args:
        body: the body.
        count: number of people.
        seed: of the draw.
        people: what the people and their estimates look like.
        config: settings of the refinement.
        focal_factor: the focal length that the methods are told, as a factor of the true one.
    """
    config = config or RefineConfig()
    drawn: SyntheticPeople = map_tensors(
        make_people(body.to("cpu"), count, seed, people), lambda value: value.to(body.device)
    )
    told = Camera(focal_px=drawn.camera.focal_px * focal_factor, principal_px=drawn.camera.principal_px)
    drawn = replace(drawn, camera=told)
    # A refinement of no steps returns what the refinement starts from.
    idle = replace(config, iterations=0, graduated_iterations=0, solver=replace(config.solver, plan="adaptive"))
    placed = refine(body, drawn.observations, drawn.coarse, told, idle).parameters
    surface = surface_prior(drawn.observations, config, body.dtype)[0]
    start = initialise.start_state(body, drawn.coarse, surface, config)
    start = replace(
        start,
        global_orient=placed.global_orient,
        body_pose=placed.body_pose,
        position=pinhole.transl_to_position(placed.known("transl_m")),
    )
    start = replace(start, contour_bin=body.contour_bin(start))
    return Trial(body=body, people=drawn, start=start, config=config)


class Objective:
    """The cost that the refinement minimises, for methods that bring their own forward pass and their own steps."""

    def __init__(self, trial: Trial):
        """Priors are taken about the start of the trial."""
        self.body, self.config = trial.body, trial.config
        dtype, observations = trial.body.dtype, trial.people.observations
        self.observed = observations.keypoints_px.to(dtype)
        self.precision = precision_of(observations.sigma_px.to(dtype), self.observed)
        self.view = trial.people.camera.to(dtype)
        everyone = torch.ones(len(self.observed), dtype=torch.bool, device=trial.body.device)
        people = People(
            keypoints_px=self.observed,
            precision=self.precision,
            surface_sigma_m=surface_prior(observations, trial.config, dtype)[1],
            camera=self.view,
            coarse=trial.people.coarse,
            start=trial.start,
            pose_sigma_rad=pose_sigma_rad(trial.people.coarse, trial.config),
            bad_input=~everyone,
            usable=everyone,
        )
        problem = Problem(model=trial.body, config=trial.config, people=people)
        self.terms = problem.terms(trial.config.final_loss)
        self.priors = [term for term in self.terms.terms if not isinstance(term, KeypointTerm)]

    def keypoint_cost(self, points_cam_m: Tensor, robust_scale: float, weight: Tensor | float = 1.0) -> Tensor:
        """Robust reprojection (B,) of keypoints (B, 133, 3); `weight` (133,) multiplies each keypoint."""
        squared = keypoint_residual(points_cam_m, self.observed, self.precision, self.view).square().sum(-1)
        return (geman_mcclure(squared, robust_scale)[0] * weight).sum(1)

    def prior_cost(self, state: State) -> Tensor:
        """All priors (B,). They look at the state alone, which saves the baselines a forward pass."""
        return torch.stack([term.cost(state, cast(Forward, None)) for term in self.priors]).sum(0)

    @torch.no_grad()
    def final_cost(self, state: State) -> Tensor:
        """Cost (B,) as the refinement states it for its own results."""
        state = replace(state, contour_bin=self.body.contour_bin(state))
        return self.terms.evaluate(state)[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a method made of a trial."""

    parameters: EhmParameters
    """Refined people."""
    keypoints_px: Tensor
    """(B, 133, 2) their keypoints."""
    cost: Tensor
    """(B,) final value of the objective of the refinement."""
    converged: Tensor | None = None
    """(B,) bool; None for a method of a fixed number of steps."""


@torch.no_grad()
def outcome_of(trial: Trial, state: State) -> Outcome:
    """Scores a state that a method ended in."""
    body = trial.body
    state = replace(state, contour_bin=body.contour_bin(state))
    return Outcome(
        parameters=parameters_of(body, state),
        keypoints_px=pinhole.project(body.forward(state).points_cam, trial.people.camera.to(body.dtype)),
        cost=Objective(trial).final_cost(state),
    )


def state_of_parameters(body: SparseBody, parameters: EhmParameters, start: State) -> State:
    """The state that parameters stand for; keypoint offsets, which they do not carry, are those of the start."""
    groups = list(body.num_groups)
    linear = [parameters.betas, parameters.flame_expression, parameters.flame_shape]
    linear += list(start.coefficients.split(groups, 1)[3:])
    hands = torch.stack([parameters.left_hand_pose, parameters.right_hand_pose], 1)
    state = replace(
        start,
        global_orient=parameters.global_orient,
        body_pose=parameters.body_pose,
        jaw_pose=parameters.jaw_pose,
        hand_pca=body.hand_coordinates(hands),
        coefficients=torch.cat(linear, 1),
        log_head_scale=torch.log(parameters.head_scale),
        position=pinhole.transl_to_position(parameters.known("transl_m")),
    )
    return replace(state, contour_bin=body.contour_bin(state))


def refine_trial(trial: Trial, config: RefineConfig | None = None) -> Outcome:
    """The refinement itself, in batches of its own `batch_size`; `config` replaces the settings of the trial."""
    people = trial.people
    result = refine(trial.body, people.observations, people.coarse, people.camera, config or trial.config)
    return Outcome(
        parameters=result.parameters, keypoints_px=result.keypoints_px, cost=result.cost, converged=result.converged
    )


def with_full_cost(trial: Trial, outcome: Outcome) -> Outcome:
    """The outcome with the cost of the trial's settings: a refinement of fewer unknowns states one that lacks the
    priors about the others."""
    state = state_of_parameters(trial.body, outcome.parameters, trial.start)
    return replace(outcome, cost=Objective(trial).final_cost(state))

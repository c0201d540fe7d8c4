"""What is minimised for a batch of people: a body, what was observed, what is known before, and the settings."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fitting import initialise, so3
from fitting.inputs import Coarse
from fitting.keypoint_term import KeypointTerm
from fitting.prior_terms import GaussianTerm, OrientationTerm, PoseNearnessTerm, RotvecTerm
from fitting.priors import ORIENTED_JOINTS, Gaussian, linear_prior, orientation_prior
from fitting.settings import LossScales, RefineConfig, Stage
from fitting.shared import hold, shared_columns
from fitting.sightings import Sightings
from fitting.sightings_term import JointsTerm, ShiftTerm, SightingsTerm
from fitting.solver import Solution, Status, solve
from fitting.sparse_body import SparseBody
from fitting.terms import Term, TermSum
from fitting.unknowns import State
from model.batches import map_tensors, take_rows
from model.imaging.camera import Camera, transl_to_position


@dataclass(frozen=True, kw_only=True, slots=True)
class People:
    """The data of B people, one row each; checked, and of the type of the body's tables."""

    keypoints_px: Tensor
    """(B, 133, 2) observed keypoints."""
    precision: Tensor
    """(B, 133) one over their sigma in px; 0 for a keypoint that takes no part."""
    surface_sigma_m: Tensor
    """(B, 6) of the places of hip and shoulder keypoints."""
    camera: Camera
    """One a person."""
    coarse: Coarse
    """Part estimates."""
    start: State
    """Where the fit starts, and what the priors are about."""
    pose_sigma_rad: Tensor
    """(B, 22) standard deviations of root and body joints about the start."""
    bad_input: Tensor
    """(B,) bool: a camera or a valid estimate that is not finite."""
    usable: Tensor
    """(B,) bool: can be refined; the others have bad input or too few keypoints."""
    boxes_xyxy: Tensor | None = None
    """(B, 4) person boxes, px."""
    hidden_error_mm: Tensor | None = None
    """(B, 4) what the parts are off by without a residual that shows it."""
    shared: Tensor | None = None
    """(B, C) values at which the unknowns that a person's rows share are held; None: every row is on its own."""
    others: Tensor | None = None
    """(B, C, C) what the other rows of the person say about them, beside `shared`."""
    sightings: Sightings | None = None
    """All cameras and what is known in 3D, in place of the keypoints above; None where one image is all there is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A least-squares problem a person."""

    model: SparseBody
    """Tables of the body."""
    config: RefineConfig
    """Settings."""
    people: People
    """Data."""

    def take_rows(self, index: Tensor) -> "Problem":
        """The problem of some of the people."""
        return replace(self, people=take_rows(self.people, index))

    def repeat_rows(self, times: int) -> "Problem":
        """Each person `times` times, one after the other."""
        return replace(self, people=map_tensors(self.people, lambda value: value.repeat_interleave(times, 0)))

    def terms(self, loss: LossScales) -> TermSum:
        """The residuals: keypoints, and priors about the start."""
        people, config, start = self.people, self.config, self.people.start
        jaw_sigma = torch.tensor(config.jaw_sigma_rad, dtype=self.model.dtype, device=self.model.device)
        terms = [
            *self.keypoint_terms(loss),
            PoseNearnessTerm(start.global_orient, start.body_pose, people.pose_sigma_rad, loss.wrong_joints),
            RotvecTerm(config.limit_sigma_rad, so3.log(start.jaw_pose), jaw_sigma),
            GaussianTerm(self.model.layout, self.linear_prior()),
        ]
        if people.coarse.head_orient is not None or people.coarse.wrist_orient is not None:
            terms.append(OrientationTerm(ORIENTED_JOINTS, *orientation_prior(self.model, people.coarse, config)))
        return TermSum(self.model, terms)

    def keypoint_terms(self, loss: LossScales) -> list[Term]:
        """The residuals of what was observed."""
        people, sightings = self.people, self.people.sightings
        if sightings is None:
            return [KeypointTerm(self.model, people.keypoints_px, people.precision, people.camera, loss.keypoint)]
        kinds = [SightingsTerm, JointsTerm] + [ShiftTerm] * (sightings.stated.is_relative is not None)
        return [kind(self.model, sightings, loss.keypoint) for kind in kinds]

    def placed(self, start: State) -> State:
        """A state moved to where its body best meets what was observed, with the outline chosen for its head yaw."""
        people, sightings = self.people, self.people.sightings
        if sightings is None:
            return initialise.place(self.model, start, people.keypoints_px, people.precision, people.camera)
        start = replace(start, contour_bin=self.model.contour_bin(start))
        posed, relative = self.model.forward(start), sightings.stated.is_relative
        place = sightings.translation(posed.points, posed.joints[:, :22])
        if relative is not None and sightings.keypoints_px.shape[1] == 1:
            given = people.keypoints_px, people.precision, people.camera
            place = torch.where(relative[:, None], initialise.solve_translation(posed.points, *given), place)
        return replace(start, position=transl_to_position(place))

    def linear_prior(self) -> Gaussian:
        """About the additive unknowns (B, P)."""
        people = self.people
        prior = linear_prior(
            self.model, people.coarse, people.precision, people.surface_sigma_m, people.start, self.config
        )
        return prior if people.shared is None else hold(prior, self.shared_columns, people.shared)

    @property
    def shared_columns(self) -> Tensor:
        """Places (C,) of the unknowns that all rows of a person share."""
        return shared_columns(self.model.layout, self.model.num_groups).to(self.model.device)

    def solve(self, start: State, stage: Stage) -> Solution:
        """One run of the solver over the people that can be refined, from a state of its own."""
        settings = replace(self.config.solver, max_iterations=stage.iterations, tolerance=stage.tolerance)
        solution = solve(self.terms(stage.loss), start, settings, self.people.usable)
        status = torch.where(self.people.bad_input, int(Status.NOT_FINITE), solution.status)
        return replace(solution, status=status)

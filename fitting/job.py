"""One refinement as the solver sees it: people, what is believed of them, and the runs of the solver over them."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fitting import so3
from fitting.beliefs import linear_beliefs
from fitting.initialise import SEEN_JOINTS, believed_orientations
from fitting.inputs import Coarse
from fitting.parameters import State
from fitting.priors import GaussianTerm, OrientationTerm, PoseNearnessTerm, RotvecTerm
from fitting.problem import BodyProblem
from fitting.residuals import KeypointTerm
from fitting.rows import repeat_rows, take_rows
from fitting.settings import LossScales, RefineConfig, Stage
from fitting.shared import hold, shared_columns
from fitting.solver import Solution, solve
from fitting.sparse_body import SparseBody
from model.imaging.camera import Camera


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """Everything that stays the same while B people are refined; checked, and of the type of the body's tables."""

    model: SparseBody
    """Tables of the body."""
    observed: Tensor
    """(B, 133, 2) keypoints, px."""
    precision: Tensor
    """(B, 133) one over their sigma in px; 0 for a keypoint that takes no part."""
    surface_sigma: Tensor
    """(B, 6) of the places of hip and shoulder keypoints, metres."""
    view: Camera
    """Cameras."""
    coarse: Coarse
    """Part estimates."""
    config: RefineConfig
    """Settings."""
    shared: Tensor | None = None
    """(B, C) values at which the unknowns that a person's rows share are held; None: every row is on its own."""
    others: Tensor | None = None
    """(B, C, C) what the other rows of the person say about them, beside `shared`."""

    def take_rows(self, index: Tensor) -> "Job":
        """The same for some of the people."""
        return replace(
            self,
            observed=self.observed[index],
            precision=self.precision[index],
            surface_sigma=self.surface_sigma[index],
            view=take_rows(self.view, index),
            coarse=take_rows(self.coarse, index),
        )

    def repeat_rows(self, times: int) -> "Job":
        """Each person `times` times, one after the other."""
        return replace(
            self,
            observed=repeat_rows(self.observed, times),
            precision=repeat_rows(self.precision, times),
            surface_sigma=repeat_rows(self.surface_sigma, times),
            view=repeat_rows(self.view, times),
            coarse=repeat_rows(self.coarse, times),
        )

    def problem(self, prior: State, pose_sigma: Tensor, loss: LossScales) -> BodyProblem:
        """The least-squares problem with beliefs around the state `prior`."""
        config, dtype = self.config, self.model.dtype
        jaw_sigma = torch.tensor(config.jaw_sigma_rad, dtype=dtype, device=self.model.device)
        mean, precision = self.linear_beliefs(prior)
        terms = [
            KeypointTerm(self.model, self.observed, self.precision, self.view, loss.keypoint),
            PoseNearnessTerm(prior.global_orient, prior.body_pose, pose_sigma, loss.wrong_joints),
            RotvecTerm(config.limit_sigma_rad, so3.log(prior.jaw_pose), jaw_sigma),
            GaussianTerm(self.model.layout, mean, precision),
        ]
        if self.coarse.head_orient is not None or self.coarse.wrist_orient is not None:
            terms.append(OrientationTerm(SEEN_JOINTS, *believed_orientations(self.model, self.coarse, config)))
        return BodyProblem(self.model, terms)

    def linear_beliefs(self, prior: State) -> tuple[Tensor, Tensor]:
        """Mean and precision (B, P) of the additive unknowns."""
        beliefs = linear_beliefs(self.model, self.coarse, self.precision, self.surface_sigma, prior, self.config)
        if self.shared is None:
            return beliefs
        columns = shared_columns(self.model.layout, self.model.num_groups).to(self.model.device)
        return hold(*beliefs, columns, self.shared)

    def run(self, start: State, prior: State, pose_sigma: Tensor, stage: Stage, active: Tensor | None) -> Solution:
        """One run of the solver.

        Args:
            start: where the people are.
            prior: the state that the beliefs are about.
            pose_sigma: (B, 22) sigmas of root and body joints about it, radians.
            stage: loss, steps and when to stop.
            active: (B,) bool, who is to be refined; None is all.
        """
        settings = replace(self.config.solver, max_iterations=stage.iterations, tolerance=stage.tolerance)
        return solve(self.problem(prior, pose_sigma, stage.loss), start, settings, active)

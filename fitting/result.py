"""What the refinement gives back: EHM-s parameters named as in the label files, and how the fit of each person went."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fitting import so3
from fitting.forward import Forward
from fitting.keypoint_term import KeypointTerm
from fitting.plausibility import Fit, plausibility_limits
from fitting.priors import prior_precision
from fitting.problem import Problem
from fitting.quality import expected_errors_mm, figures_of, qualities
from fitting.reprojection import Reprojection, face_turn_rad, measure_reprojection
from fitting.sightings_term import JointsTerm, ShiftTerm, SightingsTerm
from fitting.solver import Solution, Status
from fitting.sparse_body import SparseBody
from fitting.uncertainty import Uncertainty, uncertainty
from fitting.unknowns import State, own_parameters, turned_rad
from model.body.parameters import EhmParameters
from model.imaging import camera as pinhole

_COST_OF: dict[type, type] = {SightingsTerm: KeypointTerm, JointsTerm: KeypointTerm, ShiftTerm: KeypointTerm}
"""Terms whose cost is told as that of another, so that all rows have the same."""
_MIN_MET = 0.5
"""Share of the seen keypoints that a fit meets at least; one that meets fewer is a misfit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RefineResult:
    """Refined people, and how it went, row by row."""

    parameters: EhmParameters
    """EHM-s parameters in the camera frame, with their place; the head's own orientation is not fitted."""
    keypoints_px: Tensor
    """(B, 133, 2) keypoints of the refined body in the image."""
    reprojection: Reprojection
    """Residuals, inliers, per-part reprojection errors in px and as a share of the box, part validity."""
    uncertainty: Uncertainty
    """Posterior standard deviations, what the keypoints did not determine, and the 3D error the model expects."""
    joints_moved_rad: Tensor
    """(B, 22) angle between the local rotations of root and body joints of the coarse estimate, or of the neutral start
    that won where there was none, and of the result; 0 where nothing was refined."""
    iterations: Tensor
    """(B,) int64, over both runs."""
    status: Tensor
    """(B,) int64 `Status`."""
    expected_error_mm: Tensor
    """(B, 4) expected errors of body, left hand, right hand and face, calibrated; what `quality` is made of. NaN where
    there are no figures."""
    quality: Tensor
    """(B, 4) 0..1 of body, left hand, right hand and face; 0 for a row that could not be refined."""
    cost: Tensor
    """(B,) final robust cost with priors."""
    term_costs: dict[str, Tensor]
    """(B,) what each term of the problem adds to that cost, in squared standard deviations, by the name of its class:
    KeypointTerm (robust reprojection, and distance from what is known in 3D), PoseNearnessTerm, RotvecTerm (joint
    limits, jaw), GaussianTerm (all else)."""

    def label_columns(self) -> dict[str, Tensor]:
        """All parameters by label column, rotations as flat axis-angle (B, 3 n), float32."""
        return self.parameters.columns(so3.log)

    @property
    def converged(self) -> Tensor:
        """(B,) bool."""
        return self.status == Status.CONVERGED

    @property
    def moved_rad(self) -> Tensor:
        """(B,) mean of ``joints_moved_rad``."""
        return self.joints_moved_rad.mean(1)

    @property
    def part_valid(self) -> Tensor:
        """(B, 4) bool: body, left hand, right hand, face."""
        return self.reprojection.part_valid


def summarise(problem: Problem, solution: Solution, spread: Uncertainty | None = None) -> RefineResult:
    """Result of the refined states; rows that were not refined are valid in no part and keep their start, or
    what they share with other rows of their person. `spread` is their `spread_of`, where that is known already."""
    model, config, people = problem.model, problem.config, problem.people
    start, state, status = people.start, solution.state, solution.status
    forward, before = model.forward(state), model.forward(start)
    keypoints_px = pinhole.project(forward.points_cam, people.camera)
    reprojection = measure_reprojection(
        keypoints_px=keypoints_px,
        shown=forward.points_cam[..., 2] > pinhole.NEAR_M,
        observed_px=people.keypoints_px,
        precision=people.precision,
        inlier_sigma=config.inlier_sigma,
        boxes_xyxy=None if people.boxes_xyxy is None else people.boxes_xyxy.to(model.dtype),
        hand_estimated=people.coarse.hand_valid,
        face_turn=face_turn_rad(forward),
        estimated_turn=face_turn_rad(before),
    )
    refined = (status != Status.NOT_FINITE) & (status != Status.NO_DATA)
    moved = turned_rad(start, state)
    plausible = plausibility_limits(
        Fit(
            state=state,
            forward=forward,
            evidence=reprojection,
            observed_px=people.keypoints_px,
            precision=people.precision,
            camera=people.camera,
            joint_strain=moved / (people.pose_sigma_rad * math.sqrt(3)),
            log_head_scale_sigma=config.log_head_scale_sigma,
            num_betas=model.num_groups[0],
        )
    )
    reprojection = reprojection.held_to(plausible, refined)
    misfit = refined & (reprojection.inlier_ratio < _MIN_MET)
    status = torch.where(misfit, int(Status.MISFIT), status)
    # Of rows that share unknowns the priors proper count here, not the ones that held them during the run.
    terms = replace(problem, people=replace(people, shared=None)).terms(config.final_loss)
    term_costs: dict[str, Tensor] = {}
    for term in terms.terms:
        name = _COST_OF.get(type(term), type(term)).__name__
        term_costs[name] = term_costs.get(name, 0) + term.cost(state, forward)
    spread = spread or spread_of(problem, state, forward)
    error = expected_errors_mm(figures_of(reprojection, spread, moved))
    if people.hidden_error_mm is not None:
        error = error + people.hidden_error_mm.to(error.dtype)
    return RefineResult(
        parameters=parameters_of(model, state),
        keypoints_px=keypoints_px,
        reprojection=reprojection,
        uncertainty=spread,
        joints_moved_rad=moved,
        expected_error_mm=error,
        iterations=solution.iterations,
        status=status,
        quality=torch.where(refined[:, None], qualities(error), torch.zeros_like(error)),
        cost=solution.cost if people.shared is None else torch.stack(list(term_costs.values()), -1).sum(-1),
        term_costs=term_costs,
    )


def spread_of(problem: Problem, state: State, forward: Forward) -> Uncertainty:
    """Uncertainty of a result; of rows that share unknowns what all of them say, under the priors proper."""
    model, config, people = problem.model, problem.config, problem.people
    own = replace(problem, people=replace(people, shared=None))
    _, hessian = own.terms(config.final_loss).linearise(state, forward)
    if people.others is not None:
        columns = problem.shared_columns
        hessian[:, columns[:, None], columns] += people.others
    linear = own.linear_prior().precision
    before_keypoints = prior_precision(model.layout, people.pose_sigma_rad, config.jaw_sigma_rad, linear)
    return uncertainty(hessian, before_keypoints, model, forward)


def parameters_of(body: SparseBody, state: State) -> EhmParameters:
    """A state under the names of the label files."""
    hands = so3.exp(body.hand_rotvec(state.hand_pca))
    betas, expression, shape, _ = state.coefficients.split(list(body.num_groups), 1)
    if body.carried is not None and state.carried is not None:
        refined, carried = (betas, expression, shape), body.carried.split(state.carried)
        betas, expression, shape = (torch.cat(parts, 1) for parts in zip(refined, carried, strict=True))
    return EhmParameters(
        **own_parameters(state),
        transl_m=pinhole.position_to_transl(state.position),
        left_hand_pose=hands[:, 0],
        right_hand_pose=hands[:, 1],
        betas=betas,
        flame_shape=shape,
        flame_expression=expression,
        head_scale=torch.exp(state.log_head_scale),
    )

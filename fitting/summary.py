"""From fitted states to the result: parameters under their label names, evidence, uncertainty and quality."""

from dataclasses import replace

import torch

from fitting import so3
from fitting.evidence import face_turn_rad, gather_evidence
from fitting.fit import Fit
from fitting.forward import Forward
from fitting.moved import measure_moved
from fitting.parameters import State
from fitting.quality import expected_error_mm, figures_of, quality_score
from fitting.result import Parameters, RefineResult
from fitting.shared import shared_columns
from fitting.solver import Status
from fitting.sparse_body import SparseBody
from fitting.uncertainty import prior_precision, uncertainty
from model.imaging import camera as pinhole


def summarise(fit: Fit) -> RefineResult:
    """Result of the refined states; rows that were not refined are valid in no part and keep their start, or
    what they share with other rows of their person."""
    job, start, final, pose_sigma, status = fit.job, fit.start, fit.final, fit.pose_sigma, fit.status
    model, state = job.model, final.state
    forward: Forward = model.forward(state)
    before = model.forward(start)
    keypoints_px = pinhole.project(forward.points_cam, job.view)
    boxes = fit.boxes_xyxy
    evidence = gather_evidence(
        keypoints_px=keypoints_px,
        observed_px=job.observed,
        precision=job.precision,
        inlier_sigma=job.config.inlier_sigma,
        boxes_xyxy=None if boxes is None else boxes.to(model.dtype),
        hand_estimated=job.coarse.hand_valid,
        face_turn=face_turn_rad(forward),
        estimated_turn=face_turn_rad(before),
    )
    refined = (status != Status.NOT_FINITE) & (status != Status.NO_DATA)
    evidence = replace(evidence, part_valid=evidence.part_valid & refined[:, None])
    # Of rows that share unknowns the beliefs proper count here, not the ones that held them during the run.
    own = replace(job, shared=None)
    problem = own.problem(start, pose_sigma, job.config.final_loss)
    _, hessian = problem.linearise(state, forward)
    if job.others is not None:
        columns = shared_columns(model.layout, model.num_groups).to(model.device)
        hessian[:, columns[:, None], columns] += job.others
    _, linear = own.linear_beliefs(start)
    term_costs = {type(term).__name__: term.cost(state, forward) for term in problem.terms}
    beliefs = prior_precision(model.layout, pose_sigma, job.config.jaw_sigma_rad, linear)
    spread = uncertainty(hessian, beliefs, model, forward)
    moved = measure_moved(start, before, state, forward)
    error = expected_error_mm(figures_of(evidence, spread, moved))
    return RefineResult(
        parameters=parameters_of(model, state),
        keypoints_px=keypoints_px,
        evidence=evidence,
        uncertainty=spread,
        moved=moved,
        expected_error_mm=error,
        iterations=fit.iterations,
        status=status,
        quality=torch.where(refined, quality_score(error), torch.zeros_like(error)),
        cost=final.cost if job.shared is None else torch.stack(list(term_costs.values())).sum(0),
        term_costs=term_costs,
    )


def parameters_of(body: SparseBody, state: State) -> Parameters:
    """A state under the names of the label files."""
    hands = so3.exp(body.hand_rotvec(state.hand_pca))
    betas, expression, shape, _ = state.coefficients.split(list(body.num_groups), 1)
    return Parameters(
        transl_m=pinhole.position_to_transl(state.position),
        global_orient=state.global_orient,
        body_pose=state.body_pose,
        left_hand_pose=hands[:, 0],
        right_hand_pose=hands[:, 1],
        betas=betas,
        flame_shape=shape,
        flame_expression=expression,
        jaw_pose=state.jaw_pose,
        eye_pose=state.eye_pose,
        eyelids=state.eyelids,
        head_scale=torch.exp(state.log_head_scale),
    )

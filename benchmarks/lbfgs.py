"""L-BFGS with strong Wolfe line search on one image at a time, in stages, as SMPLify-X fits photos.

A camera stage moves root and translation; then five stages over all unknowns, with falling weight of the priors, a
narrowing robust loss, and hands and face switched on towards the end. Objective and robust loss are those of the
refinement, so that costs compare; SMPLify-X has 30 iterations a stage, Geman-McClure and weights of this shape too.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchmarks.trial import BODY_PART, FACE_PART, HAND_PART, Objective, Outcome, Trial, outcome_of
from benchmarks.unknowns import Pose, state_of, unknowns_of
from fitting.unknowns import State
from model.body import skeleton

ITERATIONS = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """Weights of one stage."""

    robust_scale: float
    """Scale of the robust loss, in sigmas."""
    priors: float
    """Weight of all priors."""
    hands: float
    """Weight of the hand keypoints."""
    face: float
    """Weight of the face keypoints."""
    camera_only: bool = False
    """Whether only root and translation move."""


STAGES = (
    Stage(robust_scale=50.0, priors=1.0, hands=0.0, face=0.0, camera_only=True),
    Stage(robust_scale=20.0, priors=10.0, hands=0.0, face=0.0),
    Stage(robust_scale=12.0, priors=5.0, hands=0.0, face=0.0),
    Stage(robust_scale=8.0, priors=2.0, hands=0.0, face=0.0),
    Stage(robust_scale=4.0, priors=1.0, hands=0.1, face=0.0),
    Stage(robust_scale=4.0, priors=1.0, hands=1.0, face=1.0),
)


def part_weights(stage: Stage) -> Tensor:
    """(133,)."""
    weight = torch.ones(skeleton.NUM_KEYPOINTS)
    weight[BODY_PART], weight[FACE_PART], weight[HAND_PART] = 1.0, stage.face, stage.hands
    return weight


def run_lbfgs(trial: Trial, pose: Pose, iterations: int = ITERATIONS) -> Outcome:
    """Fits the people of a trial, who share one line search: give it one person.

    Args:
        trial: people.
        pose: forward pass.
        iterations: of each stage.
    """
    objective, device = Objective(trial), trial.start.position.device
    unknowns = unknowns_of(trial.body, trial.start)
    start = trial.start
    for stage in STAGES:
        moving = [unknowns["root"], unknowns["translation"]] if stage.camera_only else list(unknowns.values())
        optimiser = torch.optim.LBFGS(
            moving, max_iter=iterations, line_search_fn="strong_wolfe", tolerance_grad=1e-9, tolerance_change=1e-9
        )
        weight, begin = part_weights(stage).to(device), start

        def closure(stage: Stage = stage, weight: Tensor = weight, begin: State = begin) -> Tensor:
            for value in unknowns.values():
                value.grad = None
            state = state_of(unknowns, begin)
            seen = objective.keypoint_cost(pose(state).keypoints, stage.robust_scale, weight)
            total = (seen + stage.priors * objective.prior_cost(state)).sum()
            total.backward()
            return total

        optimiser.step(closure)
        with torch.no_grad():
            bins = trial.body.contour_bin(state_of(unknowns, start))
        start = replace(start, contour_bin=bins)
    with torch.no_grad():
        return outcome_of(trial, state_of({name: value.detach() for name, value in unknowns.items()}, start))

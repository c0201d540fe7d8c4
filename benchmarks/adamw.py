"""AdamW on the same people: the schedule of EHM-Tracker, and one tuned on this objective.

EHM-Tracker (`ehm_refiner`) minimises its own loss; the figures below are its own. What 133 keypoints cannot feed is
left out, each time in favour of the baseline:

* its three extra face-landmark networks, and the pulls of head and hand vertices towards projected FLAME and HaMeR
  fits, which come from those. Expression and jaw, which its first stage (`flame_refiner`) fits, are stepped here with
  the rates of that stage;
* VPoser, whose term is the mean of a latent mean; MANO shapes, joint offsets and hand scale, which EHM-s does not have;
* the pull of legs and spine to zero (400, joints 2..11 by an index slip), which makes it a tool for upper bodies;
* temporal terms, which are means over nothing for a photo;
* the camera rotation (6D, common to camera and body) is a rotation of the root by axis-angle; the steps are of the
  same size. Head scale is stepped as its logarithm, hands in an orthonormal basis of the same axis-angle vectors.

Every person has a loss of its own and the sum is stepped: Adam's steps then do not depend on who else is in the batch.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from benchmarks.full_mesh import Mesh
from benchmarks.trial import Objective, Outcome, Trial, outcome_of
from benchmarks.unknowns import Pose, Unknowns, state_of, unknowns_of
from fitting import so3
from fitting.unknowns import State
from model.body import skeleton

TRACKER_RATES = {
    "root": 5e-4,
    "body": 1e-3,
    "jaw": 1e-3,
    "hands": 1e-5,
    "translation": 5e-3,
    "log_head_scale": 1e-4,
    "betas": 1e-4,
    "expression": 1e-3,
    "flame_shape": 2e-5,
    "surface": 0.0,
}
"""Learning rates of `ehm_refiner`; those of expression and jaw are from `flame_refiner`. No surface offsets there."""
TUNED_RATES = dict.fromkeys(TRACKER_RATES, 0.01) | {
    "hands": 2e-2,
    "betas": 2e-2,
    "expression": 2e-2,
    "flame_shape": 2e-2,
    "surface": 1e-3,
}
"""Best of a search by decades and halves on synthetic people."""
TRACKER_DECAY = 0.01
"""Default of `torch.optim.AdamW`, which the tracker leaves as it is."""
TRACKER_STEPS, TRACKER_IMAGE_STEPS, TUNED_STEPS = 1001, 101, 1000
CROP_PX = 1024
"""Side of EHM-Tracker's body crop, in whose pixels its loss is measured."""
_CROP_MARGIN = 1.25
_DETECTED_SCORE = 0.9
"""Synthetic keypoints state a sigma, not a score; those that were seen pass all thresholds of the tracker."""
_REFRESH_STEPS = 50

Loss: TypeAlias = Callable[[int, State, Mesh], Tensor]
"""(step, state, posed body) -> (B,)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """How the unknowns are stepped."""

    steps: int
    """Steps to take."""
    rates: dict[str, float]
    """Learning rate of each unknown."""
    weight_decay: float = 0.0
    """Decay a step, as a share of the rate. It pulls the unknowns themselves, depth included, so only the schedule of
    which it is a part has it."""
    cosine: bool = False
    """Whether the rates fall to zero along a cosine."""


def keypoint_weights() -> Tensor:
    """Part weights (133,) of EHM-Tracker's 2D loss."""
    weight = torch.ones(skeleton.NUM_KEYPOINTS)
    weight[0:5] = 0  # nose, eyes, ears
    weight[5:7] = 50  # shoulders
    weight[7:9] = 100  # elbows
    weight[9:11] = 20  # wrists
    weight[11:13] = 1  # hips
    weight[13:23] = 20  # knees, ankles, feet
    weight[skeleton.CONTOUR] = 5
    weight[skeleton.INNER_FACE] = 1
    weight[91:133] = 10
    return weight


def tracker_loss(trial: Trial) -> Loss:
    """The loss of `ehm_refiner`, as far as keypoints and coarse estimates feed it."""
    observations, start = trial.people.observations, trial.start
    seen = torch.isfinite(observations.sigma_px)
    confidence = torch.where(seen, 2 * _DETECTED_SCORE, 0.0)
    weight = confidence * keypoint_weights().to(confidence.device)
    observed = torch.where(seen[..., None], observations.keypoints_px, 0.0)
    to_crop = CROP_PX / (_CROP_MARGIN * trial.people.height_px)
    view = trial.people.camera
    begin: list[Mesh] = []

    def loss(step: int, state: State, mesh: Mesh) -> Tensor:
        if not begin:
            begin.append(
                Mesh(keypoints=mesh.keypoints.detach(), joints=mesh.joints.detach(), vertices=mesh.vertices.detach())
            )
        depth = mesh.keypoints[..., 2:].clamp(min=0.1)
        pixels = view.focal_px[:, None, None] * mesh.keypoints[..., :2] / depth + view.principal_px[:, None]
        off = (pixels - observed).abs().mean(-1) * to_crop[:, None]
        keypoints = 0.2 * (weight * off).mean(1)
        moved = [(a[..., 2] - b[..., 2]).abs().mean(1) for a, b in _depths(mesh, begin[0])]
        betas = state.coefficients[:, : trial.body.num_groups[0]]
        rotvec, jaw = so3.log(state.body_pose), so3.log(state.jaw_pose)
        flat = trial.body.hand_rotvec(state.hand_pca)
        return (
            keypoints
            + 2.5 * torch.stack(moved).sum(0)
            + 0.1 * betas.square().mean(1)
            + 0.1 * (state.body_pose - start.body_pose).abs().mean((1, 2, 3))
            + 100 * rotvec.square().mean((1, 2))
            + 100 * (torch.exp(state.log_head_scale) - 1).square().mean(1)
            + 0.1 * flat.square().mean((2, 3)).sum(1)
            + 5e3 * jaw[:, 1:].square().mean(1)
        )

    return loss


def objective_loss(trial: Trial, steps: int, *, graduated: bool) -> Loss:
    """The objective of the refinement; graduated, its robust loss narrows over the first 60 % of the steps."""
    objective, config = Objective(trial), trial.config
    narrowing = config.robust_scale / config.graduated_scale

    def loss(step: int, state: State, mesh: Mesh) -> Tensor:
        share = min(1.0, step / (0.6 * steps)) if graduated else 1.0
        scale = config.graduated_scale * narrowing**share
        return objective.keypoint_cost(mesh.keypoints, scale) + objective.prior_cost(state)

    return loss


def run_adamw(trial: Trial, pose: Pose, loss: Loss, schedule: Schedule, stop_after: int | None = None) -> Outcome:
    """Steps all people of a trial together.

    Args:
        trial: people.
        pose: forward pass.
        loss: what to minimise.
        schedule: rates and steps.
        stop_after: end early, to time a part of the schedule.
    """
    unknowns = unknowns_of(trial.body, trial.start)
    optimiser = torch.optim.AdamW(
        [{"params": [value], "lr": schedule.rates[name]} for name, value in unknowns.items()],
        weight_decay=schedule.weight_decay,
    )
    state = trial.start
    for step in range(schedule.steps if stop_after is None else min(stop_after, schedule.steps)):
        if schedule.cosine:
            share = 0.5 * (1 + math.cos(math.pi * step / schedule.steps))
            for group, name in zip(optimiser.param_groups, unknowns, strict=True):
                group["lr"] = share * schedule.rates[name]
        state = _refreshed(trial, unknowns, state, step)
        optimiser.zero_grad()
        loss(step, state, pose(state)).sum().backward()
        optimiser.step()
    return outcome_of(trial, _end(unknowns, trial))


def _refreshed(trial: Trial, unknowns: Unknowns, state: State, step: int) -> State:
    """The state of the unknowns; the face outline is looked up again now and then."""
    new = state_of(unknowns, trial.start)
    if step % _REFRESH_STEPS:
        return replace(new, contour_bin=state.contour_bin)
    with torch.no_grad():
        return replace(new, contour_bin=trial.body.contour_bin(new))


def _end(unknowns: Unknowns, trial: Trial) -> State:
    with torch.no_grad():
        return state_of({name: value.detach() for name, value in unknowns.items()}, trial.start)


def _depths(mesh: Mesh, begin: Mesh) -> list[tuple[Tensor, Tensor]]:
    return [(mesh.joints, begin.joints), (mesh.vertices, begin.vertices)]

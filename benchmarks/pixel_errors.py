"""How far people are from the truth, in what the refinement by pixels can change of a face or a hand."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.pixel_people import Trial, open_rest, open_sparse, part_vertices, posed
from fitting import so3
from fitting.result import parameters_of
from fitting.unknowns import State
from model.body.parameters import EhmParameters
from model.metrics.joints import similarity_align

_DEG = math.pi / 180


def errors_of(trial: Trial, state: State) -> dict[str, Tensor]:
    """Errors (B,) of a state, by their names."""
    found, truth = parameters_of(open_sparse(), state), trial.truth
    vertices, true = posed(found), posed(truth)
    rest, part = open_rest(), part_vertices(trial.framing)

    def across(rows: Tensor) -> Tensor:
        """mm, along the picture."""
        mine, its = vertices[:, rows], true[:, rows]
        return (mine[..., :2] / mine[..., 2:] * its[..., 2:] - its[..., :2]).norm(dim=-1).mean(1) * 1e3

    if trial.framing != "face":
        aligned = similarity_align(vertices[:, part], true[:, part])
        return {
            "fingers deg": so3.angle_between(found.left_hand_pose, truth.left_hand_pose).mean(1) / _DEG,
            "hand PA mm": (aligned - true[:, part]).norm(dim=-1).mean(1) * 1e3,
            "in-plane mm": across(part),
        }
    joints, points = rest.joints_m, rest.points_m
    front = points[part, 2] > joints["head"][2] + 0.02
    face = part[torch.from_numpy(front & (points[part, 1] < joints["left_eye"][1] + 0.03))]
    still = EhmParameters.neutral(len(vertices), betas=truth.betas, flame_shape=truth.flame_shape)

    def alone(people: EhmParameters) -> Tensor:
        """Faces that differ in jaw, expression and eyelids alone."""
        kept = {name: getattr(people, name) for name in ("jaw_pose", "flame_expression", "eyelids")}
        return posed(replace(still, **kept))

    apart = (alone(found) - alone(truth)).norm(dim=-1) * 1e3
    aligned = similarity_align(vertices[:, face], true[:, face])
    return {
        "lips mm": apart[:, torch.from_numpy(rest.regions["lips"] > 0.5)].mean(1),
        "eyelids": (found.eyelids - truth.eyelids).abs().mean(1),
        "eyelids mm": apart[:, torch.from_numpy(rest.regions["eyelids"] > 0.5)].mean(1),
        "jaw rad": (so3.log(found.jaw_pose) - so3.log(truth.jaw_pose))[:, 0].abs(),
        "head scale %": (found.head_scale / truth.head_scale - 1).abs().mean(1) * 100,
        "in-plane mm": across(face),
        "face mm": apart[:, face].mean(1),
        "face PA mm": (aligned - true[:, face]).norm(dim=-1).mean(1) * 1e3,
    }

"""Errors of refined synthetic people against their truth."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.trial import BODY_PART, FACE_PART, HAND_PART, Trial
from fitting.result import parameters_of
from model.batches import map_tensors
from model.body.ehms import EHMs
from model.body.parameters import EhmParameters
from model.metrics.person import PosedPeople, person_errors

Array = NDArray[np.float64]
_CHUNK = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Errors:
    """Errors of B people."""

    reproj_px: Array
    """(B, 133) distance to the clean keypoints, for a person 512 px tall."""
    mpjpe: Array
    """(B,) mm, 22 joints, pelvis moved together."""
    pa_mpjpe: Array
    """(B,) mm, after similarity alignment."""
    hand_pa: Array
    """(B,) mm, hand vertices after alignment of each hand, mean of both."""
    hand_joints_pa: Array
    """(B,) mm, the same for wrist and 15 joints."""
    face_pa: Array
    """(B,) mm, head vertices after alignment."""
    head_scale: Array
    """(B,) mean absolute error over three axes."""
    depth_rel: Array
    """(B,) absolute error of the pelvis depth as a share of it."""

    def median_px(self) -> Array:
        """(B,) median over the keypoints of a person."""
        return np.median(self.reproj_px, axis=1)


@torch.no_grad()
def errors_of(trial: Trial, ehms: EHMs, parameters: EhmParameters, keypoints_px: Tensor) -> Errors:
    """Compares parameters and their keypoints with the truth of a trial."""
    truth = parameters_of(trial.body, trial.people.truth)
    chunks = [
        person_errors(_posed(ehms, parameters, rows), _posed(ehms, truth, rows))
        for rows in torch.arange(trial.count).split(_CHUNK)
    ]
    found = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    off = (keypoints_px - trial.people.clean_px).norm(dim=-1) * trial.pixel_scale[:, None]
    depth, true_depth = (people.known("transl_m")[:, 2] for people in (parameters, truth))
    return Errors(
        reproj_px=_numpy(off),
        mpjpe=found["mpjpe_mm"],
        pa_mpjpe=found["pa_mpjpe_mm"],
        hand_pa=found["hand_pa_pve_mm"].mean(1),
        hand_joints_pa=found["hand_pa_mpjpe_mm"].mean(1),
        face_pa=found["head_posed_pa_mm"],
        head_scale=found["head_scale_error"],
        depth_rel=_numpy((depth / true_depth - 1).abs()),
    )


def summarise(errors: Errors, start: Errors) -> dict[str, float]:
    """One number a column; `start` are the errors of the same people before."""
    row = {}
    for name, part in (("body", BODY_PART), ("hand", HAND_PART), ("face", FACE_PART)):
        values = errors.reproj_px[:, part]
        row[f"{name}_px_median"] = float(np.median(values))
        row[f"{name}_px_p95"] = float(np.quantile(values, 0.95))
    for name in ("mpjpe", "pa_mpjpe", "hand_pa", "hand_joints_pa", "face_pa", "head_scale", "depth_rel"):
        row[name] = float(np.mean(getattr(errors, name)))
    row["worse_px"] = float(np.mean(errors.median_px() > start.median_px()))
    row["worse_pa"] = float(np.mean(errors.pa_mpjpe > start.pa_mpjpe))
    return row


def _posed(ehms: EHMs, parameters: EhmParameters, rows: Tensor) -> PosedPeople:
    """Some of the people as they are posed, the pelvis where the rest pose has it."""
    people = replace(map_tensors(parameters, lambda value: value[rows].to(ehms.body.template)), transl_m=None)
    out = ehms(people)
    return PosedPeople.of_mesh(out.joints, out.vertices, ehms.assets, head_scale=parameters.head_scale[rows])


def _numpy(values: Tensor) -> Array:
    return values.double().cpu().numpy()

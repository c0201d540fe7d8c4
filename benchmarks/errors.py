"""Errors of refined synthetic people against their truth."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.trial import BODY_PART, FACE_PART, HAND_PART, Trial
from fitting.result import Parameters
from fitting.summary import parameters_of
from model.body import skeleton
from model.body.ehms import EHMs
from model.metrics.joints import mpjpe_mm, pa_mpjpe_mm

Array = NDArray[np.float64]
NUM_BODY = 22
"""Root and body joints."""
_CHUNK = 32
_WRISTS = (20, 21)


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
def errors_of(trial: Trial, ehms: EHMs, parameters: Parameters, keypoints_px: Tensor) -> Errors:
    """Compares parameters and their keypoints with the truth of a trial."""
    truth = parameters_of(trial.body, trial.people.truth)
    vertices, joints = _posed(ehms, parameters)
    true_vertices, true_joints = _posed(ehms, truth)
    assets = ehms.assets
    hands, hand_joints = [], []
    ranges = (skeleton.SMPLX_LEFT_HAND, skeleton.SMPLX_RIGHT_HAND)
    for side, wrist, own in zip(("left", "right"), _WRISTS, ranges, strict=True):
        ids = assets.hand_vertex_ids[side]
        hands.append(pa_mpjpe_mm(vertices[:, ids], true_vertices[:, ids]))
        rows = [wrist, *range(own.start, own.stop)]
        hand_joints.append(pa_mpjpe_mm(joints[:, rows], true_joints[:, rows]))
    body, head = slice(0, NUM_BODY), assets.head_vertex_ids
    off = (keypoints_px - trial.people.clean_px).norm(dim=-1) * trial.pixel_scale[:, None]
    depth, true_depth = parameters.transl_m[:, 2], truth.transl_m[:, 2]
    return Errors(
        reproj_px=_numpy(off),
        mpjpe=mpjpe_mm(joints[:, body], true_joints[:, body]),
        pa_mpjpe=pa_mpjpe_mm(joints[:, body], true_joints[:, body]),
        hand_pa=np.mean(hands, 0),
        hand_joints_pa=np.mean(hand_joints, 0),
        face_pa=pa_mpjpe_mm(vertices[:, head], true_vertices[:, head]),
        head_scale=_numpy((parameters.head_scale - truth.head_scale).abs().mean(1)),
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


def _posed(ehms: EHMs, parameters: Parameters) -> tuple[Array, Array]:
    """Vertices and joints relative to the pelvis, metres."""
    count = len(parameters.transl_m)
    device = ehms.head_weight.device
    vertices, joints = [], []
    for rows in torch.arange(count).split(_CHUNK):
        values = {name: getattr(parameters, name)[rows].to(device).float() for name in _POSED_BY}
        out = ehms(**values)
        pelvis = out.joints[:, :1]
        vertices.append(_numpy(out.vertices - pelvis))
        joints.append(_numpy(out.joints - pelvis))
    return np.concatenate(vertices), np.concatenate(joints)


_POSED_BY = (
    "betas", "body_pose", "global_orient", "left_hand_pose", "right_hand_pose", "flame_shape", "flame_expression",
    "jaw_pose", "eye_pose", "eyelids", "head_scale",
)  # fmt: skip


def _numpy(values: Tensor) -> Array:
    return values.double().cpu().numpy()

"""Where the labels' joints and keypoints are in 3D: the labels posed by the same body as the predictions."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from datasets_manifest.schema.ehm_fields import LEARNT_FIELDS
from model.batches import choose_rows
from model.body.keypoint_body import KeypointBody
from model.body.parameters import EhmParameters
from model.regressor.batch import TrainingBatch


@torch.no_grad()
def posed_target(batch: TrainingBatch, body: KeypointBody) -> tuple[Tensor, Tensor]:
    """Joints (B, 55, 3) and keypoints (B, 133, 3) of the labels, metres, in the frame of the crop's camera.

    The pelvis is at its rest position, as for a prediction. What must not supervise has no say in where the rest is:
    see ``neutral_where_invalid``.
    """
    posed = body(neutral_where_invalid(batch))
    return posed.joints, posed.keypoints


def neutral_where_invalid(batch: TrainingBatch) -> EhmParameters:
    """The labels with a neutral value in place of every part that may not supervise.

    Hands are flat, the face is the mean one, looking ahead with the mouth closed, and the head has its own size (it
    takes body and face to know the scale). An invalid body keeps what it says as long as it is finite, because it
    carries a head and hands that may be valid; where it is not, the body stands at rest, turned as the head is.
    """
    target = batch.target
    rest = EhmParameters.neutral(len(batch), size=target.size, dtype=target.betas.dtype, device=target.betas.device)
    rest = dataclasses.replace(rest, global_orient=target.known("head_orient"))
    finite = [getattr(target, f.name).flatten(1).isfinite().all(1) for f in LEARNT_FIELDS if f.part == "body"]
    kept = {
        "body": batch.body_valid | torch.stack(finite).all(0),
        "left_hand": batch.left_hand_valid,
        "right_hand": batch.right_hand_valid,
        "face": batch.face_valid,
    }
    flags = {f.name: kept[f.part] for f in LEARNT_FIELDS} | {"head_scale": batch.face_valid & batch.body_valid}
    changes = {name: choose_rows(flag, getattr(target, name), getattr(rest, name)) for name, flag in flags.items()}
    return dataclasses.replace(target, **changes)

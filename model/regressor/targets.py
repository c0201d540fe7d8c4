"""Where the labels' joints and keypoints are in 3D: the labels posed by the same body as the predictions."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from model.batches import map_tensors
from model.body.keypoint_body import KeypointBody
from model.body.parameters import EhmParameters
from model.regressor.batch import TrainingBatch

_BODY = ("global_orient", "body_pose", "betas")
_FACE = ("jaw_pose", "eye_pose", "eyelids", "flame_shape", "flame_expression")


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
    flags = dict.fromkeys(_FACE, batch.face_valid)
    flags |= {"left_hand_pose": batch.left_hand_valid, "right_hand_pose": batch.right_hand_valid}
    flags["head_scale"] = batch.face_valid & batch.body_valid
    neutral = neutral_parameters(target)
    changes = {name: torch.where(_rows(flag, target, name), getattr(target, name), getattr(neutral, name))
               for name, flag in flags.items()}  # fmt: skip
    finite = torch.stack([getattr(target, name).flatten(1).isfinite().all(1) for name in _BODY]).all(0)
    kept = batch.body_valid | finite
    upright = dataclasses.replace(neutral, global_orient=target.head_orient)
    changes |= {name: torch.where(_rows(kept, target, name), getattr(target, name), getattr(upright, name))
                for name in _BODY}  # fmt: skip
    return dataclasses.replace(target, **changes)


def neutral_parameters(like: EhmParameters) -> EhmParameters:
    """Zero coefficients, identity rotations and a scale of one, in the sizes, type and place of other parameters."""

    def neutral(tensor: Tensor) -> Tensor:
        if tensor.shape[-2:] == (3, 3):
            return torch.eye(3, dtype=tensor.dtype, device=tensor.device).expand_as(tensor)
        return torch.zeros_like(tensor)

    return dataclasses.replace(map_tensors(like, neutral), head_scale=torch.ones_like(like.head_scale))


def _rows(flag: Tensor, like: EhmParameters, name: str) -> Tensor:
    """(B,) -> (B, 1, ...) as many dimensions as the parameter has."""
    return flag.reshape(-1, *[1] * (getattr(like, name).dim() - 1))

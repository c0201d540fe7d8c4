"""Random people and batches for tests of the regressor's geometry and losses."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from model.batches import map_tensors
from model.body.keypoint_body import KeypointBody
from model.body.parameters import EhmParameters
from model.imaging.crop_camera import project_into_crop
from model.regressor.batch import TrainingBatch
from model.regressor.loss_config import WEIGHT_NAMES, LossConfig
from model.regressor.losses import LossTerms, regressor_loss
from model.regressor.network import Prediction
from model.regressor.targets import posed_target
from model.rotations import rotvec_to_rotmat

FOCAL_SIDES = 5000 / 256
EVERYTHING = dataclasses.replace(LossConfig(), **{name: 0.5 + 0.1 * k for k, name in enumerate(WEIGHT_NAMES)})
"""All weights different, none zero."""
PART_FIELDS = {
    "body": ("global_orient", "body_pose", "betas"),
    "left_hand": ("left_hand_pose",),
    "right_hand": ("right_hand_pose",),
    "face": ("head_orient", "jaw_pose", "eye_pose", "eyelids", "flame_shape", "flame_expression"),
}
"""Parameters that one flag alone decides about; the scale of the head takes body and face."""


def random_parameters(num: int, seed: int = 0, *, dtype: torch.dtype = torch.float32) -> EhmParameters:
    """People in the camera frame, every parameter in use."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return torch.randn(num, *shape, generator=generator, dtype=torch.float64) * scale

    def rotation(*shape: int, scale: float = 0.3) -> Tensor:
        return rotvec_to_rotmat(normal(*shape, 3, scale=scale))

    facing = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    people = EhmParameters(
        global_orient=rotation(scale=0.5) @ facing,
        body_pose=rotation(21),
        left_hand_pose=rotation(15),
        right_hand_pose=rotation(15),
        betas=normal(10),
        head_orient=rotation(scale=0.5) @ facing,
        jaw_pose=rotation(scale=0.1),
        eye_pose=rotation(2, scale=0.1),
        eyelids=normal(2, scale=0.3).abs(),
        flame_shape=normal(10),
        flame_expression=normal(10),
        head_scale=1.0 + normal(3, scale=0.1),
    )
    return map_tensors(people, lambda tensor: tensor.to(dtype))


def random_camera(num: int, seed: int = 0, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """(B, 3) s, tx, ty of people who fill their crop."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(num, 3, generator=generator, dtype=torch.float64)
    return (torch.tensor([0.9, 0.0, 0.0]) + noise * torch.tensor([0.1, 0.2, 0.2])).to(dtype)


def prediction_of(parameters: EhmParameters, camera: Tensor) -> Prediction:
    """A prediction that says this."""
    return Prediction(parameters=parameters, camera=camera)


def random_batch(num: int, seed: int = 0, *, dtype: torch.dtype = torch.float32) -> TrainingBatch:
    """People of whom everything is valid and seen."""
    generator = torch.Generator().manual_seed(1000 + seed)
    keypoints = torch.rand(num, 133, 3, generator=generator, dtype=torch.float64)
    keypoints[..., :2] -= 0.5
    keypoints[..., 2] = 0.75 + 0.25 * keypoints[..., 2]
    yes = torch.ones(num, dtype=torch.bool)
    return TrainingBatch(
        crops=torch.zeros(num, 3, 4, 4, dtype=torch.uint8),
        target=random_parameters(num, seed, dtype=dtype),
        keypoints_2d=keypoints.to(dtype),
        body_valid=yes,
        left_hand_valid=yes.clone(),
        right_hand_valid=yes.clone(),
        face_valid=yes.clone(),
        joint_seen=torch.ones(num, 22, dtype=torch.bool),
        body_group_valid=torch.ones(num, 6, dtype=torch.bool),
        eyes_valid=yes.clone(),
        eyelids_valid=yes.clone(),
        weight=torch.ones(num, 4, dtype=dtype),
        sample_ids=tuple(f"made/train/{k}#0" for k in range(num)),
        crop_from_image=torch.eye(3, dtype=torch.float64)[:2].expand(num, 2, 3),
    )


def rows(batch: TrainingBatch, chosen: slice) -> TrainingBatch:
    """Some people of a batch."""
    named = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    cut = {name: value[chosen] for name, value in named.items() if name != "target"}
    return dataclasses.replace(batch, target=map_tensors(batch.target, lambda tensor: tensor[chosen]), **cut)


def overwritten(batch: TrainingBatch, part: str, value: float) -> TrainingBatch:
    """The batch with one part's labels, and the head's scale if that is concerned, set to a value in every row."""
    names = PART_FIELDS[part] + (("head_scale",) if part in ("body", "face") else ())
    changes = {name: torch.full_like(getattr(batch.target, name), value) for name in names}
    return dataclasses.replace(batch, target=dataclasses.replace(batch.target, **changes))


def loss_of(
    parameters: EhmParameters,
    camera: Tensor,
    batch: TrainingBatch,
    body: KeypointBody,
    config: LossConfig = EVERYTHING,
) -> LossTerms:
    """From parameters to the loss, as in training."""
    posed = body(parameters)
    prediction = prediction_of(parameters, camera)
    target = posed_target(batch, body)
    return regressor_loss(prediction, posed.joints, posed.keypoints, batch, *target, config, FOCAL_SIDES)


def gradient_of(parameters: EhmParameters, camera: Tensor, batch: TrainingBatch, body: KeypointBody) -> list[Tensor]:
    leaves = map_tensors(parameters, lambda tensor: tensor.detach().clone().requires_grad_())
    view = camera.clone().requires_grad_()
    total = loss_of(leaves, view, batch, body).total
    inputs = [*leaves.named().values(), view]
    return list(torch.autograd.grad(total, inputs, materialize_grads=True, allow_unused=True))


def seen_by(batch: TrainingBatch, camera: Tensor, body: KeypointBody) -> TrainingBatch:
    """The batch with the keypoints that its own labels show."""
    posed = body(batch.target)
    shown = project_into_crop(posed.keypoints - posed.joints[:, :1], camera, FOCAL_SIDES)
    return dataclasses.replace(batch, keypoints_2d=torch.cat([shown, batch.keypoints_2d[..., 2:]], -1))


def without(batch: TrainingBatch, flag: str) -> TrainingBatch:
    changes = {flag: torch.zeros(len(batch), dtype=torch.bool)}
    return dataclasses.replace(batch, **changes)

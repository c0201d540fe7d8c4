"""Crops in, loss out: what the processes of a training differentiate together."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from model.body.keypoint_body import KeypointBody
from model.regressor.batch import TrainingBatch
from model.regressor.loss_config import LossConfig
from model.regressor.losses import regressor_loss
from model.regressor.mean_parameters import people_of
from model.regressor.network import EhmRegressor, Prediction, normalise
from model.regressor.runtime import numerics
from model.regressor.targets import posed_target
from model.regressor.token_keypoints import TokenKeypoints
from model.regressor.unseen import UNSEEN_TERM, guessed, hold_unseen, unseen_term

TOKEN_TERM = "token_keypoints"
"""Name of the term that only the training has."""


class Objective(nn.Module):
    """The network, the body that poses what it says, and the loss, as one module with the loss as its only output.

    DistributedDataParallel looks for unused weights behind the outputs of what it wraps. Wrapped around the network
    alone it would wait for read-outs whose terms have the weight 0; around this it knows that they have no gradient.

    Args:
        network: Crops to parameters.
        body: Poses predictions and labels; it has no weights.
        loss: Terms and weights.
        precision: ``fp32``, ``tf32`` or ``bf16``: the backbone's products are then made in bfloat16. ``tf32`` is a
            setting of the process (``Trainer.start``); bodies are posed in float32 whatever it is.
        token_keypoints: Weight of ``model.regressor.token_keypoints``; at 0 there is no such layer.
    """

    def __init__(
        self, network: EhmRegressor, body: KeypointBody, loss: LossConfig, precision: str, token_keypoints: float = 0.0
    ) -> None:
        super().__init__()
        self.network, self.body, self.loss = network, body, loss
        self.precision = precision
        self.token_weight = token_keypoints
        self.tokens = TokenKeypoints(network.config) if token_keypoints else None

    def forward(self, batch: TrainingBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and its terms without gradient, each a mean over the rows.

        Raises:
            ValueError: The crops are not of the network's size.
        """
        prediction, tokens = self.predict(batch)
        return self.supervise(prediction, tokens, batch)

    def predict(self, batch: TrainingBatch) -> tuple[Prediction, Tensor]:
        """What the network says of the people of a batch, and the backbone's tokens.

        Raises:
            ValueError: The crops are not of the network's size.
        """
        config = self.network.config
        crops = normalise(batch.crops)[..., config.side_px : config.crop_px - config.side_px]
        with _attention(crops.device), torch.autocast(crops.device.type, torch.bfloat16, self.precision == "bf16"):
            tokens = self.network.backbone(crops)
        # Rotations, camera and body need float32, whatever the backbone worked in.
        return self.network.heads(tokens), tokens

    def supervise(
        self, prediction: Prediction, tokens: Tensor, batch: TrainingBatch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What a prediction is charged for by the labels: the loss, and its terms without gradient."""
        said, guesses = prediction.parameters, guessed(batch)
        if self.loss.unseen:
            prediction = replace(prediction, parameters=hold_unseen(said, guesses))
        with numerics("fp32", batch.crops.device):  # tf32 moves points by half a millimetre
            posed = self.body(prediction.parameters)
            target_joints, target_keypoints = posed_target(batch, self.body)
        found = regressor_loss(
            prediction, posed.joints, posed.keypoints, batch, target_joints, target_keypoints, self.loss,
            self.network.config.focal_sides,
        )  # fmt: skip
        total, terms = found.total, {name: value.detach() for name, value in found.terms.items()}
        unseen = unseen_term(said, people_of(self.network.mean), guesses)
        terms[UNSEEN_TERM] = unseen.detach()
        if self.loss.unseen:
            total = total + self.loss.unseen * unseen
        if self.tokens is not None:
            located = self.tokens(tokens, batch.keypoints_2d, batch.weight.mean(1))
            total = total + self.token_weight * located
            terms[TOKEN_TERM] = located.detach()
        return total, terms


def _attention(device: torch.device) -> AbstractContextManager[object]:
    """On a CPU, plain products: the fused kernel's backward pass takes a third of a step of a small network there."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()

"""Crops in, loss out: what the processes of a training differentiate together."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.body.keypoint_body import KeypointBody
from model.regressor.batch import TrainingBatch
from model.regressor.losses import LossConfig, LossTerms, regressor_loss
from model.regressor.network import EhmRegressor, normalise
from model.regressor.targets import posed_target


class Objective(nn.Module):
    """The network, the body that poses what it says, and the loss, as one module with the loss as its only output.

    DistributedDataParallel looks for unused weights behind the outputs of what it wraps. Wrapped around the network
    alone it would wait for read-outs whose terms have the weight 0; around this it knows that they have no gradient.

    Args:
        network: Crops to parameters.
        body: Poses predictions and labels; it has no weights.
        loss: Terms and weights.
        precision: ``fp32``, ``tf32`` or ``bf16``; only the last changes anything here: the backbone's products are
            then made in bfloat16.
    """

    def __init__(self, network: EhmRegressor, body: KeypointBody, loss: LossConfig, precision: str) -> None:
        super().__init__()
        self.network, self.body, self.loss = network, body, loss
        self.precision = precision

    def forward(self, batch: TrainingBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and its terms without gradient, each a mean over the rows.

        Raises:
            ValueError: The crops are not of the network's size.
        """
        terms = self.terms(batch)
        return terms.total, {name: value.detach() for name, value in terms.terms.items()}

    def terms(self, batch: TrainingBatch) -> LossTerms:
        """See ``forward``."""
        crops = normalise(batch.crops)
        with torch.autocast(crops.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            prediction = self.network(crops)
        posed = self.body(**prediction.parameters.body_arguments())
        target_joints, target_keypoints = posed_target(batch, self.body)
        return regressor_loss(
            prediction, posed.joints, posed.keypoints, batch, target_joints, target_keypoints, self.loss,
            self.network.config.focal_sides,
        )  # fmt: skip

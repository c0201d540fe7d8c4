"""Stage 2 (equations 6 to 8): crops in, people said, posed, drawn and compared with the photo; the labels stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from model.body.keypoint_body import KeypointBody
from model.regressor.loss_config import LossConfig
from model.regressor.network import EhmRegressor
from model.regressor.runtime import numerics
from model.regressor.unseen import guessed, hold_unseen
from model.renderer.photometric import Photometric
from tasks.training.photometric.balance import Balance
from tasks.training.photometric.dataset import PicturedBatch
from tasks.training.regressor.objective import Objective


class PhotometricObjective(Objective):
    """The loss of stage 1 and that of the pictures.

    Args:
        network: Crops to parameters.
        body: Poses predictions and labels.
        loss: Terms and weights of stage 1.
        precision: See ``Objective``.
        photometric: Draws and compares.
        balance: Weights of the pictures.
        labels_weight: Weight of the loss of stage 1.
    """

    def __init__(
        self,
        network: EhmRegressor,
        body: KeypointBody,
        loss: LossConfig,
        precision: str,
        photometric: Photometric,
        balance: Balance,
        labels_weight: float,
    ) -> None:
        super().__init__(network, body, loss, precision)
        self.balance = balance
        self.labels_weight = labels_weight
        # In a tuple it is no part of the state: it comes from files, and stays as it is.
        self._frozen = (photometric.requires_grad_(False),)

    @property
    def photometric(self) -> Photometric:
        """What draws and compares."""
        return self._frozen[0]

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> PhotometricObjective:
        self.photometric._apply(fn)
        return super()._apply(fn, recurse)

    def forward(self, batch: PicturedBatch) -> tuple[Tensor, dict[str, Tensor]]:  # type: ignore[override]
        """The loss, and its terms without gradient, each a mean over the rows: those of stage 1, ``photo_<part>``,
        ``drawn_<part>`` (the share of people whose part is drawn) and ``weight_<output>`` of the pictures.

        Raises:
            ValueError: The crops are not of the network's size.
        """
        said, tokens = self.predict(batch)
        labels, terms = self.supervise(said, tokens, batch)
        drawn = self.balance.weighted(said)
        people = hold_unseen(drawn.parameters, guessed(batch))
        with numerics("fp32", batch.crops.device):
            found = self.photometric(people, drawn.camera, batch.pictures, batch.keypoints_2d)
        pictures = torch.stack([part.loss.mean() for part in found.values()]).sum()
        if torch.is_grad_enabled():
            self.balance.measure(labels, said, pictures, drawn)
        for part, of in found.items():
            terms |= {f"photo_{part}": of.loss.detach().mean(), f"drawn_{part}": of.is_drawn.float().mean()}
        return self.labels_weight * labels + pictures, terms | self.balance.figures()

"""Pairs in, loss out: what the processes of a training differentiate together."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from model.body.ehms import EHMs
from model.renderer.guava.gaussians import Appearance
from model.renderer.guava.losses import GuavaLossConfig, guava_loss, part_boxes
from model.renderer.guava.renderer import GuavaRenderer, Picture
from model.renderer.perceptual.term import Perceptual
from model.renderer.splat.draw import Rasteriser
from tasks.training.guava.pairs import PairBatch


class GuavaObjective(nn.Module):
    """The renderer, the body that poses people, and the loss.

    Args:
        renderer: What is trained.
        body: With teeth; it has no weights.
        loss: Terms and weights.
        perceptual: Of the loss; it is not trained.
        rasteriser: How Gaussians are drawn.
    """

    slow_weights = ("style_mlp", "final_linear")
    """See ``tasks.training.engine.optimiser``."""

    def __init__(
        self, renderer: GuavaRenderer, body: EHMs, loss: GuavaLossConfig, perceptual: Perceptual, rasteriser: Rasteriser
    ) -> None:
        super().__init__()
        self.renderer, self.body, self.loss, self.perceptual = renderer, body, loss, perceptual
        self.rasteriser: Rasteriser = rasteriser
        hands = body.assets.hand_vertex_ids
        if not {"left", "right"} <= hands.keys():
            raise ValueError("the body does not say which vertices are hands; convert it again with --hand-ids")
        ids = {"head": body.assets.head_vertex_ids, **{f"{side}_hand": hands[side] for side in ("left", "right")}}
        self.parts = nn.Module()
        for name, numbers in ids.items():
            self.parts.register_buffer(name, torch.from_numpy(np.asarray(numbers, np.int64)), persistent=False)

    def forward(self, batch: PairBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and its weighted terms without gradient."""
        generator = _generator(batch.step.device) if self.training else None
        appearance, vertices, drawn = self.draw(batch, generator)
        target = batch.target
        side = self.renderer.config.image_px
        boxes = part_boxes(vertices, target.camera, dict(self.parts.named_buffers()), side)
        known = target.known
        seen = Picture(refined=drawn.refined * known, raw=drawn.raw * known, alpha=drawn.alpha)
        step = int(batch.step.max())
        return guava_loss(seen, appearance, target.picture, target.mask, boxes, step, self.loss, self.perceptual)

    def draw(self, batch: PairBatch, generator: torch.Generator | None) -> tuple[Appearance, Tensor, Picture]:
        """Appearance from the sources, vertices (B, V, 3) of the targets, and those drawn."""
        source, target = batch.source, batch.target
        vertices, _ = self.body.posed_surface(source.people)
        appearance = self.renderer.appearance(source.picture, vertices, source.camera, generator=generator)
        vertices, turns = self.body.posed_surface(target.people)
        drawn = self.renderer.draw(
            appearance, vertices, turns, target.camera, rasteriser=self.rasteriser, generator=generator
        )
        return appearance, vertices, drawn


def _generator(device: torch.device) -> torch.Generator:
    """The one that the engine seeds for every step."""
    return torch.default_generator if device.type == "cpu" else torch.cuda.default_generators[device.index or 0]

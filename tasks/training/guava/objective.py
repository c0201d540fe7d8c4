"""Pairs in, loss out: what the processes of a training differentiate together."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from model.batches import take_rows
from model.body.ehms import EHMs
from model.renderer.guava.gaussians import Appearance
from model.renderer.guava.losses import CloseUp, GuavaLossConfig, guava_loss, part_boxes
from model.renderer.guava.renderer import GuavaRenderer, Picture
from model.renderer.part_windows import PARTS, Part
from model.renderer.perceptual.term import Perceptual
from model.renderer.splat.draw import Rasteriser
from tasks.training.guava.pairs import Cuts, PairBatch


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
        appearance, vertices, turns, drawn = self._drawn(batch, generator)
        target = batch.target
        if batch.parts:
            parts = self._close_ups(batch, appearance, vertices, turns, generator)
        else:
            ids: dict[Part, Tensor] = {part: getattr(self.parts, part) for part in PARTS}
            parts = part_boxes(vertices, target.camera, ids, self.renderer.config.image_px)
        seen, step = _seen(drawn, target), int(batch.step.max())
        return guava_loss(seen, appearance, target.picture, target.mask, parts, step, self.loss, self.perceptual)

    def draw(self, batch: PairBatch) -> Picture:
        """The targets from the sources, without noise."""
        return self._drawn(batch, None)[3]

    def _drawn(self, batch: PairBatch, generator: torch.Generator | None) -> tuple[Appearance, Tensor, Tensor, Picture]:
        """Appearance from the sources; vertices (B, V, 3) of the targets, how the skin turns there, and those drawn."""
        source, target = batch.source, batch.target
        vertices, _ = self.body.posed_surface(source.people)
        appearance = self.renderer.appearance(source.picture, vertices, source.camera, generator=generator)
        vertices, turns = self.body.posed_surface(target.people)
        drawn = self.renderer.draw(
            appearance, vertices, turns, target.camera, rasteriser=self.rasteriser, generator=generator
        )
        return appearance, vertices, turns, drawn

    def _close_ups(
        self,
        batch: PairBatch,
        appearance: Appearance,
        vertices: Tensor,
        turns: Tensor,
        generator: torch.Generator | None,
    ) -> dict[Part, CloseUp]:
        """Parts of those who show them, each drawn by its own camera."""
        found: dict[Part, CloseUp] = {}
        for part, cuts in batch.parts.items():
            rows = torch.nonzero(cuts.is_shown).squeeze(1)
            if not len(rows):
                continue
            own, looks, points, turned = take_rows((cuts, appearance, vertices, turns), rows)
            drawn = self.renderer.draw(
                looks, points, turned, own.camera, rasteriser=self.rasteriser, generator=generator
            )
            found[part] = CloseUp(drawn=_seen(drawn, own), target=own.picture, mask=own.mask)
        return found


def _seen(drawn: Picture, cuts: Cuts) -> Picture:
    """What is drawn where the photo's mask is known."""
    return Picture(refined=drawn.refined * cuts.known, raw=drawn.raw * cuts.known, alpha=drawn.alpha)


def _generator(device: torch.device) -> torch.Generator:
    """The one that the engine seeds for every step."""
    return torch.default_generator if device.type == "cpu" else torch.cuda.default_generators[device.index or 0]

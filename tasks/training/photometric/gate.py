"""The start of stage 2: is the mesh where the photo shows it? Else pixels pull it to wrong places.

Measured on held-out people: how far the keypoints of a part are from where they are seen, as a share of its square.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from model.body.keypoint_body import KeypointBody
from model.regressor.batch import TrainingBatch
from model.regressor.network import EhmRegressor, normalise
from model.renderer.part_windows import Part
from tasks.training.regressor.placement import parts_off

PEOPLE = 256
"""Held-out people who are looked at."""
AT_ONCE = 32
LEAST = 8
"""Fewer people than this say nothing of a part."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Where a part is before the first step."""

    part: Part
    """Which."""
    off: float
    """Median of the people, as a share of the part's square."""
    people: int
    """How many show it."""


@torch.no_grad()
def measure_start(
    network: EhmRegressor, body: KeypointBody, people: TrainingBatch, parts: Sequence[Part]
) -> list[Start]:
    """How far parts are off.

    Args:
        network: In any mode.
        body: Of its parameters, on the same device.
        people: Held out, on the CPU.
        parts: Which.
    """
    was_training = network.training
    network.eval()
    device = next(network.parameters()).device
    found = [
        parts_off(network(normalise(crops.to(device))), body, points, parts, network.config.focal_sides)
        for crops, points in zip(people.crops.split(AT_ONCE), people.keypoints_2d.split(AT_ONCE), strict=True)
    ]
    network.train(was_training)
    shares: dict[Part, np.ndarray] = {part: np.concatenate([own[part] for own in found]) for part in parts}
    shown: dict[Part, np.ndarray] = {part: own[~np.isnan(own)] for part, own in shares.items()}
    return [
        Start(part=part, off=float(np.median(own)) if len(own) else float("nan"), people=len(own))
        for part, own in shown.items()
    ]


def check_start(found: Sequence[Start], most: float) -> list[str]:
    """What was measured, for a log.

    Raises:
        ValueError: A part is too far off, or of too few people to say so.
    """
    far = [start for start in found if start.people >= LEAST and not start.off <= most]
    few = [start for start in found if start.people < LEAST]
    if few:
        raise ValueError(
            f"parts: only {few[0].people} of the held-out people show the {_words(few[0].part)}, {LEAST} are needed to "
            "see whether stage 2 may begin; hold out more people, or leave that part out of parts"
        )
    if far:
        said = ", ".join(
            f"the {_words(start.part)} {start.off:.1%} of its square ({start.people} people)" for start in far
        )
        raise ValueError(
            f"regressor_weights: stage 2 begins where parts are within {most:.1%} of where the photo shows them; this "
            f"regressor misses, in the median of held-out people, {said}: train stage 1 longer, or leave that part "
            "out of parts"
        )
    return [
        f"before the first step the {_words(start.part)} is {start.off:.1%} of its square off, {most:.1%} is allowed "
        f"({start.people} held-out people)"
        for start in found
    ]


def _words(part: Part) -> str:
    return part.replace("_", " ")

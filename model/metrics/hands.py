"""Errors of hands, each aligned by itself.

Legend: N people, V vertices of a hand; of two hands the left comes first.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from model.body.skeleton import LEFT_WRIST, RIGHT_WRIST, SMPLX_LEFT_HAND, SMPLX_RIGHT_HAND
from model.metrics.joints import pa_mpjpe_mm

HAND_JOINTS = tuple(
    (wrist, *range(fingers.start, fingers.stop))
    for wrist, fingers in ((LEFT_WRIST, SMPLX_LEFT_HAND), (RIGHT_WRIST, SMPLX_RIGHT_HAND))
)
"""Wrist and 15 finger joints of the left and the right hand, among the SMPL-X joints."""


def hand_pa_pve_mm(
    hands: Sequence[Tensor], target: Sequence[Tensor], counts: Sequence[Tensor | None] = (None, None)
) -> Tensor:
    """Mean distance of vertices after alignment of each hand by all of its own.

    Args:
        hands: (N, V, 3) of both, metres.
        target: Likewise.
        counts: (N, V) bool of both, vertices that the mean is of. UBody: those whose known place is inside the image
            (``model.metrics.keypoints.inside_image``).

    Returns:
        (N, 2) millimetres; NaN of a hand of which no vertex counts.
    """
    return torch.stack([pa_mpjpe_mm(*hand) for hand in zip(hands, target, counts, strict=True)], 1)


def hands_of_person(errors: Tensor) -> Tensor:
    """Errors of both hands (N, 2) -> (N,) mean of those that a person has; NaN without any, so that nobody counts
    whose hands do not."""
    return errors.nanmean(1)


def hand_pa_mpjpe_mm(joints: Tensor, target: Tensor) -> Tensor:
    """The same (N, 2) of wrist and finger joints, from all joints (N, 55, 3) of SMPL-X."""
    return torch.stack([pa_mpjpe_mm(joints[:, rows], target[:, rows]) for rows in HAND_JOINTS], 1)

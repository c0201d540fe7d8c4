"""Poses of hands that data sets ship, as turns from the flat hand, which labels have."""

from __future__ import annotations

import numpy as np

from datasets_manifest.schema.truth_3d import Truth3d
from model.body.assets import BodyAssets

HANDS = ("left_hand_pose", "right_hand_pose")
_ROTATIONS = 45


def flat_hands(truth: Truth3d, body: BodyAssets | None) -> dict[str, np.ndarray]:
    """The poses (45,), float64, by their names, of those hands that can be told exactly.

    Args:
        truth: Of a person.
        body: The model whose parameters they are, which has the relaxed hand and the components of hands; None where
            that is not at hand: then only rotations from the flat hand are taken.
    """
    found = {}
    for side, name in enumerate(HANDS):
        if name not in truth.parameters:
            continue
        pose = np.asarray(truth.parameters[name], np.float64)
        if len(pose) < _ROTATIONS:
            if body is None or body.hands_components is None:
                continue
            pose = pose @ body.hands_components[side, : len(pose)].astype(np.float64)
        if truth.hands_from == "relaxed":
            if body is None or body.hands_mean is None:
                continue
            pose = pose + body.hands_mean[side]
        found[name] = pose
    return found

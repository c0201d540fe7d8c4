"""Which parts of a predicted person its photo shows, by where the prediction has them.

A part is seen if half of its points (``model.body.shown``) lie in the photo and in what the network read of it. A face
must also look towards the camera. What hides a part is not known: a hand behind the back counts as seen.

Legend: P people of a photo.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from datasets_manifest.schema.ehm_fields import PART_NAMES
from model.body.parameters import EhmParameters
from model.body.shown import shown_parts
from model.body.skeleton import HEAD, NUM_KEYPOINTS
from model.estimators.base import Array
from model.imaging.squares import Square
from model.regressor.augment import seen_inside
from model.regressor.joint_rotations import joint_orientation

FACE_TURN_COS = -0.2
"""Cosine between the head's forward axis and the way to the camera from which a face is seen. Its outline reaches from
ear to ear, so that half of its points are seen somewhat beyond the profile; best of rendered people."""


def seen_parts(
    people: EhmParameters, joints_m: Tensor, keypoints_px: Array, squares: Sequence[Square], size_px: tuple[int, int]
) -> Array:
    """Which parts are seen, (P, 4) bool in the order of ``PART_NAMES``.

    Args:
        people: P people in the photo's camera.
        joints_m: (P, 55, 3) likewise.
        keypoints_px: (P, 133, 2) in the photo.
        squares: What the network read of each.
        size_px: Width and height of the photo.
    """
    certain = np.ones((NUM_KEYPOINTS, 1))
    read = [seen_inside(np.hstack([own, certain]), square) for own, square in zip(keypoints_px, squares, strict=True)]
    inside = ((keypoints_px >= 0) & (keypoints_px <= size_px)).all(-1)
    parts = shown_parts(torch.from_numpy(inside & np.array(read, bool).reshape(inside.shape)))
    forward = joint_orientation(people.local_rotations(), HEAD)[..., 2]
    towards = -torch.cosine_similarity(forward, joints_m[:, HEAD], dim=-1)
    parts[:, PART_NAMES.index("face")] &= towards > FACE_TURN_COS
    return parts.numpy()

"""How far head and hands are from where the photo shows them: what decides whether pixels can teach a regressor.

The mean distance of a part's keypoints, as a share of the side of its square. Legend: B people.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model.body.keypoint_body import KeypointBody
from model.body.skeleton import PELVIS
from model.imaging.crop_camera import project_into_crop
from model.regressor.network import Prediction
from model.renderer.part_windows import Part, off_share, part_window


def parts_off(
    said: Prediction, body: KeypointBody, keypoints_2d: Tensor, parts: Sequence[Part], focal_sides: float
) -> dict[Part, np.ndarray]:
    """Each part's distances (B,) as shares of its square; NaN where too little of the part is seen.

    Args:
        said: B people and cameras.
        body: Of the parameters, on their device.
        keypoints_2d: (B, 133, 3) in the crops, with scores.
        parts: Which.
        focal_sides: Of the crops.
    """
    posed = body(said.parameters)
    points = posed.keypoints - posed.joints[:, PELVIS : PELVIS + 1]
    projected, seen = project_into_crop(points, said.camera, focal_sides).cpu(), keypoints_2d.cpu()
    found: dict[Part, np.ndarray] = {}
    for part in parts:
        windows = [part_window(own, part) for own in seen.numpy()]
        side = torch.tensor([float("nan") if window is None else float(window[2]) for window in windows])
        share = off_share(projected, seen, part, side)
        # Who is shown, but nowhere that a number could say, is as far off as can be.
        found[part] = torch.where(side.isfinite() & ~share.isfinite(), torch.inf, share).numpy()
    return found

"""From the columns of a label file to a posed body."""

from collections.abc import Mapping

import numpy as np
import torch

from model.body.ehms import EhmOutput, EHMs
from model.body.parameters import EhmParameters


def pose_bodies(ehm: EHMs, columns: Mapping[str, np.ndarray]) -> EhmOutput:
    """Runs the body model on label columns.

    Args:
        ehm: the body model the labels were made with.
        columns: (B, n) or (B, ..., 3) arrays by column name of the label schema; an absent one is neutral.

    Returns:
        vertices (B, V, 3), joints (B, 55, 3), keypoints (B, 133, 3); camera frame, metres.
    """
    with torch.inference_mode():
        return ehm(EhmParameters.from_columns(columns))

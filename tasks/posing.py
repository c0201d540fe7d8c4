"""From the columns of a label file to a posed body."""

from collections.abc import Mapping

import numpy as np
import torch

from model.body.ehms import EhmOutput, EHMs
from model.rotations import rotvec_to_rotmat

ROTATION_COLUMNS = {
    "global_orient": (3,),
    "body_pose": (21, 3),
    "left_hand_pose": (15, 3),
    "right_hand_pose": (15, 3),
    "jaw_pose": (3,),
    "eye_pose": (2, 3),
}
"""Axis-angle columns that pose a body, with their shapes."""
VECTOR_COLUMNS = {
    "betas": "betas",
    "flame_shape": "flame_shape",
    "flame_expression": "flame_expression",
    "eyelids": "eyelids",
    "head_scale": "head_scale",
    "transl_m": "transl",
}
"""Columns of plain numbers -> argument of the body model."""


def pose_bodies(ehm: EHMs, columns: Mapping[str, np.ndarray]) -> EhmOutput:
    """Runs the body model on label columns.

    Args:
        ehm: the body model the labels were made with.
        columns: (B, n) or (B, ..., 3) arrays by column name of the label schema; an absent one is zero (scale: one).

    Returns:
        vertices (B, V, 3), joints (B, 55, 3), keypoints (B, 133, 3); camera frame, metres.
    """
    arguments: dict[str, torch.Tensor] = {}
    for name, shape in ROTATION_COLUMNS.items():
        if name in columns:
            rotvec = np.asarray(columns[name], dtype=np.float32)
            arguments[name] = rotvec_to_rotmat(torch.from_numpy(rotvec.reshape(len(rotvec), *shape).copy()))
    for name, argument in VECTOR_COLUMNS.items():
        if name in columns and not (name == "eyelids" and ehm.assets.flame.eyelid_dirs is None):
            arguments[argument] = torch.from_numpy(np.array(columns[name], dtype=np.float32))
    with torch.inference_mode():
        return ehm(**arguments)

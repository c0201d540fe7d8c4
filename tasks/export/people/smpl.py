"""People of SMPL-X as people of SMPL, back over the aligned rest surfaces."""

from __future__ import annotations

import numpy as np
import torch

from fitting.delta_theta import DeltaTheta
from model.rotations import rotmat_to_rotvec
from tasks.export.people.people import People

NUM_JOINTS, NUM_BETAS = 24, 10


def smpl_parameters(people: People, transfer: DeltaTheta) -> tuple[np.ndarray, np.ndarray]:
    """Pose (N, 72), axis-angle with the root first and both hand joints at rest, and shape (N, 10)."""
    parameters, count = people.parameters, len(people)
    root = parameters.global_orient.double()[:, None]
    body = transfer.smpl_pose(parameters.body_pose.double())
    hands = torch.eye(3, dtype=root.dtype).expand(count, 2, 3, 3)
    betas = transfer.smpl_betas(parameters.betas.double())[:, :NUM_BETAS]
    padded = torch.nn.functional.pad(betas, (0, NUM_BETAS - betas.shape[1]))
    return rotmat_to_rotvec(torch.cat([root, body, hands], 1)).flatten(1).numpy(), padded.numpy()

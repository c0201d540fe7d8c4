"""What the body estimators ProHMR and HMR2 share: from crops to SMPL poses, a row a person.

The pose stays SMPL's, and says so: SMPL-X's rest pose differs, and the way over needs both body models.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from datasets_manifest.schema.error_codes import ErrorCode, Refusal
from model.estimators.base import Array, BodyOutput, PersonBatch
from model.estimators.conversions import smplx_body_pose
from model.estimators.crop_network import (
    CheckpointEstimator,
    CropNetwork,
    CropNetworkConfig,
    CropPlan,
    finite_rows,
    mean_score,
    towards_camera,
)
from model.imaging.squares import Square
from model.rotations import rotation_about_x

NOT_FINITE = Refusal(ErrorCode.BODY_NOT_FOUND, "the network gave a value that is not finite")
NUM_BODY_POINTS = 17
"""Body points among the 133 keypoints: their mean score is the body's."""


class SmplBody(CheckpointEstimator):
    """A network that gives ``rotations`` (B, 24, 3, 3) and ``betas`` (B, 10), perhaps ``spread_rad`` (B, 22)."""

    skeleton = "smpl"
    sigma_rad: Array
    """(22,) standard deviations of the root and the joints."""

    _network: CropNetwork
    _config: CropNetworkConfig

    def square(self, batch: PersonBatch, row: int) -> Square | Refusal:
        """Where the crop of a person lies, or why that cannot be told."""
        raise NotImplementedError

    def estimate(self, batch: PersonBatch) -> BodyOutput:
        """Estimates one row a person, as SMPL pose and betas; a person without a crop stays at rest and invalid."""
        num = len(batch)
        squares = [self.square(batch, row) for row in range(num)]
        output = BodyOutput(
            valid=np.zeros(num, dtype=bool),
            score=np.zeros(num),
            global_orient=np.tile(rotation_about_x(math.pi).double().numpy(), (num, 1, 1)),
            body_pose=np.tile(np.eye(3), (num, 21, 1, 1)),
            betas=np.zeros((num, 10)),
            sigma_rad=np.tile(self.sigma_rad, (num, 1)),
            reasons=[square if isinstance(square, Refusal) else NOT_FINITE for square in squares],
        )
        found = [(row, square) for row, square in enumerate(squares) if isinstance(square, Square)]
        if not found:
            return output
        read = self._network.run([CropPlan(rgb=batch.images[row], square=square) for row, square in found])
        rows = np.array([row for row, _ in found])
        orient = read["rotations"][:, 0]
        if self._config.view_ray:
            orient = towards_camera(orient, [s for _, s in found], batch.focal_px[rows], batch.principal_px[rows])
        finite = finite_rows(read)
        good = rows[finite]
        output.valid[good] = True
        output.score[good] = mean_score(batch.keypoints[good, :NUM_BODY_POINTS, 2])
        output.global_orient[good] = orient[finite]
        output.body_pose[good] = smplx_body_pose(torch.from_numpy(read["rotations"][finite, 1:])).numpy()
        output.betas[good] = read["betas"][finite]
        if "spread_rad" in read:
            output.sigma_rad[good] = np.maximum(output.sigma_rad[good], read["spread_rad"][finite])
        for row in good.tolist():
            output.reasons[row] = None
        return output

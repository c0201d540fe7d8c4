"""MANO: one hand of 16 joints."""

import numpy as np
from torch import Tensor

from model.body.assets import BodyAssets
from model.body.skeleton import NUM_HAND_JOINTS
from model.body.skinned import SkinnedBody, SkinnedOutput


class MANO(SkinnedBody):
    """Forward pass of MANO; left or right is a matter of the assets."""

    poses = {"global_orient": 1, "hand_pose": NUM_HAND_JOINTS}

    def __init__(self, assets: BodyAssets, *, num_betas: int | None = None) -> None:
        super().__init__(assets, "mano", num_betas=num_betas, num_expression=0)

    def forward(
        self,
        *,
        betas: Tensor | None = None,
        global_orient: Tensor | None = None,
        hand_pose: Tensor | None = None,
        transl: Tensor | None = None,
    ) -> SkinnedOutput:
        """Pose the hand.

        Args:
            betas: (B, S').
            global_orient: (B, 3, 3) of the wrist.
            hand_pose: (B, 15, 3, 3); identity is the flat hand.
            transl: (B, 3) where the wrist joint ends up; None leaves it at its rest position.

        Returns:
            vertices (B, V, 3) and joints (B, 16, 3).
        """
        batch, coefficients, rotations, root = self.flatten(
            betas=betas, global_orient=global_orient, hand_pose=hand_pose, transl=transl
        )
        out = self.pose(coefficients, rotations, root)
        return SkinnedOutput(vertices=batch.restore(out.vertices), joints=batch.restore(out.joints))


def hand_rotvec(components: np.ndarray, mean: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Principal hand-pose coefficients -> absolute axis-angle.

    Args:
        components: (45, 45) one direction a row.
        mean: (45,) relaxed hand; pass zeros for coefficients that are relative to the flat hand.
        coefficients: (..., n) with n <= 45.

    Returns:
        (..., 15, 3) radians.
    """
    rotvec = coefficients @ components[: coefficients.shape[-1]] + mean
    return rotvec.reshape(*rotvec.shape[:-1], NUM_HAND_JOINTS, 3)

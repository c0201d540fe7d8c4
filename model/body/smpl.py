"""SMPL: a body of 24 joints without fingers or face."""

from torch import Tensor

from model.body.assets import BodyAssets
from model.body.skinned import SkinnedBody, SkinnedOutput

NUM_POSED_JOINTS = 23
"""Joints of SMPL's `body_pose`: all but the pelvis, with one joint for each whole hand."""


class SMPL(SkinnedBody):
    """Forward pass of SMPL."""

    poses = {"global_orient": 1, "body_pose": NUM_POSED_JOINTS}

    def __init__(self, assets: BodyAssets, *, num_betas: int | None = None) -> None:
        super().__init__(assets, "smpl", num_betas=num_betas, num_expression=0)

    def forward(
        self,
        *,
        betas: Tensor | None = None,
        global_orient: Tensor | None = None,
        body_pose: Tensor | None = None,
        transl: Tensor | None = None,
    ) -> SkinnedOutput:
        """Pose the body.

        Args:
            betas: (B, S').
            global_orient: (B, 3, 3) of the pelvis.
            body_pose: (B, 23, 3, 3).
            transl: (B, 3) where the pelvis joint ends up; None leaves it at its rest position.

        Returns:
            vertices (B, V, 3) and joints (B, 24, 3).
        """
        batch, coefficients, rotations, root = self.flatten(
            betas=betas, global_orient=global_orient, body_pose=body_pose, transl=transl
        )
        out = self.pose(coefficients, rotations, root)
        return SkinnedOutput(vertices=batch.restore(out.vertices), joints=batch.restore(out.joints))

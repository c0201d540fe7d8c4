"""SMPL-X: body, hands and face in one mesh of 55 joints."""

from torch import Tensor

from model.body import skeleton
from model.body.assets import BodyAssets
from model.body.skinned import SkinnedBody, SkinnedOutput


class SMPLX(SkinnedBody):
    """Forward pass of SMPL-X.

    Args:
        assets: Arrays of kind `smplx`.
        num_betas: Shape coefficients to keep; None keeps all.
        num_expression: Expression coefficients to keep; None keeps all.
    """

    poses = {
        "global_orient": 1,
        "body_pose": skeleton.NUM_BODY_JOINTS,
        "jaw_pose": 1,
        "eye_pose": 2,
        "left_hand_pose": skeleton.NUM_HAND_JOINTS,
        "right_hand_pose": skeleton.NUM_HAND_JOINTS,
    }

    def __init__(self, assets: BodyAssets, *, num_betas: int | None = None, num_expression: int | None = None) -> None:
        super().__init__(assets, "smplx", num_betas=num_betas, num_expression=num_expression)

    def forward(
        self,
        *,
        betas: Tensor | None = None,
        expression: Tensor | None = None,
        global_orient: Tensor | None = None,
        body_pose: Tensor | None = None,
        jaw_pose: Tensor | None = None,
        eye_pose: Tensor | None = None,
        left_hand_pose: Tensor | None = None,
        right_hand_pose: Tensor | None = None,
        transl: Tensor | None = None,
    ) -> SkinnedOutput:
        """Pose the body.

        Args:
            betas: (B, S') shape, missing trailing ones are zero.
            expression: (B, E').
            global_orient: (B, 3, 3) rotation of the pelvis.
            body_pose: (B, 21, 3, 3).
            jaw_pose: (B, 3, 3).
            eye_pose: (B, 2, 3, 3) left, right.
            left_hand_pose: (B, 15, 3, 3), identity is the flat hand.
            right_hand_pose: (B, 15, 3, 3).
            transl: (B, 3) where the pelvis joint ends up; None leaves it at its rest position.

        Returns:
            vertices (B, V, 3) and joints (B, 55, 3).
        """
        batch, coefficients, rotations, root = self.flatten(
            betas=betas,
            expression=expression,
            global_orient=global_orient,
            body_pose=body_pose,
            jaw_pose=jaw_pose,
            eye_pose=eye_pose,
            left_hand_pose=left_hand_pose,
            right_hand_pose=right_hand_pose,
            transl=transl,
        )
        out = self.pose(coefficients, rotations, root)
        return SkinnedOutput(vertices=batch.restore(out.vertices), joints=batch.restore(out.joints))

"""FLAME: a head of 5 joints with shape, expression and eyelids."""

import torch
from torch import Tensor

from model.body import lbs
from model.body.assets import BodyAssets
from model.body.skinned import FlatBatch, SkinnedBody, SkinnedOutput, float_buffer, stack_rotations


class FLAME(SkinnedBody):
    """Forward pass of FLAME.

    Args:
        assets: Arrays of kind `flame`.
        num_betas: Shape coefficients to keep; None keeps all.
        num_expression: Expression coefficients to keep; None keeps all.
    """

    eyelid_dirs: Tensor | None

    def __init__(self, assets: BodyAssets, *, num_betas: int | None = None, num_expression: int | None = None) -> None:
        super().__init__(assets, "flame", num_betas=num_betas, num_expression=num_expression)
        eyelids = None if assets.eyelid_dirs is None else float_buffer(assets.eyelid_dirs.reshape(-1, 2).T)
        self.register_buffer("eyelid_dirs", eyelids, persistent=False)

    def forward(
        self,
        *,
        betas: Tensor | None = None,
        expression: Tensor | None = None,
        global_orient: Tensor | None = None,
        neck_pose: Tensor | None = None,
        jaw_pose: Tensor | None = None,
        eye_pose: Tensor | None = None,
        eyelids: Tensor | None = None,
        transl: Tensor | None = None,
    ) -> SkinnedOutput:
        """Pose the head.

        Args:
            betas: (B, S') shape.
            expression: (B, E').
            global_orient: (B, 3, 3) of the root joint.
            neck_pose: (B, 3, 3).
            jaw_pose: (B, 3, 3).
            eye_pose: (B, 2, 3, 3) left, right.
            eyelids: (B, 2) left, right; 0 open, 1 closed. Added to the rest mesh, so that closed lids turn with the
                head; they do not move joints.
            transl: (B, 3) where the root joint ends up; None leaves it at its rest position.

        Returns:
            vertices (B, V, 3) and joints (B, 5, 3).
        """
        batch = FlatBatch.of(
            self.template,
            {
                "betas": (betas, 1),
                "expression": (expression, 1),
                "global_orient": (global_orient, 2),
                "neck_pose": (neck_pose, 2),
                "jaw_pose": (jaw_pose, 2),
                "eye_pose": (eye_pose, 3),
                "eyelids": (eyelids, 1),
                "transl": (transl, 1),
            },
        )
        coefficients = torch.cat(
            [
                batch.coefficients("betas", betas, self.num_betas),
                batch.coefficients("expression", expression, self.num_expression),
            ],
            dim=-1,
        )
        rotations = stack_rotations(
            [
                batch.rotations("global_orient", global_orient, 1),
                batch.rotations("neck_pose", neck_pose, 1),
                batch.rotations("jaw_pose", jaw_pose, 1),
                batch.rotations("eye_pose", eye_pose, 2),
            ]
        )
        rest, joints = self.rest(coefficients, None if eyelids is None else batch.vector("eyelids", eyelids, 2))
        root = None if transl is None else batch.vector("transl", transl, 3)
        out = self.skin(rest, joints, rotations, root)
        return SkinnedOutput(vertices=batch.restore(out.vertices), joints=batch.restore(out.joints))

    def rest(self, coefficients: Tensor, eyelids: Tensor | None) -> tuple[Tensor, Tensor]:
        """Flat batch: (N, S + E) and (N, 2) -> rest vertices (N, V, 3), rest joints (N, 5, 3)."""
        rest = lbs.blend(self.template, self.dirs, coefficients)
        joints = lbs.blend(self.joint_template, self.joint_dirs, coefficients)
        if eyelids is not None:
            if self.eyelid_dirs is None:
                raise ValueError(f"{self.assets.name} has no eyelid directions: convert it with both eyelid files.")
            rest = rest + eyelids @ self.eyelid_dirs
        return rest.unflatten(1, (-1, 3)), joints.unflatten(1, (-1, 3))

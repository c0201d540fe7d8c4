"""FLAME: a head of 5 joints with shape, expression and eyelids."""

from torch import Tensor

from model.body import lbs
from model.body.assets import BodyAssets
from model.body.skinned import SkinnedBody, SkinnedOutput, float_buffer


class FLAME(SkinnedBody):
    """Forward pass of FLAME.

    Args:
        assets: Arrays of kind `flame`.
        num_betas: Shape coefficients to keep; None keeps all.
        num_expression: Expression coefficients to keep; None keeps all.
    """

    poses = {"global_orient": 1, "neck_pose": 1, "jaw_pose": 1, "eye_pose": 2}

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
        batch, coefficients, rotations, root = self.flatten(
            betas=betas,
            expression=expression,
            global_orient=global_orient,
            neck_pose=neck_pose,
            jaw_pose=jaw_pose,
            eye_pose=eye_pose,
            eyelids=eyelids,
            transl=transl,
        )
        rest, joints = self.rest(coefficients, None if eyelids is None else batch.vector("eyelids", eyelids, 2))
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

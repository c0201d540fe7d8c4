"""FLAME: a head of 5 joints with shape, expression and eyelids."""

from torch import Tensor

from model.body import lbs
from model.body.assets import BodyAssets
from model.body.skinned import SkinnedBody, SkinnedOutput, float_buffer


class FLAME(SkinnedBody):
    """Forward pass of FLAME; the arguments are those of ``SkinnedBody``."""

    vectors = (*SkinnedBody.vectors, "eyelids")

    eyelid_dirs: Tensor | None

    def __init__(self, assets: BodyAssets, *, num_betas: int | None = None, num_expression: int | None = None) -> None:
        super().__init__(assets, num_betas=num_betas, num_expression=num_expression)
        if assets.kind != "flame":
            raise ValueError(f"FLAME needs assets of kind 'flame', got {assets.name} ({assets.kind}).")
        eyelids = None if assets.eyelid_dirs is None else float_buffer(assets.eyelid_dirs.reshape(-1, 2).T)
        self.register_buffer("eyelid_dirs", eyelids, persistent=False)

    def forward(self, *, eyelids: Tensor | None = None, **given: Tensor | None) -> SkinnedOutput:
        """Pose the head.

        Args:
            eyelids: (B, 2) left, right; 0 open, 1 closed. Added to the rest mesh, so that closed lids turn with the
                head; they do not move joints.
            **given: As for ``SkinnedBody.forward``.

        Returns:
            vertices (B, V, 3) and joints (B, 5, 3).
        """
        batch, coefficients, rotations, root = self.flatten(eyelids=eyelids, **given)
        rest, joints = self.rest(coefficients, None if eyelids is None else batch.vector("eyelids", eyelids, 2))
        return batch.restored(self.skin(rest, joints, rotations, root))

    def keep_vertices(self, ids: Tensor) -> None:
        """As of every body; the eyelids' directions too."""
        super().keep_vertices(ids)
        if self.eyelid_dirs is not None:
            self.eyelid_dirs = self.eyelid_dirs.unflatten(1, (-1, 3))[:, ids].flatten(1)

    def rest(self, coefficients: Tensor, eyelids: Tensor | None) -> tuple[Tensor, Tensor]:
        """Flat batch: (N, S + E) and (N, 2) -> rest vertices (N, V, 3), rest joints (N, 5, 3)."""
        rest = lbs.blend(self.template, self.dirs, coefficients)
        joints = lbs.blend(self.joint_template, self.joint_dirs, coefficients)
        if eyelids is not None:
            if self.eyelid_dirs is None:
                raise ValueError(f"{self.assets.name} has no eyelid directions: convert it with both eyelid files.")
            rest = rest + eyelids @ self.eyelid_dirs
        return rest.unflatten(1, (-1, 3)), joints.unflatten(1, (-1, 3))

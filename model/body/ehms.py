"""EHM-s: a SMPL-X body that wears a FLAME head of its own scale (Algorithm 1 of the PEAR paper).

The head's shape, expression, eyelids, jaw and eyes come from FLAME parameters; SMPL-X's own expression is not used. Two
definitions of the fusion are offered.

`blended`, the default, is exact, differentiable and linear up to the scale:
    1. rest vertex = SMPL-X template + SMPL-X shape offset + w(v) * (FLAME offset - FLAME offset of the head joint),
    2. rest vertex += w(v) * (s - 1) * (rest vertex - head joint),
    3. linear blend skinning by SMPL-X, whose jaw and eye joints carry the FLAME jaw and eye rotations.
    w(v) is a smooth step of the head + jaw + eye skin weights, 0 outside the FLAME region: the neck cannot tear. FLAME
    offsets are taken relative to the head joint, which stays where the betas put it. The betas move the head too (a
    taller person has a larger head); what FLAME adds is on top of that, and with zero FLAME parameters and s = 1 the
    body is plain SMPL-X. The jaw and eye joints follow the FLAME offset of their own FLAME joint and scale with the
    head; eyelids move no joint. Where FLAME and SMPL-X disagree about the mean head, this keeps SMPL-X's.

`paper` is Algorithm 1 to the letter: FLAME is posed by jaw and eyes without a global pose, V_h * s - c_h + c_b replaces
    the head vertices (c_h, c_b: the means of the eye joints of FLAME and of the shaped body), joints are regressed from
    the fused template, and SMPL-X skins it with jaw and eyes at rest, since the head is already articulated. Because
    c_h is not scaled, the eyes move by (s - 1) c_h, and the neck tears where the replaced region ends. Vertices that
    should stay with the body (the lower neck, in licensed files) can be excluded.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE, BodySize
from model.body import lbs, skeleton
from model.body.assets import EhmAssets
from model.body.blended_head import blended_basis, head_weight
from model.body.flame import FLAME
from model.body.keypoints import Frame, Keypoints
from model.body.skinned import FlatBatch, Skeleton, flat_buffer, float_buffer, rows_buffer, stack_rotations
from model.body.smplx import SMPLX

Mode = Literal["blended", "paper"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EhmOutput:
    """A posed EHM-s body."""

    vertices: Tensor
    """(B, V, 3) metres."""
    joints: Tensor
    """(B, 55, 3) metres, SMPL-X order."""
    keypoints: Tensor
    """(B, 133, 3) metres, COCO-WholeBody order."""


class EHMs(nn.Module):
    """Forward pass of EHM-s.

    Args:
        assets: Body, head and their correspondence.
        size: Numbers of coefficients to keep; fewer when the body has fewer.
        mode: Which definition of the fusion; see the module's text.
        frame: Frame of `global_orient`, which decides the sign of the head's yaw when the face contour is looked up.
        keep_body_ids: SMPL-X vertices that `paper` leaves to the body although FLAME has them (the lower neck).
    """

    rest_template: Tensor
    rest_dirs: Tensor
    rest_joint_template: Tensor
    rest_joint_dirs: Tensor
    rest_posedirs: Tensor | None
    head_weight: Tensor
    joint_regressor: Tensor
    replaced_body_ids: Tensor
    replaced_head_ids: Tensor

    def __init__(
        self,
        assets: EhmAssets,
        size: BodySize = DEFAULT_SIZE,
        *,
        mode: Mode = "blended",
        frame: Frame = "camera",
        keep_body_ids: NDArray[np.int64] | None = None,
    ) -> None:
        super().__init__()
        if mode not in ("blended", "paper"):
            raise ValueError(f"mode is {mode!r}, expected 'blended' or 'paper'.")
        self.assets = assets
        self.mode: Mode = mode
        self.frame: Frame = frame
        self.size = assets.available(size)
        self.body = SMPLX(assets.smplx, num_betas=self.size.num_betas, num_expression=0)
        self.keypoints = Keypoints(assets.smplx)
        if mode == "blended":
            self._init_blended(assets)
        else:
            self._init_paper(assets, keep_body_ids)

    @property
    def faces(self) -> Tensor:
        """(F, 3) vertex ids."""
        return self.body.faces

    def forward(
        self,
        *,
        betas: Tensor | None = None,
        body_pose: Tensor | None = None,
        global_orient: Tensor | None = None,
        left_hand_pose: Tensor | None = None,
        right_hand_pose: Tensor | None = None,
        flame_shape: Tensor | None = None,
        flame_expression: Tensor | None = None,
        jaw_pose: Tensor | None = None,
        eye_pose: Tensor | None = None,
        eyelids: Tensor | None = None,
        head_scale: Tensor | None = None,
        transl: Tensor | None = None,
    ) -> EhmOutput:
        """Pose the body; everything left out is zero, the identity or a scale of one.

        Args:
            betas: (B, S') SMPL-X shape, missing trailing coefficients are zero.
            body_pose: (B, 21, 3, 3).
            global_orient: (B, 3, 3) rotation of the pelvis.
            left_hand_pose: (B, 15, 3, 3), identity is the flat hand.
            right_hand_pose: (B, 15, 3, 3).
            flame_shape: (B, Sf').
            flame_expression: (B, E').
            jaw_pose: (B, 3, 3).
            eye_pose: (B, 2, 3, 3) left, right.
            eyelids: (B, 2) left, right; 0 open, 1 closed; added at rest, before skinning.
            head_scale: (B, 3) scale of the head along its own rest axes.
            transl: (B, 3) where the pelvis joint ends up; None leaves it at its rest position.

        Returns:
            vertices (B, V, 3), joints (B, 55, 3) and keypoints (B, 133, 3).
        """
        batch = FlatBatch.of(
            self.head_weight,
            {
                "betas": (betas, 1),
                "body_pose": (body_pose, 3),
                "global_orient": (global_orient, 2),
                "left_hand_pose": (left_hand_pose, 3),
                "right_hand_pose": (right_hand_pose, 3),
                "flame_shape": (flame_shape, 1),
                "flame_expression": (flame_expression, 1),
                "jaw_pose": (jaw_pose, 2),
                "eye_pose": (eye_pose, 3),
                "eyelids": (eyelids, 1),
                "head_scale": (head_scale, 1),
                "transl": (transl, 1),
            },
        )
        if eyelids is not None and self.assets.flame.eyelid_dirs is None:
            raise ValueError(f"{self.assets.flame.name} has no eyelid directions: convert it with both eyelid files.")
        shape = batch.coefficients("betas", betas, self.size.num_betas)
        head_shape = batch.coefficients("flame_shape", flame_shape, self.size.num_flame_shape)
        expression = batch.coefficients("flame_expression", flame_expression, self.size.num_expression)
        lids = batch.vector("eyelids", eyelids, 2)
        scale = None if head_scale is None else batch.vector("head_scale", head_scale, 3)
        jaw = batch.rotations("jaw_pose", jaw_pose, 1)
        eyes = batch.rotations("eye_pose", eye_pose, 2)
        is_blended = self.mode == "blended"
        still = None if is_blended else batch.rotations("jaw_pose", None, 1)
        rotations = stack_rotations(
            [
                batch.rotations("global_orient", global_orient, 1),
                batch.rotations("body_pose", body_pose, skeleton.NUM_BODY_JOINTS),
                *([jaw, eyes] if still is None else [still, still, still]),
                batch.rotations("left_hand_pose", left_hand_pose, skeleton.NUM_HAND_JOINTS),
                batch.rotations("right_hand_pose", right_hand_pose, skeleton.NUM_HAND_JOINTS),
            ]
        )
        root = None if transl is None else batch.vector("transl", transl, 3)
        if is_blended:
            coefficients = torch.cat([shape, head_shape, expression, lids], dim=-1)
            skinned, posed = self._blended(coefficients, scale, rotations, root)
        else:
            face = torch.cat([head_shape, expression], dim=-1)
            skinned, posed = self._paper(shape, face, lids, jaw, eyes, scale, rotations, root)
        orient = posed.orientations[:, skeleton.HEAD]
        return EhmOutput(
            vertices=batch.restore(skinned),
            joints=batch.restore(posed.joints),
            keypoints=batch.restore(self.keypoints(skinned, posed.joints, orient, self.frame)),
        )

    def _init_blended(self, assets: EhmAssets) -> None:
        basis = blended_basis(assets, self.size)
        # All x of the mesh, then all y, then all z: what is done to vertices runs over contiguous rows.
        self.register_buffer("rest_template", flat_buffer(basis.template.T), persistent=False)
        self.register_buffer("rest_dirs", rows_buffer(basis.dirs.swapaxes(0, 1)), persistent=False)
        self.register_buffer("rest_joint_template", flat_buffer(basis.joint_template), persistent=False)
        self.register_buffer("rest_joint_dirs", rows_buffer(basis.joint_dirs), persistent=False)
        self.register_buffer("head_weight", float_buffer(basis.head_weight), persistent=False)
        correctives = self.body.posedirs
        if correctives is not None:
            correctives = correctives.unflatten(1, (-1, 3)).transpose(1, 2).flatten(1).contiguous()
            self.body.posedirs = None  # by far the largest table: one copy, in the order of the rest mesh
        self.register_buffer("rest_posedirs", correctives, persistent=False)

    def blended_joints(self, coefficients: Tensor, scale: Tensor | None) -> tuple[Tensor, Tensor]:
        """(N, K), (N, 3) -> rest joints (N, 55, 3), the face's moved by the scale, and the head joint (N, 3, 1)."""
        joints = lbs.blend(self.rest_joint_template, self.rest_joint_dirs, coefficients).unflatten(1, (-1, 3))
        head = joints[:, skeleton.HEAD : skeleton.HEAD + 1]
        if scale is not None:
            first, last = skeleton.JAW, skeleton.RIGHT_EYE + 1
            face = joints[:, first:last] + (scale - 1.0)[:, None] * (joints[:, first:last] - head)
            joints = torch.cat([joints[:, :first], face, joints[:, last:]], dim=1)
        return joints, head.transpose(1, 2)

    def blended_mesh(self, coefficients: Tensor, scale: Tensor | None, head: Tensor) -> Tensor:
        """(N, K), (N, 3), head joint (N, 3, 1) -> rest vertices, coordinate by coordinate (N, 3, V)."""
        rest = lbs.blend(self.rest_template, self.rest_dirs, coefficients).unflatten(1, (3, -1))
        if scale is None:
            return rest
        return torch.addcmul(rest, self.head_weight * (scale - 1.0)[..., None], rest - head)

    def _blended(
        self, coefficients: Tensor, scale: Tensor | None, rotations: Tensor, root: Tensor | None
    ) -> tuple[Tensor, Skeleton]:
        """The `blended` definition -> vertices (N, V, 3) and the posed skeleton."""
        body = self.body
        joints, head = self.blended_joints(coefficients, scale)
        posed = body.articulate(joints, rotations, root)
        # For all people at once: the table does not fit into a cache, and would be read again for every few of them.
        table = self.rest_posedirs
        bent = None if table is None else (lbs.pose_feature(rotations) @ table).unflatten(1, (3, -1))
        on_cpu = coefficients.device.type == "cpu"
        # On a CPU a few people at a time, so that what lies between coefficients and vertices stays in the cache.
        chunk = lbs.cpu_chunk(len(self.head_weight)) if on_cpu else max(1, len(coefficients))
        vertices = []
        for first in range(0, max(1, len(coefficients)), chunk):
            rows = slice(first, first + chunk)
            rest = self.blended_mesh(coefficients[rows], None if scale is None else scale[rows], head[rows])
            rest = rest if bent is None else rest + bent[rows]
            mesh = rest.transpose(1, 2)
            vertices.append(lbs.skin(mesh, posed.transforms[rows], body.skin_weights, body.skin_support))
        return vertices[0] if len(vertices) == 1 else torch.cat(vertices), posed

    def _init_paper(self, assets: EhmAssets, keep_body_ids: NDArray[np.int64] | None) -> None:
        self.head = FLAME(assets.flame, num_betas=self.size.num_flame_shape, num_expression=self.size.num_expression)
        kept = np.zeros(0, np.int64) if keep_body_ids is None else keep_body_ids
        replaced = np.flatnonzero(~np.isin(assets.head_vertex_ids, kept))
        self.register_buffer("replaced_head_ids", torch.from_numpy(replaced), persistent=False)
        self.register_buffer("replaced_body_ids", torch.from_numpy(assets.head_vertex_ids[replaced]), persistent=False)
        self.register_buffer("joint_regressor", float_buffer(assets.smplx.joint_regressor), persistent=False)
        self.register_buffer("head_weight", float_buffer(head_weight(assets)), persistent=False)

    def _paper(
        self,
        betas: Tensor,
        head_coefficients: Tensor,
        lids: Tensor,
        jaw: Tensor,
        eyes: Tensor,
        scale: Tensor | None,
        rotations: Tensor,
        root: Tensor | None,
    ) -> tuple[Tensor, Skeleton]:
        """Algorithm 1 -> vertices (N, V, 3) and the posed skeleton; the rotations' jaw and eyes are at rest."""
        body = lbs.blend(self.body.template, self.body.dirs, betas).unflatten(1, (-1, 3))
        body_joints = lbs.blend(self.body.joint_template, self.body.joint_dirs, betas).unflatten(1, (-1, 3))
        has_lids = self.head.eyelid_dirs is not None
        head_rest, head_joints = self.head.rest(head_coefficients, lids if has_lids else None)
        still = torch.eye(3, dtype=jaw.dtype, device=jaw.device).expand(len(jaw), 2, 3, 3)
        head = self.head.skin(head_rest, head_joints, stack_rotations([still, jaw, eyes]), None)
        eyes_head = head.joints[:, skeleton.FLAME_EYES].mean(1, keepdim=True)
        eyes_body = body_joints[:, skeleton.SMPLX_EYES].mean(1, keepdim=True)
        scaled = head.vertices if scale is None else head.vertices * scale[:, None]
        moved = scaled - eyes_head + eyes_body
        fused = body.index_copy(1, self.replaced_body_ids, moved[:, self.replaced_head_ids])
        posed = self.body.articulate(self.joint_regressor @ fused, rotations, root)
        correctives = self.body.correctives(rotations)
        fused = fused if correctives is None else fused + correctives
        return lbs.skin(fused, posed.transforms, self.body.skin_weights, self.body.skin_support), posed

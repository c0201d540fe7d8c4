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
    should stay with the body (the lower neck, in licensed files) are those of ``EhmAssets.keep_body_ids``.

Which of the two a body is, its ``EhmAssets`` say.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE, LABEL_FIELDS, BodySize
from model.body import lbs, skeleton
from model.body.assets import EhmAssets
from model.body.blended_head import blended_basis, head_weight
from model.body.flame import FLAME
from model.body.keypoints import Keypoints
from model.body.paper_head import body_rotations, replaced_head_ids
from model.body.parameters import EhmParameters
from model.body.skinned import (
    FlatBatch,
    Skeleton,
    SkinnedBody,
    flat_buffer,
    float_buffer,
    rows_buffer,
    stack_rotations,
)


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
        assets: Body, head, their correspondence and which fusion they are in; see the module's text.
        size: Numbers of coefficients to keep; fewer when the body has fewer.
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

    def __init__(self, assets: EhmAssets, size: BodySize = DEFAULT_SIZE) -> None:
        super().__init__()
        self.assets = assets
        self.size = assets.available(size)
        self.body = SkinnedBody(assets.smplx, num_betas=self.size.num_betas, num_expression=0)
        self.keypoints = Keypoints(assets.smplx)
        if assets.fusion == "blended":
            self._init_blended(assets)
        else:
            self._init_paper(assets)

    @property
    def faces(self) -> Tensor:
        """(F, 3) vertex ids."""
        return self.body.faces

    def forward(self, people: EhmParameters) -> EhmOutput:
        """Pose people; eyelids are without effect where the head has no directions for them.

        Args:
            people: With any leading dimensions, which broadcast between the parameters; missing trailing coefficients
                are zero. The eyelids close at rest, before skinning.

        Returns:
            vertices (B, V, 3), joints (B, 55, 3) and keypoints (B, 133, 3).

        Raises:
            ValueError: A parameter has another shape, or more coefficients than this body.
        """
        batch, skinned, posed = self._posed(people)
        orient = posed.orientations[:, skeleton.HEAD]
        return EhmOutput(
            vertices=batch.restore(skinned),
            joints=batch.restore(posed.joints),
            keypoints=batch.restore(self.keypoints(skinned, posed.joints, orient, "camera")),
        )

    def posed_surface(self, people: EhmParameters) -> tuple[Tensor, Tensor]:
        """Pose people as ``forward`` does.

        Returns:
            vertices (B, V, 3), and what the skin turns there (B, V, 3, 3): blended rotations, which need not be one.
        """
        batch, skinned, posed = self._posed(people)
        turned = torch.einsum("jv,njik->nvik", self.body.skin_weights, posed.transforms[..., :3])
        return batch.restore(skinned), batch.restore(turned)

    def _posed(self, people: EhmParameters) -> tuple[FlatBatch, Tensor, Skeleton]:
        """The people's batch, vertices (N, V, 3) and the posed skeleton."""
        batch = FlatBatch.of(
            self.head_weight,
            {f.name: (getattr(people, f.name), len(f.tensor_shape(self.size))) for f in LABEL_FIELDS},
        )
        people = self._flat(batch, people)
        posed = self._blended(people) if self.assets.fusion == "blended" else self._paper(people)
        return batch, *posed

    def _flat(self, batch: FlatBatch, people: EhmParameters) -> EhmParameters:
        """The people in one batch dimension (N,), with as many coefficients as the body."""
        flat: dict[str, Tensor] = {}
        for field in LABEL_FIELDS:
            value, shape = getattr(people, field.name), field.tensor_shape(self.size)
            if field.kind == "coefficients":
                flat[field.name] = batch.coefficients(field.name, value, *shape)
            elif value is not None:
                flat[field.name] = batch.flat(field.name, value, shape)
        return EhmParameters(**flat)

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

    def blended_joints(self, coefficients: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """(N, K), (N, 3) -> rest joints (N, 55, 3), the face's moved by the scale, and the head joint (N, 3, 1)."""
        joints = lbs.blend(self.rest_joint_template, self.rest_joint_dirs, coefficients).unflatten(1, (-1, 3))
        head = joints[:, skeleton.HEAD : skeleton.HEAD + 1]
        first, last = skeleton.JAW, skeleton.RIGHT_EYE + 1
        face = joints[:, first:last] + (scale - 1.0)[:, None] * (joints[:, first:last] - head)
        return torch.cat([joints[:, :first], face, joints[:, last:]], dim=1), head.transpose(1, 2)

    def blended_mesh(self, coefficients: Tensor, scale: Tensor, head: Tensor) -> Tensor:
        """(N, K), (N, 3), head joint (N, 3, 1) -> rest vertices, coordinate by coordinate (N, 3, V)."""
        rest = lbs.blend(self.rest_template, self.rest_dirs, coefficients).unflatten(1, (3, -1))
        return torch.addcmul(rest, self.head_weight * (scale - 1.0)[..., None], rest - head)

    def _blended(self, people: EhmParameters) -> tuple[Tensor, Skeleton]:
        """The `blended` definition -> vertices (N, V, 3) and the posed skeleton."""
        body, coefficients, scale = self.body, people.rest_coefficients(), people.head_scale
        rotations = people.local_rotations()
        joints, head = self.blended_joints(coefficients, scale)
        posed = body.articulate(joints, rotations, people.transl_m)
        # For all people at once: the table does not fit into a cache, and would be read again for every few of them.
        table = self.rest_posedirs
        bent = None if table is None else (lbs.pose_feature(rotations) @ table).unflatten(1, (3, -1))
        on_cpu = coefficients.device.type == "cpu"
        # On a CPU a few people at a time, so that what lies between coefficients and vertices stays in the cache.
        chunk = lbs.cpu_chunk(len(self.head_weight)) if on_cpu else max(1, len(coefficients))
        vertices = []
        for first in range(0, max(1, len(coefficients)), chunk):
            rows = slice(first, first + chunk)
            rest = self.blended_mesh(coefficients[rows], scale[rows], head[rows])
            rest = rest if bent is None else rest + bent[rows]
            mesh = rest.transpose(1, 2)
            vertices.append(lbs.skin(mesh, posed.transforms[rows], body.skin_weights, body.skin_support))
        return vertices[0] if len(vertices) == 1 else torch.cat(vertices), posed

    def _init_paper(self, assets: EhmAssets) -> None:
        self.head = FLAME(assets.flame, num_betas=self.size.num_flame_shape, num_expression=self.size.num_expression)
        replaced = replaced_head_ids(assets)
        self.register_buffer("replaced_head_ids", torch.from_numpy(replaced), persistent=False)
        self.register_buffer("replaced_body_ids", torch.from_numpy(assets.head_vertex_ids[replaced]), persistent=False)
        self.register_buffer("joint_regressor", float_buffer(assets.smplx.joint_regressor), persistent=False)
        self.register_buffer("head_weight", float_buffer(head_weight(assets)), persistent=False)

    def _paper(self, people: EhmParameters) -> tuple[Tensor, Skeleton]:
        """Algorithm 1 -> vertices (N, V, 3) and the posed skeleton."""
        jaw, eyes, betas = people.jaw_pose[:, None], people.eye_pose, people.betas
        body = lbs.blend(self.body.template, self.body.dirs, betas).unflatten(1, (-1, 3))
        body_joints = lbs.blend(self.body.joint_template, self.body.joint_dirs, betas).unflatten(1, (-1, 3))
        has_lids = self.head.eyelid_dirs is not None
        face = torch.cat([people.flame_shape, people.flame_expression], dim=-1)
        head_rest, head_joints = self.head.rest(face, people.eyelids if has_lids else None)
        still = torch.eye(3, dtype=jaw.dtype, device=jaw.device).expand_as(eyes)
        head = self.head.skin(head_rest, head_joints, stack_rotations([still, jaw, eyes]), None)
        eyes_head = head.joints[:, skeleton.FLAME_EYES].mean(1, keepdim=True)
        eyes_body = body_joints[:, skeleton.SMPLX_EYES].mean(1, keepdim=True)
        moved = head.vertices * people.head_scale[:, None] - eyes_head + eyes_body
        fused = body.index_copy(1, self.replaced_body_ids, moved[:, self.replaced_head_ids])
        rotations = body_rotations(people)
        posed = self.body.articulate(self.joint_regressor @ fused, rotations, people.transl_m)
        correctives = self.body.correctives(rotations)
        fused = fused if correctives is None else fused + correctives
        return lbs.skin(fused, posed.transforms, self.body.skin_weights, self.body.skin_support), posed

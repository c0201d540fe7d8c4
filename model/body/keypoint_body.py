"""EHM-s for training: the joints, the 133 keypoints and a few vertices, without posing the rest of the mesh.

The numbers are those of ``model.body.ehms.EHMs`` in its `blended` definition; only the rows of vertices that a keypoint
is made of are kept, a few hundred instead of more than ten thousand. Nothing in the forward pass asks the device for a
value.

Legend: B people, M kept vertices, X extra vertices.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE, BodySize
from model.body import lbs, skeleton
from model.body.assets import EhmAssets
from model.body.blended_head import blended_basis
from model.body.keypoints import Frame, Keypoints
from model.body.skinned import flat_buffer, float_buffer, rows_buffer, stack_rotations


class KeypointOutput(NamedTuple):
    """Posed points."""

    joints: Tensor
    """(B, 55, 3) metres, SMPL-X order."""
    keypoints: Tensor
    """(B, 133, 3) metres, COCO-WholeBody order."""
    extra_vertices: Tensor
    """(B, X, 3) metres, in the order of ``extra_vertex_ids``."""


class KeypointBody(nn.Module):
    """Forward pass of EHM-s for its joints, keypoints and the vertices asked for.

    Args:
        assets: Body, head and their correspondence.
        size: Numbers of coefficients to keep; fewer when the body has fewer.
        extra_vertex_ids: (X,) more vertices to pose, for example those of hands and head to measure errors on.
        frame: Frame of `global_orient`; see ``EHMs``.

    Raises:
        ValueError: An extra vertex is not one of the body's.
    """

    rest_template: Tensor
    rest_dirs: Tensor
    rest_joint_template: Tensor
    rest_joint_dirs: Tensor
    head_weight: Tensor
    skin_weights: Tensor
    posedirs: Tensor | None
    extra_rows: Tensor

    def __init__(
        self,
        assets: EhmAssets,
        size: BodySize = DEFAULT_SIZE,
        *,
        extra_vertex_ids: NDArray[np.int64] | None = None,
        frame: Frame = "camera",
    ) -> None:
        super().__init__()
        body = assets.smplx
        self.frame: Frame = frame
        self.size = assets.available(size)
        self.tree = lbs.KinematicTree.from_parents(tuple(body.parents.tolist()))
        basis = blended_basis(assets, self.size)
        extra = np.zeros(0, np.int64) if extra_vertex_ids is None else np.asarray(extra_vertex_ids, np.int64)
        if extra.size and not 0 <= extra.min() <= extra.max() < body.num_vertices:
            raise ValueError(
                f"extra_vertex_ids reach from {extra.min()} to {extra.max()}, {body.name} has vertices 0 to "
                f"{body.num_vertices - 1}"
            )
        self.keypoints = Keypoints(body)
        surface, contour = self.keypoints.surface_vertices.numpy(), self.keypoints.contour_vertices.numpy()
        kept = np.unique(np.concatenate([surface.ravel(), contour.ravel(), extra]))
        self.keypoints.surface_vertices = torch.from_numpy(np.searchsorted(kept, surface))
        self.keypoints.contour_vertices = torch.from_numpy(np.searchsorted(kept, contour))
        columns = None if body.posedirs is None else body.posedirs.reshape(len(body.posedirs), -1, 3)[:, kept]
        for name, value in (
            ("rest_template", flat_buffer(basis.template[kept])),
            ("rest_dirs", rows_buffer(basis.dirs[kept])),
            ("rest_joint_template", flat_buffer(basis.joint_template)),
            ("rest_joint_dirs", rows_buffer(basis.joint_dirs)),
            ("head_weight", float_buffer(basis.head_weight[kept])),
            ("skin_weights", float_buffer(body.skin_weights[kept].T)),
            ("posedirs", None if columns is None else float_buffer(columns.reshape(len(columns), -1))),
            ("extra_rows", torch.from_numpy(np.searchsorted(kept, extra))),
        ):
            self.register_buffer(name, value, persistent=False)

    def forward(
        self,
        *,
        betas: Tensor,
        body_pose: Tensor,
        global_orient: Tensor,
        left_hand_pose: Tensor,
        right_hand_pose: Tensor,
        flame_shape: Tensor,
        flame_expression: Tensor,
        jaw_pose: Tensor,
        eye_pose: Tensor,
        eyelids: Tensor,
        head_scale: Tensor,
        transl: Tensor | None = None,
    ) -> KeypointOutput:
        """Pose the points; ``EhmParameters.body_arguments()`` gives all arguments but the last.

        Args:
            betas: (B, S) SMPL-X shape.
            body_pose: (B, 21, 3, 3).
            global_orient: (B, 3, 3) rotation of the pelvis.
            left_hand_pose: (B, 15, 3, 3), identity is the flat hand.
            right_hand_pose: (B, 15, 3, 3).
            flame_shape: (B, F).
            flame_expression: (B, E).
            jaw_pose: (B, 3, 3).
            eye_pose: (B, 2, 3, 3) left, right.
            eyelids: (B, 2) left, right; 0 open, 1 closed; without effect where the head has no eyelid directions.
            head_scale: (B, 3) scale of the head along its own rest axes.
            transl: (B, 3) where the pelvis joint ends up; None leaves it at its rest position.

        Raises:
            ValueError: The numbers of coefficients are not those of this body.
        """
        parts = (betas, flame_shape, flame_expression, eyelids)
        expected = (self.size.num_betas, self.size.num_flame_shape, self.size.num_expression, 2)
        found = tuple(part.shape[-1] for part in parts)
        if found != expected:
            raise ValueError(
                f"betas, flame_shape, flame_expression and eyelids: expected {expected} coefficients, got {found}"
            )
        rest, rest_joints = self._rest(torch.cat(parts, -1), head_scale)
        rotations = stack_rotations(
            [global_orient[:, None], body_pose, jaw_pose[:, None], eye_pose, left_hand_pose, right_hand_pose]
        )
        if self.posedirs is not None:
            rest = torch.addmm(rest.flatten(1), lbs.pose_feature(rotations), self.posedirs).unflatten(1, (-1, 3))
        world, joints = lbs.forward_kinematics(rotations, rest_joints, self.tree)
        if transl is not None:
            joints = joints + (transl - joints[:, 0])[:, None]
        vertices = lbs.skin(rest, lbs.skinning_transforms(world, joints, rest_joints), self.skin_weights)
        keypoints = self.keypoints(vertices, joints, world[:, skeleton.HEAD], self.frame)
        return KeypointOutput(joints=joints, keypoints=keypoints, extra_vertices=vertices[:, self.extra_rows])

    def _rest(self, coefficients: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K), (B, 3) -> rest vertices (B, M, 3) and rest joints (B, 55, 3), the head scaled about its joint."""
        rest = lbs.blend(self.rest_template, self.rest_dirs, coefficients).unflatten(1, (-1, 3))
        joints = lbs.blend(self.rest_joint_template, self.rest_joint_dirs, coefficients).unflatten(1, (-1, 3))
        head = joints[:, skeleton.HEAD : skeleton.HEAD + 1]
        grow = (scale - 1.0)[:, None]
        rest = rest + self.head_weight[:, None] * grow * (rest - head)
        first, last = skeleton.JAW, skeleton.RIGHT_EYE + 1
        face = joints[:, first:last] + grow * (joints[:, first:last] - head)
        return rest, torch.cat([joints[:, :first], face, joints[:, last:]], dim=1)

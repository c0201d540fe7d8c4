"""EHM-s for training: the joints, the 133 keypoints and a few vertices, without posing the rest of the mesh.

The numbers are those of ``model.body.ehms.EHMs`` in the fusion of the body; only the rows of vertices that a keypoint
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
from model.body.keypoints import Keypoints
from model.body.paper_head import PaperRest, body_rotations, paper_tables
from model.body.parameters import EhmParameters
from model.body.skinned import flat_buffer, float_buffer, rows_buffer


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

    Raises:
        ValueError: An extra vertex is not one of the body's.
    """

    skin_weights: Tensor
    posedirs: Tensor | None
    extra_rows: Tensor

    def __init__(
        self,
        assets: EhmAssets,
        size: BodySize = DEFAULT_SIZE,
        *,
        extra_vertex_ids: NDArray[np.int64] | None = None,
    ) -> None:
        super().__init__()
        body = assets.smplx
        self.size = assets.available(size)
        self.tree = lbs.KinematicTree.from_parents(tuple(body.parents.tolist()))
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
        self.rest = (_PaperPoints if assets.fusion == "paper" else _BlendedPoints)(assets, self.size, kept)
        for name, value in (
            ("skin_weights", float_buffer(body.skin_weights[kept].T)),
            ("posedirs", None if columns is None else float_buffer(columns.reshape(len(columns), -1))),
            ("extra_rows", torch.from_numpy(np.searchsorted(kept, extra))),
        ):
            self.register_buffer(name, value, persistent=False)

    def posed_joints(self, people: EhmParameters) -> Tensor:
        """(B, 55, 3) joints of B people alone, without a vertex; see ``forward``."""
        self._check(people)
        rest_joints, rotations = self.rest.joints_at_rest(people)
        joints = lbs.forward_kinematics(rotations, rest_joints, self.tree)[1]
        return _placed(joints, people)

    def extra_vertices_at_rest(self, people: EhmParameters) -> Tensor:
        """(B, X, 3) the extra vertices of B people before any joint turns; see ``forward``."""
        self._check(people)
        return self.rest(people)[0][:, self.extra_rows]

    def _check(self, people: EhmParameters) -> None:
        if people.size != self.size:
            raise ValueError(f"numbers of coefficients: expected {self.size}, got {people.size}")

    def forward(self, people: EhmParameters) -> KeypointOutput:
        """Pose the points of B people; eyelids are without effect where the head has no directions for them.

        Raises:
            ValueError: The numbers of coefficients are not those of this body.
        """
        self._check(people)
        rest, rest_joints, rotations = self.rest(people)
        if self.posedirs is not None:
            rest = torch.addmm(rest.flatten(1), lbs.pose_feature(rotations), self.posedirs).unflatten(1, (-1, 3))
        world, joints = lbs.forward_kinematics(rotations, rest_joints, self.tree)
        joints = _placed(joints, people)
        vertices = lbs.skin(rest, lbs.skinning_transforms(world, joints, rest_joints), self.skin_weights)
        keypoints = self.keypoints(vertices, joints, world[:, skeleton.HEAD], "camera")
        return KeypointOutput(joints=joints, keypoints=keypoints, extra_vertices=vertices[:, self.extra_rows])


def _placed(joints: Tensor, people: EhmParameters) -> Tensor:
    return joints if people.transl_m is None else joints + (people.transl_m - joints[:, 0])[:, None]


class _BlendedPoints(nn.Module):
    """People -> rest vertices (B, M, 3), rest joints (B, 55, 3) and local rotations (B, 55, 3, 3), in `blended`."""

    rest_template: Tensor
    rest_dirs: Tensor
    rest_joint_template: Tensor
    rest_joint_dirs: Tensor
    head_weight: Tensor

    def __init__(self, assets: EhmAssets, size: BodySize, kept: NDArray[np.int64]) -> None:
        super().__init__()
        basis = blended_basis(assets, size)
        for name, value in (
            ("rest_template", flat_buffer(basis.template[kept])),
            ("rest_dirs", rows_buffer(basis.dirs[kept])),
            ("rest_joint_template", flat_buffer(basis.joint_template)),
            ("rest_joint_dirs", rows_buffer(basis.joint_dirs)),
            ("head_weight", float_buffer(basis.head_weight[kept])),
        ):
            self.register_buffer(name, value, persistent=False)

    def joints_at_rest(self, people: EhmParameters) -> tuple[Tensor, Tensor]:
        """Rest joints and local rotations."""
        coefficients = people.rest_coefficients()
        joints = lbs.blend(self.rest_joint_template, self.rest_joint_dirs, coefficients).unflatten(1, (-1, 3))
        head = joints[:, skeleton.HEAD : skeleton.HEAD + 1]
        grow = (people.head_scale - 1.0)[:, None]
        first, last = skeleton.JAW, skeleton.RIGHT_EYE + 1
        face = joints[:, first:last] + grow * (joints[:, first:last] - head)
        return torch.cat([joints[:, :first], face, joints[:, last:]], dim=1), people.local_rotations()

    def forward(self, people: EhmParameters) -> tuple[Tensor, Tensor, Tensor]:
        """The head is scaled about its joint."""
        joints, rotations = self.joints_at_rest(people)
        rest = lbs.blend(self.rest_template, self.rest_dirs, people.rest_coefficients()).unflatten(1, (-1, 3))
        head = joints[:, skeleton.HEAD : skeleton.HEAD + 1]
        rest = rest + self.head_weight[:, None] * (people.head_scale - 1.0)[:, None] * (rest - head)
        return rest, joints, rotations


class _PaperPoints(nn.Module):
    """The same in `paper`, where the head is posed at rest."""

    def __init__(self, assets: EhmAssets, size: BodySize, kept: NDArray[np.int64]) -> None:
        super().__init__()
        vertices, joints = paper_tables(assets, size, kept)
        self.vertices, self.joints = PaperRest(vertices), PaperRest(joints)

    def joints_at_rest(self, people: EhmParameters) -> tuple[Tensor, Tensor]:
        """Rest joints and local rotations."""
        return self.joints(people), body_rotations(people)

    def forward(self, people: EhmParameters) -> tuple[Tensor, Tensor, Tensor]:
        return self.vertices(people), *self.joints_at_rest(people)

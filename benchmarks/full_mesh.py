"""The whole mesh of EHM-s, posed the way trackers pose it: dense, as published code for SMPL-X does.

Rest mesh by linear directions, pose correctives of every joint on every vertex (486 x 3 V: the size licensed SMPL-X
has; here zeros where the body has none), a 4 x 4 transform of every vertex blended from all 55 joints, homogeneous
coordinates. Joints come from tables, not from a regressor over the mesh: that favours the baseline. `EHMs`, which
poses the same body in about half the time, can take its place.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fitting import so3
from fitting.result import parameters_of
from fitting.sparse_body import SparseBody
from fitting.unknowns import State
from model.body import lbs, skeleton
from model.body.ehms import EHMs
from model.imaging import camera
from model.regressor.joint_rotations import joint_orientation

_SURFACE_SIDES = (((11, 1.0), (12, -1.0)), ((5, 1.0), (6, -1.0)))
"""Left and right keypoint, and sign of the outward axis, of hips and shoulders."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mesh:
    """A posed mesh in the camera frame, metres."""

    keypoints: Tensor
    """(B, 133, 3)."""
    joints: Tensor
    """(B, 55, 3)."""
    vertices: Tensor
    """(B, V, 3)."""


class FullMesh:
    """States of the sparse body through all vertices."""

    def __init__(self, ehms: EHMs, body: SparseBody, *, dense: bool = True):
        """`dense` poses as trackers do, otherwise `EHMs.forward` is used as it is."""
        self.ehms, self.body, self.dense = ehms, body, dense
        skin = ehms.body.skin_weights.T.contiguous()
        self.skin = skin
        table = ehms.assets.smplx.posedirs
        correctives = None if table is None else torch.from_numpy(table).to(skin)
        if correctives is None and dense:
            correctives = skin.new_zeros(9 * (skeleton.NUM_SMPLX_JOINTS - 1), 3 * len(skin))
        self.correctives = correctives

    def forward(self, state: State) -> Mesh:
        """Poses a state (B people)."""
        betas, expression, shape, *surface = state.coefficients.split(list(self.body.num_groups), 1)
        transl = camera.position_to_transl(state.position)
        local, _ = self.body.local_rotations(state)
        scale = torch.exp(state.log_head_scale)
        if self.dense:
            coefficients = torch.cat([betas, shape, expression, state.eyelids], 1)
            mesh = self._dense(coefficients, scale, local, transl)
        else:
            out = self.ehms(parameters_of(self.body, state))
            mesh = Mesh(keypoints=out.keypoints, joints=out.joints, vertices=out.vertices)
        if not surface:
            return mesh
        placed = mesh.keypoints + self._surface(surface[0], local)
        return Mesh(keypoints=placed, joints=mesh.joints, vertices=mesh.vertices)

    def _dense(self, coefficients: Tensor, scale: Tensor, local: Tensor, transl: Tensor) -> Mesh:
        ehms, count = self.ehms, len(local)
        joints, head = ehms.blended_joints(coefficients, scale)
        rest = ehms.blended_mesh(coefficients, scale, head).transpose(1, 2)
        assert self.correctives is not None
        rest = rest + (lbs.pose_feature(local) @ self.correctives).unflatten(1, (-1, 3))

        world, posed = lbs.forward_kinematics(local, joints, ehms.body.tree)
        posed = posed + (transl - posed[:, 0])[:, None]
        affine = lbs.skinning_transforms(world, posed, joints)
        bottom = affine.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(count, affine.shape[1], 1, 4)
        transforms = torch.cat([affine, bottom], 2).flatten(2)
        blended = torch.matmul(self.skin.expand(count, -1, -1), transforms).unflatten(2, (4, 4))
        homogeneous = torch.cat([rest, torch.ones_like(rest[..., :1])], -1)
        vertices = torch.matmul(blended, homogeneous[..., None])[..., :3, 0]
        keypoints = ehms.keypoints(vertices, posed, joint_orientation(local, skeleton.HEAD), "camera")
        return Mesh(keypoints=keypoints, joints=posed, vertices=vertices)

    def _surface(self, offset_m: Tensor, local: Tensor) -> Tensor:
        """Where hip and shoulder keypoints lie beside their joints (B, 133, 3), from offsets (B, 6)."""
        rotations = self.body.global_rotations(local)
        rows = {}
        for group, sides in enumerate(_SURFACE_SIDES):
            for keypoint, outwards in sides:
                parent = skeleton.SMPLX_PARENTS[skeleton.KEYPOINT_JOINT[keypoint]]
                mirrored = offset_m[:, 3 * group : 3 * group + 3] * offset_m.new_tensor([outwards, 1.0, 1.0])
                rows[keypoint] = so3.apply(rotations[:, parent], mirrored)
        moved = torch.stack(list(rows.values()), 1)
        still = offset_m.new_zeros(len(offset_m), skeleton.NUM_KEYPOINTS, 3)
        return still.index_copy(1, torch.tensor(list(rows), device=offset_m.device), moved)

"""The 133 COCO-WholeBody keypoints of a posed SMPL-X-shaped body."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from model.body import skeleton
from model.body.assets import BodyAssets
from model.body.skinned import float_buffer

Frame = Literal["camera", "body"]
"""`camera`: x right, y down, z forward. `body`: y up, z towards the viewer, the frame of the rest pose."""
MAX_CONTOUR_YAW_DEG = 39
"""The contour table has a row a degree up to this yaw on either side."""


def contour_row(head_orient: Tensor, frame: Frame) -> Tensor:
    """Which row of the contour table fits each head orientation.

    The angle is the rotation about the vertical axis, by the Euler rule the table was made for. In a camera frame an
    upright person carries a half turn about x, which changes the sign of that angle, so it is taken off first.

    Args:
        head_orient: (N, 3, 3) orientation of the head joint.
        frame: Frame that the orientation is expressed in.

    Returns:
        (N,) int64; row k is a yaw of -k degrees for k in 0..39, row 39 + k one of +k degrees; 0 where the orientation
        is not finite.
    """
    r00, r10, r20 = head_orient.detach()[..., 0].unbind(-1)
    if frame == "camera":
        r10, r20 = -r10, -r20
    yaw_deg = torch.atan2(-r20, torch.hypot(r00, r10)) * (180.0 / math.pi)
    # An orientation that is not a number makes the points so too; as an index it would be out of bounds.
    row = torch.round(-yaw_deg).nan_to_num(0.0).clamp(-MAX_CONTOUR_YAW_DEG, MAX_CONTOUR_YAW_DEG).long()
    return torch.where(row < 0, MAX_CONTOUR_YAW_DEG - row, row)


class Keypoints(nn.Module):
    """Picks and interpolates the 133 keypoints from vertices and joints.

    Limbs, wrists and knuckles are joints; nose, eyes, ears, toes, heels and fingertips are vertices; the 51 inner face
    points are fixed surface points; the 17 contour points depend on the yaw of the head.
    """

    joint_keypoints: Tensor
    joint_ids: Tensor
    surface_keypoints: Tensor
    surface_vertices: Tensor
    surface_weights: Tensor
    contour_vertices: Tensor
    contour_weights: Tensor
    place: Tensor

    def __init__(self, assets: BodyAssets) -> None:
        super().__init__()
        missing = [name for name in skeleton.KEYPOINT_VERTEX_NAME.values() if name not in assets.keypoint_vertices]
        if missing or not len(assets.landmark_vertices) or not len(assets.contour_vertices):
            what = ", ".join(missing) if missing else "face landmarks"
            raise ValueError(f"{assets.name} lacks {what}, which the 133 keypoints need: use a file that has them.")
        named = [assets.keypoint_vertices[name] for name in skeleton.KEYPOINT_VERTEX_NAME.values()]
        named_vertices = torch.tensor(named)[:, None].expand(-1, 3)
        named_weights = torch.tensor([1.0, 0.0, 0.0]).expand(len(named), 3)
        landmark_ids = list(range(skeleton.INNER_FACE.start, skeleton.INNER_FACE.stop))
        ids = torch.tensor([*skeleton.KEYPOINT_VERTEX_NAME, *landmark_ids])
        vertices = torch.cat([named_vertices, torch.from_numpy(assets.landmark_vertices.copy())])
        weights = torch.cat([named_weights, float_buffer(assets.landmark_weights)])
        for name, value in (
            ("joint_keypoints", torch.tensor(list(skeleton.KEYPOINT_JOINT))),
            ("joint_ids", torch.tensor(list(skeleton.KEYPOINT_JOINT.values()))),
            ("surface_keypoints", ids),
            ("surface_vertices", vertices),
            ("surface_weights", weights),
            ("contour_vertices", torch.from_numpy(assets.contour_vertices.copy())),
            ("contour_weights", float_buffer(assets.contour_weights)),
        ):
            self.register_buffer(name, value, persistent=False)
        contour_ids = torch.arange(skeleton.CONTOUR.start, skeleton.CONTOUR.stop)
        order = torch.cat([self.joint_keypoints, self.surface_keypoints, contour_ids])
        self.register_buffer("place", torch.argsort(order), persistent=False)

    def forward(self, vertices: Tensor, joints: Tensor, head_orient: Tensor, frame: Frame) -> Tensor:
        """(N, V, 3), (N, 55, 3), (N, 3, 3) -> (N, 133, 3)."""
        surface = (vertices[:, self.surface_vertices] * self.surface_weights[..., None]).sum(-2)
        rows = contour_row(head_orient, frame)
        samples = torch.arange(len(vertices), device=vertices.device)[:, None, None]
        contour = vertices[samples, self.contour_vertices[rows]] * self.contour_weights[rows][..., None]
        return torch.cat([joints[:, self.joint_ids], surface, contour.sum(-2)], dim=1)[:, self.place]

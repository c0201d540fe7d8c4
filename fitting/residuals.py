"""The data term: keypoints seen in the image against keypoints of the body.

A residual is a pure function: unknowns and data in, residual out. It knows no solver. Units are standard deviations
of the keypoint, so a residual of 1 is what noise alone would do.
"""

import torch
from torch import Tensor

from fitting import camera
from fitting.camera import Camera
from fitting.jacobian import HAND_POINTS, keypoint_jacobian
from fitting.parameters import Layout, State
from fitting.sparse_body import Forward, SparseBody


def reprojection(points_cam_m: Tensor, keypoints_px: Tensor, precision: Tensor, view: Camera) -> Tensor:
    """Residuals (B, N, 2) of points (B, N, 3) against keypoints (B, N, 2), in standard deviations.

    Args:
        points_cam_m: keypoints of the body in the camera frame.
        keypoints_px: keypoints of the image.
        precision: (B, N) one over the standard deviation in px; 0 for a keypoint that was not seen.
        view: camera.
    """
    return (camera.project(points_cam_m, view) - keypoints_px) * precision[..., None]


def geman_mcclure(squared: Tensor, scale: Tensor | float) -> tuple[Tensor, Tensor]:
    """Robust loss of squared residuals: loss and weight, elementwise.

    The loss is squared / (1 + squared / scale^2): quadratic below `scale`, bounded by scale^2 for outliers. The weight
    is its derivative; weighted least squares with it has the gradient of the loss.
    """
    share = 1 / (1 + squared / (scale * scale))
    return squared * share, share * share


def inliers(residual: Tensor, seen: Tensor, threshold: float) -> Tensor:
    """Keypoints (B, N) that were seen and whose residual (B, N, 2) is at most `threshold` standard deviations."""
    return seen & (residual.norm(dim=-1) <= threshold)


class KeypointTerm:
    """Robust reprojection of all keypoints, as a term of the least-squares problem."""

    def __init__(self, body: SparseBody, keypoints_px: Tensor, precision: Tensor, view: Camera, robust_scale: float):
        """Keypoints (B, N, 2), their precision (B, N) in 1/px, cameras, and the scale of the robust loss in sigmas."""
        self.body, self.view, self.robust_scale = body, view, robust_scale
        self.keypoints_px, self.precision = keypoints_px, precision

    def take_rows(self, index: Tensor) -> "KeypointTerm":
        """The same term for some of the people."""
        view = Camera(focal_px=self.view.focal_px[index], principal_px=self.view.principal_px[index])
        return KeypointTerm(self.body, self.keypoints_px[index], self.precision[index], view, self.robust_scale)

    def _residual(self, forward: Forward) -> Tensor:
        return reprojection(forward.points_cam, self.keypoints_px, self.precision, self.view)

    def cost(self, state: State, forward: Forward) -> Tensor:
        """Robust cost (B,)."""
        squared = self._residual(forward).square().sum(-1)
        return geman_mcclure(squared, self.robust_scale)[0].sum(1)

    def add_normal_equations(self, state: State, forward: Forward, gradient: Tensor, hessian: Tensor) -> None:
        """Adds J^T r to the gradient (B, P) and J^T J to the hessian (B, P, P), block by block."""
        layout: Layout = self.body.layout
        residual = self._residual(forward)
        weight = geman_mcclure(residual.square().sum(-1), self.robust_scale)[1].sqrt()
        gain = self.view.focal_px[:, None] * self.precision * weight
        jacobian = keypoint_jacobian(self.body, state, forward, camera.ray(forward.points_cam), gain)
        weighted = (residual * weight[..., None]).transpose(1, 2)
        common = jacobian.common.flatten(1, 2)
        across = common.transpose(1, 2)
        first = slice(0, layout.num_common)
        hessian[:, first, first] += across @ common
        gradient[:, first] += (across @ weighted.flatten(1)[..., None]).squeeze(-1)
        for side, points in enumerate(HAND_POINTS):
            own = layout.hand(side)
            rows = jacobian.hands[:, side].flatten(1, 2)
            transposed = rows.transpose(1, 2)
            cross = transposed @ jacobian.common[:, :, points].flatten(1, 2)
            hessian[:, own, own] += transposed @ rows
            hessian[:, own, first] += cross
            hessian[:, first, own] += cross.transpose(1, 2)
            gradient[:, own] += (transposed @ weighted[:, :, points].flatten(1)[..., None]).squeeze(-1)


def precision_of(sigma_px: Tensor, keypoints_px: Tensor) -> Tensor:
    """One over sigma (B, N), 0 for keypoints that are not finite, not seen (inf) or have no valid sigma."""
    usable = torch.isfinite(sigma_px) & (sigma_px > 0) & torch.isfinite(keypoints_px).all(-1)
    return torch.where(usable, 1 / torch.where(usable, sigma_px, torch.ones_like(sigma_px)), torch.zeros_like(sigma_px))

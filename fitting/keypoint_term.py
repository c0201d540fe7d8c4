"""The data term: keypoints seen in the image against keypoints of the body.

A residual is a pure function: unknowns and data in, residual out. It knows no solver. Units are standard deviations
of the keypoint, so a residual of 1 is what noise alone would do.
"""

import torch
from torch import Tensor

from fitting.forward import Forward
from fitting.jacobian import keypoint_jacobian
from fitting.sparse_body import SparseBody
from fitting.terms import NormalEquations
from fitting.unknowns import State
from model.imaging import camera
from model.imaging.camera import Camera

ABSURD_DISTANCE = 100.0
"""From the middle of a person's keypoints, in distances of half of them from it. The feet of somebody of whom all else
that is seen is a face are some 25 such distances away."""


def keypoint_residual(points_cam_m: Tensor, keypoints_px: Tensor, precision: Tensor, view: Camera) -> Tensor:
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
        return keypoint_residual(forward.points_cam, self.keypoints_px, self.precision, self.view)

    def cost(self, state: State, forward: Forward) -> Tensor:
        """Robust cost (B,)."""
        squared = self._residual(forward).square().sum(-1)
        return geman_mcclure(squared, self.robust_scale)[0].sum(1)

    def add_to(self, normal: NormalEquations, state: State, forward: Forward) -> None:
        """Adds [J r]^T [J r] of the weighted residuals, group by group."""
        residual = self._residual(forward)
        weight = geman_mcclure(residual.square().sum(-1), self.robust_scale)[1].sqrt()
        gain = self.view.focal_px[:, None] * self.precision * weight
        weighted = residual * weight[..., None]
        blocks = keypoint_jacobian(self.body, state, forward, camera.ray(forward.points_cam), gain, weighted)
        normal.add_groups(self.body.group_columns, blocks)


def precision_of(sigma_px: Tensor, keypoints_px: Tensor) -> Tensor:
    """One over sigma (B, N) of keypoints (B, N, 2) in px, or (B, N, 3) in metres; 0 for those that are not seen.

    Those are keypoints that are not finite, have no valid sigma (inf: not seen), or are absurdly far from the rest, as
    an overflow is: no robust loss makes up for one.
    """
    usable = torch.isfinite(sigma_px) & (sigma_px > 0) & torch.isfinite(keypoints_px).all(-1)
    places = torch.where(usable[..., None], keypoints_px, torch.nan)
    distance = (places - places.nanmedian(1, keepdim=True).values).abs().amax(-1)
    usable &= distance <= ABSURD_DISTANCE * distance.nanmedian(1, keepdim=True).values.clamp(min=1.0)
    return torch.where(usable, 1 / torch.where(usable, sigma_px, torch.ones_like(sigma_px)), torch.zeros_like(sigma_px))

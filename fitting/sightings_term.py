"""The data terms of people seen by several cameras, or stated in 3D: robust, folded before the Jacobian.

Units are standard deviations, as in `fitting.keypoint_term`. The cost of a step hardly grows with the number of
cameras: the derivative of the body is taken once, with three rows a keypoint in place of two.
"""

import torch
from torch import Tensor

from fitting.folding import triangle
from fitting.forward import Forward, people_last
from fitting.jacobian import point_jacobian
from fitting.keypoint_term import geman_mcclure
from fitting.sightings import Sightings
from fitting.sparse_body import SparseBody
from fitting.terms import NormalEquations
from fitting.uncertainty import joint_derivative, place_derivative
from fitting.unknowns import POSITION, State
from model.batches import map_tensors, take_rows
from model.body.skeleton import NUM_MAIN_JOINTS


class SightingsTerm:
    """Keypoints against all cameras that see them, and against where they are stated in 3D."""

    def __init__(self, body: SparseBody, sightings: Sightings, robust_scale: float):
        """The scale is that of the robust loss, in sigmas."""
        self.body, self.sightings, self.robust_scale = body, sightings, robust_scale

    def take_rows(self, index: Tensor) -> "SightingsTerm":
        """The same term for some of the people."""
        return SightingsTerm(self.body, take_rows(self.sightings, index), self.robust_scale)

    def cost(self, state: State, forward: Forward) -> Tensor:
        """Robust cost (B,)."""
        return self.sightings.cost(forward.points_cam, self.robust_scale)

    def add_to(self, normal: NormalEquations, state: State, forward: Forward) -> None:
        """Adds [J r]^T [J r] of the folded rows, group by group."""
        rows, residual = triangle(self.sightings.fold(forward.points_cam, self.robust_scale))
        rows = map_tensors(rows, people_last)
        normal.add_groups(self.body.group_columns, point_jacobian(self.body, state, forward, rows, residual))


class JointsTerm:
    """Root and body joints of the model against where they are stated in 3D."""

    def __init__(self, body: SparseBody, joints_m: Tensor, precision: Tensor, robust_scale: float):
        """Joints (B, 22, 3) in the frame of the fit, and one over their sigma in metres (B, 22), 0 for none."""
        self.body, self.joints_m, self.precision, self.robust_scale = body, joints_m, precision, robust_scale

    def take_rows(self, index: Tensor) -> "JointsTerm":
        """The same term for some of the people."""
        return JointsTerm(self.body, self.joints_m[index], self.precision[index], self.robust_scale)

    def _residual(self, forward: Forward) -> Tensor:
        joints = forward.joints[:, :NUM_MAIN_JOINTS] + forward.translation[:, None]
        return (joints - self.joints_m) * self.precision[..., None]

    def cost(self, state: State, forward: Forward) -> Tensor:
        """Robust cost (B,)."""
        return geman_mcclure(self._residual(forward).square().sum(-1), self.robust_scale)[0].sum(1)

    def add_to(self, normal: NormalEquations, state: State, forward: Forward) -> None:
        """Adds [J r]^T [J r]."""
        residual = self._residual(forward)
        weight = geman_mcclure(residual.square().sum(-1), self.robust_scale)[1].sqrt()
        columns = joint_derivative(self.body, forward).unflatten(1, (NUM_MAIN_JOINTS, 3))
        columns[..., POSITION] = place_derivative(forward)[:, None]
        columns = columns * (self.precision * weight)[..., None, None]
        rows = torch.cat([columns, (residual * weight[..., None])[..., None]], -1).flatten(1, 2)
        product, last = rows.transpose(1, 2) @ rows, rows.shape[2] - 1
        normal.hessian[:, :last, :last] += product[:, :last, :last]
        normal.gradient[:, :last] += product[:, last, :last]

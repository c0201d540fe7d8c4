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
from fitting.point_rows import FoldedRows
from fitting.sightings import Sightings
from fitting.sparse_body import SparseBody
from fitting.terms import JoinsHands, NormalEquations
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
        return _met(self.sightings, forward, self.robust_scale).cost(forward.points_cam, self.robust_scale)

    def add_to(self, normal: NormalEquations, state: State, forward: Forward) -> None:
        """Adds [J r]^T [J r] of the folded rows, group by group."""
        sightings = _met(self.sightings, forward, self.robust_scale)
        rows, residual = triangle(sightings.fold(forward.points_cam, self.robust_scale))
        rows = map_tensors(rows, people_last)
        normal.add_groups(self.body.group_columns, point_jacobian(self.body, state, forward, rows, residual))


class JointsTerm:
    """Root and body joints of the model against where they are stated in 3D."""

    def __init__(self, body: SparseBody, sightings: Sightings, robust_scale: float):
        """Of the sightings what is stated of joints."""
        self.body, self.sightings, self.robust_scale = body, sightings, robust_scale

    def take_rows(self, index: Tensor) -> "JointsTerm":
        """The same term for some of the people."""
        return JointsTerm(self.body, take_rows(self.sightings, index), self.robust_scale)

    def _residual(self, forward: Forward) -> tuple[Tensor, Tensor]:
        """Residuals (B, 22, 3), and the precisions (B, 22) they were multiplied by."""
        stated = _met(self.sightings, forward, self.robust_scale).stated
        return stated.joint_residual(_joints(forward)), stated.joint_precision

    def cost(self, state: State, forward: Forward) -> Tensor:
        """Robust cost (B,)."""
        return geman_mcclure(self._residual(forward)[0].square().sum(-1), self.robust_scale)[0].sum(1)

    def add_to(self, normal: NormalEquations, state: State, forward: Forward) -> None:
        """Adds [J r]^T [J r]."""
        residual, precision = self._residual(forward)
        weight = geman_mcclure(residual.square().sum(-1), self.robust_scale)[1].sqrt()
        columns = _joint_columns(self.body, forward) * (precision * weight)[..., None, None]
        rows = torch.cat([columns, (residual * weight[..., None])[..., None]], -1).flatten(1, 2)
        product, last = rows.transpose(1, 2) @ rows, rows.shape[2] - 1
        normal.hessian[:, :last, :last] += product[:, :last, :last]
        normal.gradient[:, :last] += product[:, last, :last]


class ShiftTerm(JoinsHands):
    """What places that are known up to a shift say less than places proper: the shift that goes with a step.

    With residuals r, weights w and the Jacobian J of the places, a shift that follows the step takes [m g]^T [m g] / W
    out of the normal equations, where m is the sum of w J, g that of w r and W that of w. Here the shift follows all of
    a step but its fingers, so that left and right ones stay apart, which the solver relies on. Any choice of the shift
    bounds the cost from above, and the gradient is the same.
    """

    def __init__(self, body: SparseBody, sightings: Sightings, robust_scale: float):
        """Of the sightings the places in 3D that are known up to a shift."""
        self.body, self.sightings, self.robust_scale = body, sightings, robust_scale

    def take_rows(self, index: Tensor) -> "ShiftTerm":
        """The same term for some of the people."""
        return ShiftTerm(self.body, take_rows(self.sightings, index), self.robust_scale)

    def cost(self, state: State, forward: Forward) -> Tensor:
        """Nothing (B,): the other terms have it."""
        return forward.translation.new_zeros(len(forward.translation))

    def add_to(self, normal: NormalEquations, state: State, forward: Forward) -> None:
        """Takes the shift out."""
        stated, layout = _met(self.sightings, forward, self.robust_scale).stated, self.body.layout
        assert stated.is_relative is not None
        points, joints = stated.weights(forward.points_cam, _joints(forward), self.robust_scale)
        points, joints = points * stated.is_relative[:, None], joints * stated.is_relative[:, None]
        moved = forward.points.new_zeros(len(points), 3, layout.size + 1)
        weight, zero = people_last(points), torch.zeros_like(people_last(points))
        rows = FoldedRows(xx=weight, xy=zero, xz=zero, yy=weight, yz=zero, zz=weight)
        blocks = point_jacobian(self.body, state, forward, rows)
        for columns, block in zip(self.body.group_columns, blocks, strict=True):
            moved.index_add_(2, columns, block.sum(1))
        columns = _joint_columns(self.body, forward)
        moved[..., : columns.shape[-1]] += (joints[..., None, None] * columns).sum(1)
        off = (stated.points_m - forward.points_cam, points), (stated.joints_m - _joints(forward), joints)
        moved[..., -1] = -sum((weight[..., None] * own).sum(1) for own, weight in off)
        total = points.sum(1) + joints.sum(1)
        moved = moved * total.clamp(min=torch.finfo(total.dtype).tiny).rsqrt()[:, None, None]
        product = moved.transpose(1, 2) @ moved
        product[:, layout.hands, layout.hands] = 0.0
        normal.augmented.sub_(product)


def _joints(forward: Forward) -> Tensor:
    """Root and body joints (B, 22, 3) in the frame of the camera."""
    return forward.joints[:, :NUM_MAIN_JOINTS] + forward.translation[:, None]


def _joint_columns(body: SparseBody, forward: Forward) -> Tensor:
    """Derivative (B, 22, 3, Q) of `_joints` with respect to the unknowns up to the last coefficient."""
    columns = joint_derivative(body, forward).unflatten(1, (NUM_MAIN_JOINTS, 3))
    columns[..., POSITION] = place_derivative(forward)[:, None]
    return columns


def _met(sightings: Sightings, forward: Forward, robust_scale: float) -> Sightings:
    if sightings.stated.is_relative is None:
        return sightings
    return sightings.met_by(forward.points_cam, _joints(forward), robust_scale)

"""The terms of the priors: one residual each, a pure function, and its part of the normal equations.

All residuals are in standard deviations. Rotation residuals are logarithms, differentiated with respect to the
world-frame steps of `fitting.unknowns`.
"""

import math

import torch
from torch import Tensor

from fitting import so3
from fitting.forward import Forward
from fitting.priors import Gaussian
from fitting.settings import WrongJoints
from fitting.terms import NormalEquations
from fitting.unknowns import BODY, JAW, ROOT, Layout, State, linear_coordinates
from model.batches import take_rows
from model.body import skeleton
from model.body.joint_limits import JOINT_LIMITS_RAD


def pose_nearness(reference: Tensor, rotmat: Tensor, sigma_rad: Tensor) -> Tensor:
    """log(R0^T R) / sigma: (..., 3) for rotations (..., 3, 3) and sigma (...)."""
    return so3.log(reference.transpose(-1, -2) @ rotmat) / sigma_rad[..., None]


def mixture_loss(squared: Tensor, wrong: WrongJoints | None) -> tuple[Tensor, Tensor]:
    """Loss and weight of a rotation whose error is Gaussian with one standard deviation, or seldom with a larger one.

    Twice the negative logarithm of (1 - share) N(0, 1) + share N(0, factor^2) in three dimensions, 0 at 0. The weight
    is its derivative: nearly 1 while the small Gaussian explains the residual, 1 / factor^2 beyond, so that a wrong
    joint still has a prior, a wide one, where the keypoints do not determine it.

    Args:
        squared: (...) squared norms of residuals in (small) standard deviations.
        wrong: share and factor; None is a plain Gaussian.
    """
    if wrong is None:
        return squared, torch.ones_like(squared)
    gain = 1 - 1 / wrong.factor**2
    log_odds = math.log((1 - wrong.share) / wrong.share) + 3 * math.log(wrong.factor)
    excess = squared * (gain / 2) - log_odds
    # softplus and sigmoid by exp and log1p, which round alike wherever a number stands; those of torch do not.
    surplus = excess.clamp(min=0) + torch.log1p(torch.exp(-excess.abs()))
    loss = squared - 2 * surplus + 2 * math.log1p(math.exp(-log_odds))
    return loss, 1 - gain / (1 + torch.exp(-excess))


def beyond_limits(rotvec: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """How far axis-angle components (..., 3) lie outside [low, high], signed; 0 inside."""
    return (rotvec - high).clamp(min=0) + (rotvec - low).clamp(max=0)


class PoseNearnessTerm:
    """Root and body joints stay near the coarse estimate.

    The Jacobian of log(R0^T R) with respect to a world-frame step is Jr^-1(phi) G^T; the Gauss-Newton matrix of the
    isotropic residual is taken as I / sigma^2, its value at the reference. The gradient G phi / sigma^2 is exact,
    because phi is a fixed vector of its own Jacobian.

    The loss of a joint is that of `mixture_loss`: a coarse estimate errs by some degrees in most joints and is plainly
    wrong in a few, which must not hold the fit back.
    """

    def __init__(self, global_orient: Tensor, body_pose: Tensor, sigma_rad: Tensor, wrong: WrongJoints | None = None):
        """Reference root (B, 3, 3), body (B, 21, 3, 3), standard deviations (B, 22), and what is known of failures."""
        self.reference = torch.cat([global_orient[:, None], body_pose], 1)
        self.sigma_rad, self.wrong = sigma_rad, wrong

    def take_rows(self, index: Tensor) -> "PoseNearnessTerm":
        """The same term for some of the people."""
        reference = self.reference[index]
        return PoseNearnessTerm(reference[:, 0], reference[:, 1:], self.sigma_rad[index], self.wrong)

    def _residual(self, state: State) -> Tensor:
        current = torch.cat([state.global_orient[:, None], state.body_pose], 1)
        return pose_nearness(self.reference, current, self.sigma_rad)

    def cost(self, state: State, forward: Forward) -> Tensor:
        """(B,)."""
        return mixture_loss(self._residual(state).square().sum(-1), self.wrong)[0].sum(1)

    def add_to(self, normal: NormalEquations, state: State, forward: Forward) -> None:
        """Adds this term in place."""
        gradient, hessian = normal.gradient, normal.hessian
        residual, precision = self._residual(state), 1 / self.sigma_rad[..., None]
        weight = mixture_loss(residual.square().sum(-1, keepdim=True), self.wrong)[1]
        pull = weight * precision * (forward.rotations[:, :22] @ residual[..., None]).squeeze(-1)
        stiffness = (weight * precision**2).expand(-1, -1, 3)
        gradient[:, ROOT] += pull[:, 0]
        gradient[:, BODY] += pull[:, 1:].flatten(1)
        diagonal = hessian.diagonal(dim1=1, dim2=2)
        diagonal[:, ROOT] += stiffness[:, 0]
        diagonal[:, BODY] += stiffness[:, 1:].flatten(1)


class OrientationTerm:
    """Head and wrists stay near the orientation in the camera frame that their own estimators saw.

    A world-frame step of a joint turns all that hangs below it, so a joint and those above it have the same columns:
    the Jacobian of log(R0^T G) is Jr^-1(phi) G^T for each, and the Gauss-Newton matrix is taken as I / sigma^2, as in
    `PoseNearnessTerm`.
    """

    def __init__(self, joints: tuple[int, ...], reference: Tensor, precision: Tensor):
        """SMPL-X joints (K), their orientations (B, K, 3, 3), and one over their sigmas (B, K) in 1/rad, 0 for none."""
        self.joints, self.reference, self.precision = joints, reference, precision
        self._columns = [_columns_above(joint).to(reference.device) for joint in joints]

    def take_rows(self, index: Tensor) -> "OrientationTerm":
        """The same term for some of the people."""
        return OrientationTerm(self.joints, self.reference[index], self.precision[index])

    def _residual(self, forward: Forward) -> tuple[Tensor, Tensor]:
        current = forward.rotations[:, list(self.joints)]
        return current, so3.log(self.reference.transpose(-1, -2) @ current) * self.precision[..., None]

    def cost(self, state: State, forward: Forward) -> Tensor:
        """(B,)."""
        return self._residual(forward)[1].square().sum((1, 2))

    def add_to(self, normal: NormalEquations, state: State, forward: Forward) -> None:
        """Adds this term in place."""
        current, residual = self._residual(forward)
        pull = (current @ residual[..., None]).squeeze(-1) * self.precision[..., None]
        for k, columns in enumerate(self._columns):
            num = len(columns) // 3
            normal.gradient[:, columns] += pull[:, k].repeat(1, num)
            block = torch.eye(3, dtype=pull.dtype, device=pull.device).repeat(num, num)
            normal.hessian[:, columns[:, None], columns] += self.precision[:, k, None, None].square() * block


def _columns_above(joint: int) -> Tensor:
    """Places in a step of the turns of a body joint and all above it: (3 n,)."""
    columns: list[int] = []
    while joint >= 0:
        start = ROOT.start if joint == 0 else BODY.start + 3 * (joint - 1)
        columns += range(start, start + 3)
        joint = skeleton.SMPLX_PARENTS[joint]
    return torch.tensor(columns)


class RotvecTerm:
    """Axis-angle priors on single joints: hinges and spans of the body, and a nearly closed jaw near its estimate."""

    def __init__(self, limit_sigma_rad: float, jaw_mean: Tensor, jaw_sigma_rad: Tensor):
        """Softness of the joint limits, and the jaw's expected axis-angle (B, 3) with its sigmas (3,)."""
        self.limit_sigma_rad, self.jaw_mean, self.jaw_sigma_rad = limit_sigma_rad, jaw_mean, jaw_sigma_rad
        self.low, self.high = torch.from_numpy(JOINT_LIMITS_RAD).to(jaw_mean).unbind(-1)

    def take_rows(self, index: Tensor) -> "RotvecTerm":
        """The same term for some of the people."""
        return RotvecTerm(self.limit_sigma_rad, self.jaw_mean[index], self.jaw_sigma_rad)

    def _residuals(self, state: State) -> tuple[Tensor, Tensor, Tensor]:
        rotvec = so3.log(torch.cat([state.body_pose, state.jaw_pose[:, None]], 1))
        limits = beyond_limits(rotvec[:, :21], self.low, self.high) / self.limit_sigma_rad
        return rotvec, limits, (rotvec[:, 21] - self.jaw_mean) / self.jaw_sigma_rad

    def cost(self, state: State, forward: Forward) -> Tensor:
        """(B,)."""
        _, limits, jaw = self._residuals(state)
        return limits.square().sum((1, 2)) + jaw.square().sum(1)

    def add_to(self, normal: NormalEquations, state: State, forward: Forward) -> None:
        """Adds this term in place."""
        gradient, hessian = normal.gradient, normal.hessian
        rotvec, limits, jaw = self._residuals(state)
        turn = so3.right_jacobian_inverse(rotvec) @ forward.rotations[:, 1:23].transpose(-1, -2)
        active = turn[:, :21] * (limits != 0)[..., None] / self.limit_sigma_rad
        gradient[:, BODY] += (active.transpose(-1, -2) @ limits[..., None]).flatten(1)
        blocks = active.transpose(-1, -2) @ active
        body = hessian[:, BODY, BODY].unflatten(2, (21, 3)).unflatten(1, (21, 3))
        body.diagonal(dim1=1, dim2=3).add_(blocks.permute(0, 2, 3, 1))
        jaw_rows = turn[:, 21] / self.jaw_sigma_rad[:, None]
        gradient[:, JAW] += (jaw_rows.transpose(-1, -2) @ jaw[..., None]).squeeze(-1)
        hessian[:, JAW, JAW] += jaw_rows.transpose(-1, -2) @ jaw_rows


class GaussianTerm:
    """Independent Gaussian priors on everything that steps by plain addition, most of them around the coarse start.

    Covers the position, shape, expression, log head scale, and the hands twice: near their estimate, and near the
    hands that people have.
    """

    def __init__(self, layout: Layout, prior: Gaussian):
        """Means and precisions (B, P); precision 0 where nothing is known."""
        self.layout, self.prior = layout, prior

    def take_rows(self, index: Tensor) -> "GaussianTerm":
        """The same term for some of the people."""
        return GaussianTerm(self.layout, take_rows(self.prior, index))

    def _offset(self, state: State) -> Tensor:
        return linear_coordinates(state, self.layout) - self.prior.mean

    def cost(self, state: State, forward: Forward) -> Tensor:
        """(B,)."""
        return (self.prior.precision * self._offset(state).square()).sum(1)

    def add_to(self, normal: NormalEquations, state: State, forward: Forward) -> None:
        """Adds this term in place."""
        gradient, hessian = normal.gradient, normal.hessian
        gradient += self.prior.precision * self._offset(state)
        hessian.diagonal(dim1=1, dim2=2).add_(self.prior.precision)

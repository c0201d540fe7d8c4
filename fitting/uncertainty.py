"""What the keypoints did not determine: standard deviations from the final normal matrix (Laplace approximation).

The inverse of the Gauss-Newton matrix is the covariance of a Gaussian around the result, provided that keypoints and
priors state their own noise correctly. Pushed through the derivative of the joints it gives the 3D error that the
model itself expects, in mm. Finger coordinates couple to all else through their own block only, so they are eliminated
first (Schur complement) and no matrix of the full size is inverted.

Legend: B people, P unknowns, Pc common unknowns (all but the fingers), K = 22 root and body joints.
"""

from dataclasses import dataclass, replace
from operator import itemgetter

import torch
from torch import Tensor

from fitting import so3
from fitting.forward import Forward
from fitting.sparse_body import SparseBody
from fitting.unknowns import BODY, POSITION, ROOT, Layout
from model.batches import cat_rows, map_tensors
from model.body.skeleton import NUM_MAIN_JOINTS

_DEPTH_FACTOR = 1.4
"""Stated over computed sigma of log depth, so that error over sigma is 1 on synthetic people: their shapes spread wider
than the prior about them, which hardly touches the pose. Rotations and the head scale need no factor (1.0)."""
_CHUNK = 32
"""People whose covariance is computed at once on a CPU."""
_SMALL_BLOCK = 16
"""Size up to which a Cholesky factor beats halving; the optimum is flat."""
_MEAN_TO_RMS = 0.86
"""E|v| / sqrt(E|v|^2) of a 3D Gaussian error: 0.92 if it is the same along all axes, 0.80 if it is along one only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Uncertainty:
    """Standard deviations of a Gaussian around the result. NaN where the matrix cannot be inverted."""

    joint_sigma_rad: Tensor
    """(B, 22) root mean square over the three axes of root and body joints."""
    hand_sigma_rad: Tensor
    """(B, 2) root mean square over the coordinates of left and right fingers."""
    log_depth_sigma: Tensor
    """(B,) relative uncertainty of the pelvis depth."""
    place_covariance_m2: Tensor
    """(B, 3, 3) of the pelvis in the frame of the camera, square metres."""
    log_head_scale_sigma: Tensor
    """(B,) root mean square over the three axes of the head scale's logarithm."""
    joint_ratio: Tensor
    """(B, 22) sigma of each joint after / before the keypoints: 1 if they said nothing, near 0 if they said all."""
    mpjpe_mm: Tensor
    """(B,) expected mean distance of the 22 joints from their true places, pelvis on pelvis."""
    pa_mpjpe_mm: Tensor
    """(B,) the same after the best similarity alignment: the part of the error that no rotation, scale and shift of
    the whole body explains."""
    pa_mpjpe_spread_mm: Tensor
    """(B,) standard deviation of the aligned error about its expectation: it differs by so much by mere luck, which
    bounds what any score can rank."""

    def seen_by(self, turn: Tensor, depth_m: Tensor) -> "Uncertainty":
        """The same of people in the frames of other cameras, by turns (B, 3, 3), and depths (B,) of the pelvis there.

        Joints, shapes and fingers are as uncertain from wherever they are seen. Where several cameras tell the depth,
        shapes that spread wider than the prior hardly touch it.
        """
        place = turn @ self.place_covariance_m2 @ turn.transpose(-1, -2)
        depth = place[:, 2, 2].clamp(min=0).sqrt() / depth_m
        return replace(self, log_depth_sigma=depth, place_covariance_m2=place)


def uncertainty(hessian: Tensor, prior: Tensor, body: SparseBody, forward: Forward) -> Uncertainty:
    """Covariance of the result of B people; on a CPU a few people at a time, for the sake of memory.

    Args:
        hessian: (B, P, P) Gauss-Newton matrix at the result, priors included. Left and right fingers do not couple.
        prior: (B, P) `prior_precision`.
        body: tables of the body.
        forward: the result.
    """
    size = _CHUNK if hessian.device.type == "cpu" else len(hessian)
    parts = [slice(start, start + size) for start in range(0, len(hessian), size)]
    return cat_rows(
        [_covariance(hessian[part], prior[part], body, map_tensors(forward, itemgetter(part))) for part in parts]
    )


def _covariance(hessian: Tensor, prior: Tensor, body: SparseBody, forward: Forward) -> Uncertainty:
    """`uncertainty` of all people at once."""
    layout = body.layout
    common, hands = marginal_roots(hessian, layout)
    variance = torch.cat([common.square().sum(1), hands.flatten(1)], 1)
    before = 1 / prior.clamp(min=torch.finfo(prior.dtype).tiny)

    def by_joint(values: Tensor) -> Tensor:
        return torch.cat([values[:, ROOT], values[:, BODY]], 1).unflatten(1, (NUM_MAIN_JOINTS, 3)).mean(-1)

    depth = POSITION.stop - 1
    spread, shape = joint_roots_m(common, body, forward)
    place = (common[:, :, None, POSITION] * place_derivative(forward)[:, None]).sum(3)
    aligned = _mean_distance(shape).mean(1)
    return Uncertainty(
        joint_sigma_rad=by_joint(variance).sqrt(),
        hand_sigma_rad=torch.stack([variance[:, layout.hand(side)].mean(1) for side in range(2)], 1).sqrt(),
        log_depth_sigma=_DEPTH_FACTOR * variance[:, depth].sqrt(),
        place_covariance_m2=(place[..., None] * place[:, :, None]).sum(1),
        log_head_scale_sigma=variance[:, layout.log_head_scale].mean(1).sqrt(),
        joint_ratio=(by_joint(variance) / by_joint(before)).sqrt().clamp(max=1.0),
        mpjpe_mm=1e3 * _mean_distance(spread).mean(1),
        pa_mpjpe_mm=1e3 * aligned,
        pa_mpjpe_spread_mm=1e3 * aligned * _relative_spread(shape),
    )


def whitening(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Lower triangular E (..., N, N) with E^T E = matrix^-1, and whether there is one (...).

    Halves the matrix until a block is small, which leaves nearly all the work to matrix products: on a CPU twice as
    fast as a batched Cholesky factor and its inverse.
    """
    size = matrix.shape[-1]
    if size <= _SMALL_BLOCK:
        eye = torch.eye(_SMALL_BLOCK, dtype=matrix.dtype, device=matrix.device).expand(*matrix.shape[:-2], -1, -1)
        block = eye.clone()
        block[..., :size, :size] = matrix
        factor, info = torch.linalg.cholesky_ex(block)
        return torch.linalg.solve_triangular(factor, eye, upper=False)[..., :size, :size], info == 0
    half = _SMALL_BLOCK * -(-size // (2 * _SMALL_BLOCK))
    first, first_good = whitening(matrix[..., :half, :half])
    cross = first @ matrix[..., :half, half:]
    second, second_good = whitening(matrix[..., half:, half:] - cross.transpose(-1, -2) @ cross)
    root = torch.zeros_like(matrix)
    root[..., :half, :half], root[..., half:, half:] = first, second
    root[..., half:, :half] = -second @ (cross.transpose(-1, -2) @ first)
    return root, first_good & second_good


def marginal_roots(hessian: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
    """Root E (B, Pc, Pc) of the covariance E^T E of the common unknowns, and the variances (B, 2, Ph) of the fingers.

    With H = [[C, N^T], [N, F]] the covariance of the common unknowns is (C - N^T F^-1 N)^-1. The variances are those of
    F^-1, the wrist held: letting it go would raise the sigmas of the fingers by 3 %.
    """
    first = slice(0, layout.num_common)
    fingers = torch.stack([hessian[:, layout.hand(side), layout.hand(side)] for side in range(2)], 1)
    cross = torch.stack([hessian[:, layout.hand(side), first] for side in range(2)], 1)
    finger_root, fingers_good = whitening(fingers)
    stacked = (finger_root @ cross).flatten(1, 2)
    root, good = whitening(hessian[:, first, first] - stacked.transpose(1, 2) @ stacked)
    good = (good & fingers_good.all(1))[:, None, None]
    nan = torch.full((), torch.nan, dtype=hessian.dtype, device=hessian.device)
    return torch.where(good, root, nan), torch.where(fingers_good[..., None], finger_root.square().sum(2), nan)


def place_derivative(forward: Forward) -> Tensor:
    """Derivative (B, 3, 3) of the pelvis in metres with respect to x/z, y/z and log z."""
    x, y, z = forward.translation.unbind(1)
    zero = torch.zeros_like(x)
    return torch.stack([z, zero, x, zero, z, y, zero, zero, z], 1).unflatten(1, (3, 3))


def joint_derivative(body: SparseBody, forward: Forward) -> Tensor:
    """Derivative (B, 66, Q) of the 22 joints relative to the pelvis, with respect to the unknowns up to the last
    coefficient, Q = 72 + C. Place, jaw and head scale do not move them.
    """
    layout, num = body.layout, NUM_MAIN_JOINTS
    joints = forward.joints[:, :num]
    derivative = joints.new_zeros(len(joints), num, 3, layout.coefficients.stop)
    below = body.ancestors[:num, :num, None]
    # A turn d of joint j moves a joint k below it by d x (p_k - p_j) = [p_k - p_j]^T d.
    turns = so3.skew(below * (joints[:, :, None] - joints[:, None])).transpose(-1, -2).transpose(2, 3)
    derivative[..., ROOT], derivative[..., BODY] = turns[..., 0, :], turns[..., 1:, :].flatten(-2)
    rest = (
        body.joints.directions if body.posed_head is None else body.joints.directions + body.posed_head.joint_directions
    )
    bones = so3.product(forward.rotations[:, body.parents[:num]], (rest - rest[body.parents])[:num])
    bones[:, 0] = 0
    moves = body.ancestors[:num, :num] @ bones.flatten(2)
    derivative[..., layout.coefficients] = moves.unflatten(-1, (3, -1))
    return derivative.flatten(1, 2)


def similarity_directions(joints: Tensor) -> Tensor:
    """Orthonormal basis (B, 3 K, 7) of the moves of joints (B, K, 3) under shift, rotation and scaling of the whole."""
    centred = joints - joints.mean(1, keepdim=True)
    shift = torch.eye(3, dtype=joints.dtype, device=joints.device).expand(*joints.shape[:2], 3, 3)
    moves = torch.cat([shift, so3.skew(centred), centred[..., None]], -1).flatten(1, 2)
    # Columns of whole cache lines: LAPACK treats what is before the first border apart, and rounds otherwise there.
    rows = moves.shape[1]
    return torch.linalg.qr(torch.nn.functional.pad(moves, (0, 0, 0, -rows % 16))).Q[:, :rows]


def joint_roots_m(root: Tensor, body: SparseBody, forward: Forward) -> tuple[Tensor, Tensor]:
    """Roots V (B, 66, Pc) of the covariance V V^T of the 22 joints: pelvis on pelvis, and aligned by similarity."""
    derivative = joint_derivative(body, forward)
    spread = derivative @ root[:, :, : derivative.shape[2]].transpose(1, 2)
    whole = similarity_directions(forward.joints[:, :NUM_MAIN_JOINTS])
    return spread, spread - whole @ (whole.transpose(1, 2) @ spread)


def _mean_distance(root: Tensor) -> Tensor:
    """Expected length (B, 22) of the error of each joint, from a root of its covariance."""
    return _MEAN_TO_RMS * root.unflatten(1, (NUM_MAIN_JOINTS, 3)).square().sum((2, 3)).sqrt()


def _relative_spread(root: Tensor) -> Tensor:
    """Standard deviation over mean (B,) of the root mean square joint error.

    The sum of squares q of Gaussians with covariance S has variance 2 |S|^2 about tr S; its square root varies by half
    as much.
    """
    covariance = root @ root.transpose(1, 2)
    return 0.5 * (2 * covariance.square().sum((1, 2))).sqrt() / covariance.diagonal(dim1=1, dim2=2).sum(1)

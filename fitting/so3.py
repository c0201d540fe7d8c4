"""The rotation group in closed form: exponential, logarithm and the right Jacobian with its inverse.

Convention: rotation vectors (..., 3) in radians, matrices (..., 3, 3) acting on column vectors.
With the right Jacobian Jr: exp(v + d) = exp(v) exp(Jr(v) d) to first order in d.
Everything is batched, keeps the type of its input and is exact to rounding at angle 0 and close to pi.

Why not `model.rotations`: the solver needs the Jacobians as well, which roma does not have, and calls exp and log in
its inner loop, where these are a quarter to a third quicker. A test holds the two together.
"""

from typing import TypeAlias

import torch
from torch import Tensor

from fitting.products import length


def skew(vector: Tensor) -> Tensor:
    """Cross-product matrices (..., 3, 3) of vectors (..., 3): skew(a) b = a x b."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def product(matrix: Tensor, columns: Tensor) -> Tensor:
    """Matrices (..., 3, 3) times columns (..., 3, K), broadcast: seven times faster on a CPU than a batched matmul."""
    out = matrix[..., 0:1] * columns[..., 0:1, :]
    out = torch.addcmul(out, matrix[..., 1:2], columns[..., 1:2, :])
    return torch.addcmul(out, matrix[..., 2:3], columns[..., 2:3, :])


def apply(matrix: Tensor, vectors: Tensor) -> Tensor:
    """Matrices (..., 3, 3) times vectors (..., 3)."""
    return (matrix * vectors[..., None, :]).sum(-1)


def apply_last(matrix: Tensor, vectors: Tensor) -> Tensor:
    """Matrices (n, 3, 3, B) times vectors (n, 3, B)."""
    out = matrix[:, :, 0] * vectors[:, None, 0]
    out = torch.addcmul(out, matrix[:, :, 1], vectors[:, None, 1])
    return torch.addcmul(out, matrix[:, :, 2], vectors[:, None, 2])


def product_last(left: Tensor, right: Tensor) -> Tensor:
    """Matrices (n, 3, 3, B) times matrices (n, 3, 3, B)."""
    out = left[:, :, 0, None] * right[:, None, 0]
    out = torch.addcmul(out, left[:, :, 1, None], right[:, None, 1])
    return torch.addcmul(out, left[:, :, 2, None], right[:, None, 2])


def _series_switch(angle_sq: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Mask of small angles, and the squared angle with 1 in their place, so that no branch divides by zero."""
    small = angle_sq < threshold
    return small, torch.where(small, 1.0, angle_sq)


Entries: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""The nine entries of 3 x 3 matrices, row by row, each of any shape (...). Arithmetic on whole entries runs over long
contiguous vectors, where that on (..., 3, 3) would run over rows of three."""


def _matrix(entries: Entries) -> Tensor:
    return torch.stack(entries, -1).unflatten(-1, (3, 3))


def _quadratic(x: Tensor, y: Tensor, z: Tensor, diagonal: Tensor, linear: Tensor | float, square: Tensor) -> Entries:
    """diagonal I + linear K + square v v^T with K = skew(v), v = (x, y, z)."""
    lx, ly, lz = linear * x, linear * y, linear * z
    sx, sy, sz = square * x, square * y, square * z
    xy, xz, yz = sx * y, sx * z, sy * z
    return (
        torch.addcmul(diagonal, sx, x), xy - lz, xz + ly,
        xy + lz, torch.addcmul(diagonal, sy, y), yz - lx,
        xz - ly, yz + lx, torch.addcmul(diagonal, sz, z),
    )  # fmt: skip


def exp_entries(x: Tensor, y: Tensor, z: Tensor) -> Entries:
    """`exp` by entries, of the components (...) of rotation vectors.

    Rodrigues: I + s K + c K^2 with K^2 = v v^T - |v|^2 I, so the diagonal part is 1 - c |v|^2 = cos |v|.
    """
    angle_sq = x * x + y * y + z * z
    small, safe_sq = _series_switch(angle_sq, 1e-4)
    angle = safe_sq.sqrt()
    sine = torch.where(small, 1 - angle_sq / 6 + angle_sq**2 / 120, torch.sin(angle) / angle)
    half = torch.sin(angle / 2) / (angle / 2)
    cosine = torch.where(small, 0.5 - angle_sq / 24 + angle_sq**2 / 720, half * half / 2)
    return _quadratic(x, y, z, 1 - cosine * angle_sq, sine, cosine)


def exp(rotvec: Tensor) -> Tensor:
    """Rotation vectors (..., 3) -> rotation matrices (..., 3, 3)."""
    return _matrix(exp_entries(*rotvec.unbind(-1)))


def log_entries(entries: Entries) -> tuple[Tensor, Tensor, Tensor]:
    """`log` of matrices given by their entries: the components (...) of the rotation vectors.

    Goes over the quaternion whose largest component is computed first, so it stays accurate near pi, where the
    antisymmetric part of the matrix vanishes.
    """
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = entries
    sum_low, difference = m11 + m22, m11 - m22
    up, down = 1 + m00, 1 - m00
    ww, xx, yy, zz = up + sum_low, up - sum_low, down + difference, down - difference
    wx, wy, wz = m21 - m12, m02 - m20, m10 - m01
    xy, xz, yz = m10 + m01, m02 + m20, m21 + m12
    # Rows of 4 q q^T: the one with the largest diagonal entry is the quaternion, up to a factor.
    by_x, by_z = xx >= yy, zz > torch.maximum(xx, yy)
    by_w = ww >= torch.maximum(torch.maximum(xx, yy), zz)

    def pick(w: Tensor, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        return torch.where(by_w, w, torch.where(by_z, z, torch.where(by_x, x, y)))

    w, x, y, z = pick(ww, wx, wy, wz), pick(wx, xx, xy, xz), pick(wy, xy, yy, yz), pick(wz, xz, yz, zz)
    # The quaternion needs no normalising: angle / 2 = atan(|xyz| / |w|) for any common factor. torch.atan2 would round
    # otherwise where numbers do not fill a vector register.
    sine_sq = x * x + y * y + z * z
    norm_sq = sine_sq + w * w
    small = sine_sq < 1e-8 * norm_sq
    sine = torch.where(small, 1.0, sine_sq).sqrt()
    size = w.abs()
    factor = torch.where(small, (2 + sine_sq / (3 * norm_sq)) / norm_sq.sqrt(), 2 * torch.atan(sine / size) / sine)
    factor = torch.where(w < 0, -factor, factor)
    return factor * x, factor * y, factor * z


def log(rotmat: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) -> rotation vectors (..., 3) with angle in [0, pi].

    At exactly pi either of the two equal axes may come out.
    """
    a, b, c, d, e, f, g, h, i = rotmat.flatten(-2).unbind(-1)
    return torch.stack(log_entries((a, b, c, d, e, f, g, h, i)), -1)


def right_jacobian_entries(x: Tensor, y: Tensor, z: Tensor) -> Entries:
    """`right_jacobian` by entries, of the components (...) of rotation vectors."""
    angle_sq = x * x + y * y + z * z
    small, safe_sq = _series_switch(angle_sq, 1e-2)
    angle = safe_sq.sqrt()
    half = torch.sin(angle / 2) / (angle / 2)
    linear = torch.where(small, 0.5 - angle_sq / 24 + angle_sq**2 / 720 - angle_sq**3 / 40320, half * half / 2)
    series = 1 / 6 - angle_sq / 120 + angle_sq**2 / 5040 - angle_sq**3 / 362880
    square = torch.where(small, series, (angle - torch.sin(angle)) / (safe_sq * angle))
    return _quadratic(x, y, z, 1 - square * angle_sq, -linear, square)


def right_jacobian(rotvec: Tensor) -> Tensor:
    """Jr (..., 3, 3) of rotation vectors (..., 3)."""
    return _matrix(right_jacobian_entries(*rotvec.unbind(-1)))


def right_jacobian_inverse(rotvec: Tensor) -> Tensor:
    """The inverse of Jr (..., 3, 3) for rotation vectors (..., 3) of angle below 2 pi."""
    x, y, z = rotvec.unbind(-1)
    angle_sq = x * x + y * y + z * z
    small, safe_sq = _series_switch(angle_sq, 1e-2)
    half_angle = safe_sq.sqrt() / 2
    series = 1 / 12 + angle_sq / 720 + angle_sq**2 / 30240 + angle_sq**3 / 1209600
    square = torch.where(small, series, (1 - half_angle * torch.cos(half_angle) / torch.sin(half_angle)) / safe_sq)
    return _matrix(_quadratic(x, y, z, 1 - square * angle_sq, 0.5, square))


def angle_between(rotmat_a: Tensor, rotmat_b: Tensor) -> Tensor:
    """Geodesic distance in radians (...) of rotation matrices (..., 3, 3)."""
    return length(log(rotmat_a.transpose(-1, -2) @ rotmat_b))


def limit_angle(rotmat: Tensor, max_angle_rad: float) -> Tensor:
    """The rotations (..., 3, 3) with their angle cut to `max_angle_rad` about the same axis."""
    rotvec = log(rotmat)
    angle = length(rotvec)[..., None].clamp(min=1e-12)
    return exp(rotvec * (max_angle_rad / angle).clamp(max=1.0))

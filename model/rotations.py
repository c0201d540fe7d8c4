"""Rotation helpers over `roma`: the conventions of this project, in one place.

Inside the code a rotation is a matrix (..., 3, 3) acting on column vectors; in files it is an axis-angle vector
(..., 3) in radians ("rotvec"). The 6D form is the first two columns of the matrix, one after the other: (a, b).
"""

import math

import roma
import torch
from torch import Tensor


def rotvec_to_rotmat(rotvec_rad: Tensor) -> Tensor:
    """Axis-angle vectors (..., 3) -> rotation matrices (..., 3, 3)."""
    return roma.rotvec_to_rotmat(rotvec_rad)


def rotmat_to_rotvec(rotmat: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) -> axis-angle vectors (..., 3), angle in [0, pi]."""
    return roma.rotmat_to_rotvec(rotmat)


def rotmat_to_6d(rotmat: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) -> first column, then second column (..., 6)."""
    return rotmat[..., :2].transpose(-1, -2).flatten(-2)


def sixd_to_rotmat(sixd: Tensor) -> Tensor:
    """Two columns (..., 6) that need not be orthonormal -> rotation matrices (..., 3, 3) by Gram-Schmidt."""
    columns = sixd.unflatten(-1, (2, 3)).transpose(-1, -2)
    return roma.special_gramschmidt(columns)


def mirror_rotmat(rotmat: Tensor) -> Tensor:
    """Mirror rotations (..., 3, 3) in the x = 0 plane: M R M with M = diag(-1, 1, 1)."""
    sign = torch.tensor([-1.0, 1.0, 1.0], dtype=rotmat.dtype, device=rotmat.device)
    return rotmat * sign[:, None] * sign


def mirror_rotvec(rotvec_rad: Tensor) -> Tensor:
    """The same for axis-angle vectors (..., 3): (x, y, z) -> (x, -y, -z)."""
    return rotvec_rad * torch.tensor([1.0, -1.0, -1.0], dtype=rotvec_rad.dtype, device=rotvec_rad.device)


def rotation_about_x(angle_rad: float) -> Tensor:
    """Rotation about the x axis (3, 3). `rotation_about_x(pi)` turns the body frame (y up) to face a y-down camera."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return torch.tensor([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def rotation_about_z(angle_rad: Tensor) -> Tensor:
    """Rotations (..., 3, 3) about the viewing direction, clockwise on the screen for a y-down camera."""
    c, s = angle_rad.cos(), angle_rad.sin()
    zero, one = torch.zeros_like(c), torch.ones_like(c)
    return torch.stack([c, -s, zero, s, c, zero, zero, zero, one], -1).unflatten(-1, (3, 3))

"""Laws of the rotation group, with angles from 0 to pi."""

import math

import pytest
import torch

from fitting import so3
from model import rotations

ANGLES = [0.0, 1e-9, 1e-5, 1e-3, 0.05, 0.11, 1.0, 3.0, math.pi - 1e-3, math.pi - 1e-6]


def rotvecs(angle: float, count: int = 50) -> torch.Tensor:
    axis = torch.randn(count, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return angle * axis / axis.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("angle", ANGLES)
def test_exp_gives_rotations(angle: float) -> None:
    R = so3.exp(rotvecs(angle))
    eye = torch.eye(3, dtype=torch.float64)
    assert (R.transpose(-1, -2) @ R - eye).abs().max() < 1e-12
    assert (torch.linalg.det(R) - 1).abs().max() < 1e-12


@pytest.mark.parametrize("angle", ANGLES)
def test_exp_equals_the_matrix_exponential(angle: float) -> None:
    v = rotvecs(angle)
    assert (so3.exp(v) - torch.linalg.matrix_exp(so3.skew(v))).abs().max() < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("angle", ANGLES)
def test_exp_and_log_are_those_of_the_rest_of_the_project(angle: float, dtype: torch.dtype) -> None:
    tolerance = 2e-6 if dtype == torch.float32 else 1e-9
    v = rotvecs(angle).to(dtype)
    R = rotations.rotvec_to_rotmat(v)
    assert (so3.exp(v) - R).abs().max() < tolerance
    theirs = rotations.rotvec_to_rotmat(rotations.rotmat_to_rotvec(R))
    assert (so3.exp(so3.log(R)) - theirs).abs().max() < tolerance


@pytest.mark.parametrize("angle", ANGLES)
def test_log_undoes_exp(angle: float) -> None:
    v = rotvecs(angle)
    assert (so3.log(so3.exp(v)) - v).abs().max() < 1e-8


def test_log_at_exactly_pi_has_the_right_axis_up_to_sign() -> None:
    v = rotvecs(math.pi)
    back = so3.log(so3.exp(v))
    assert torch.minimum((back - v).norm(dim=1), (back + v).norm(dim=1)).max() < 1e-7


@pytest.mark.parametrize("angle", ANGLES)
def test_log_in_float32_stays_accurate(angle: float) -> None:
    v = rotvecs(angle).float()
    back = so3.log(so3.exp(v))
    assert torch.minimum((back - v).norm(dim=1), (back + v).norm(dim=1)).max() < 2e-6


@pytest.mark.parametrize("angle", ANGLES)
def test_right_jacobian_is_the_derivative_of_exp(angle: float) -> None:
    v = rotvecs(angle, 5)
    for one in v:
        R = so3.exp(one)
        derivative = torch.func.jacfwd(lambda d, v=one, R=R: so3.log(R.T @ so3.exp(v + d)))(torch.zeros(3).double())
        assert (so3.right_jacobian(one) - derivative).abs().max() < 1e-7


@pytest.mark.parametrize("angle", ANGLES)
def test_the_inverse_right_jacobian_is_the_inverse(angle: float) -> None:
    v = rotvecs(angle)
    eye = torch.eye(3, dtype=torch.float64)
    assert (so3.right_jacobian(v) @ so3.right_jacobian_inverse(v) - eye).abs().max() < 1e-10


def test_derivatives_of_exp_and_log_at_the_identity_are_finite() -> None:
    zero = torch.zeros(3, dtype=torch.float64)
    assert torch.allclose(torch.func.jacrev(lambda v: so3.log(so3.exp(v)))(zero), torch.eye(3).double())


def test_limit_angle_keeps_small_turns_and_cuts_large_ones() -> None:
    small, large = so3.exp(rotvecs(0.5)), so3.exp(rotvecs(2.0))
    assert torch.allclose(so3.limit_angle(small, 1.0), small)
    assert torch.allclose(so3.limit_angle(large, 1.0), so3.exp(rotvecs(1.0)))


def test_products_equal_matmul() -> None:
    R, columns = so3.exp(rotvecs(1.0)), torch.randn(50, 3, 7).double()
    assert torch.allclose(so3.product(R, columns), R @ columns)
    assert torch.allclose(so3.apply(R, columns[..., 0]), (R @ columns)[..., 0])

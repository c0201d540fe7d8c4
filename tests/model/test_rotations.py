"""Round trips and laws of the rotation helpers."""

import math

import pytest
import torch

from model.rotations import (
    mirror_rotmat,
    mirror_rotvec,
    rotation_about_x,
    rotmat_to_6d,
    rotmat_to_rotvec,
    rotvec_to_rotmat,
    sixd_to_rotmat,
)

DTYPES = (torch.float32, torch.float64)


def _rotvecs(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Angles below pi, where the axis-angle form is unique."""
    vectors = torch.randn(*shape, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)
    angle = torch.rand(*shape, 1, generator=torch.Generator().manual_seed(1), dtype=dtype) * (math.pi - 0.01)
    return vectors / vectors.norm(dim=-1, keepdim=True) * angle


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (7,), (2, 3)])
def test_axis_angle_and_6d_round_trips(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    tolerance = 1e-4 if dtype == torch.float32 else 1e-9
    rotvec = _rotvecs(*shape, dtype=dtype)
    rotmat = rotvec_to_rotmat(rotvec)
    assert (rotmat_to_rotvec(rotmat) - rotvec).abs().max() < tolerance
    assert rotmat_to_6d(rotmat).shape == (*shape, 6)
    assert (sixd_to_rotmat(rotmat_to_6d(rotmat)) - rotmat).abs().max() < tolerance


def test_6d_is_the_first_two_columns_one_after_the_other() -> None:
    rotmat = rotvec_to_rotmat(_rotvecs(5))
    assert torch.equal(rotmat_to_6d(rotmat), torch.cat([rotmat[..., 0], rotmat[..., 1]], dim=-1))


def test_any_two_columns_give_a_rotation() -> None:
    rotmat = sixd_to_rotmat(torch.randn(50, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64))
    assert (rotmat.transpose(-1, -2) @ rotmat - torch.eye(3)).abs().max() < 1e-9
    assert (torch.linalg.det(rotmat) - 1).abs().max() < 1e-9


def test_mirroring_agrees_in_both_forms_and_undoes_itself() -> None:
    rotvec = _rotvecs(20)
    mirrored = mirror_rotmat(rotvec_to_rotmat(rotvec))
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64))
    assert (mirrored - mirror @ rotvec_to_rotmat(rotvec) @ mirror).abs().max() < 1e-12
    assert (mirrored - rotvec_to_rotmat(mirror_rotvec(rotvec))).abs().max() < 1e-12
    assert (mirror_rotmat(mirrored) - rotvec_to_rotmat(rotvec)).abs().max() < 1e-12


def test_half_turn_faces_the_camera() -> None:
    assert (rotation_about_x(math.pi) - torch.diag(torch.tensor([1.0, -1.0, -1.0]))).abs().max() < 1e-6

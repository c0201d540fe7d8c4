"""Every conversion against its definition: projections, matrices and the laws between the forms."""

import math

import pytest
import torch

from model.estimators import conversions
from model.rotations import (
    mirror_rotmat,
    mirror_rotvec,
    rotation_about_x,
    rotvec_to_rotmat,
    sixd_to_rotmat,
)


def random(*shape: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale


# --- pose parameters --------------------------------------------------------------------------------------------------
def test_interleaved_6d_is_the_two_columns_row_by_row() -> None:
    rotmat = rotvec_to_rotmat(random(6, 3))
    interleaved = rotmat[..., :2].reshape(6, 6)
    assert torch.allclose(sixd_to_rotmat(conversions.sixd_from_interleaved(interleaved)), rotmat, atol=1e-12)


def test_the_two_6d_conventions_are_not_the_same() -> None:
    rotmat = rotvec_to_rotmat(random(6, 3))
    assert (sixd_to_rotmat(rotmat[..., :2].reshape(6, 6)) - rotmat).abs().amax((1, 2)).min() > 0.05


def test_a_left_hand_is_the_mirrored_right_hand() -> None:
    rotvec = random(4, 15, 3)
    rotmat = rotvec_to_rotmat(rotvec)
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0])).double()
    wanted = mirror @ rotmat @ mirror
    assert torch.allclose(conversions.left_hand_from_mirrored(rotmat), wanted, atol=1e-12)
    assert torch.allclose(rotvec_to_rotmat(mirror_rotvec(rotvec)), wanted, atol=1e-12)


def test_the_points_of_a_left_hand_turn_as_its_rotations_say() -> None:
    rotmat, rest = rotvec_to_rotmat(random(3)), random(30, 3, seed=1)
    mirror = torch.tensor([-1.0, 1.0, 1.0]).double()
    turned = (mirror * rest) @ conversions.left_hand_from_mirrored(rotmat).T
    assert torch.allclose(turned, mirror * (rest @ rotmat.T))


def test_smplx_takes_the_first_21_joints_of_smpl() -> None:
    pose = rotvec_to_rotmat(random(2, 23, 3))
    assert torch.equal(conversions.smplx_body_pose(pose), pose[:, :21])
    with pytest.raises(ValueError, match="23, 3, 3"):
        conversions.smplx_body_pose(pose[:, :21])


# --- head -------------------------------------------------------------------------------------------------------------
def test_a_frontal_head_is_half_a_turn_about_x() -> None:
    frontal = conversions.head_orient(torch.zeros(2, 3), torch.zeros(2))
    assert torch.allclose(frontal, rotation_about_x(math.pi).expand(2, 3, 3), atol=1e-6)


def test_roll_turns_the_head_clockwise_on_the_screen() -> None:
    quarter = conversions.head_orient(torch.zeros(3).double(), torch.tensor(math.pi / 2).double())
    forehead = quarter @ torch.tensor([0.0, 1.0, 0.0]).double()
    assert torch.allclose(forehead, torch.tensor([1.0, 0.0, 0.0]).double(), atol=1e-7)


def test_mirroring_a_rotation_twice_is_nothing() -> None:
    rotmat = rotvec_to_rotmat(random(5, 3))
    assert torch.equal(conversions.left_hand_from_mirrored(mirror_rotmat(rotmat)), rotmat)

"""Every conversion against its definition: projections, matrices and the laws between the forms."""

import math

import pytest
import torch

from model.estimators import conversions
from model.imaging.crop_camera import view_ray_rotation
from model.rotations import (
    mirror_rotmat,
    mirror_rotvec,
    rotation_about_x,
    rotation_about_z,
    rotmat_to_6d,
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


def test_a_left_hand_in_three_forms_is_the_mirrored_right_hand() -> None:
    rotvec = random(4, 15, 3)
    rotmat = rotvec_to_rotmat(rotvec)
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0])).double()
    wanted = mirror @ rotmat @ mirror
    assert torch.allclose(conversions.left_hand_from_mirrored(rotmat), wanted, atol=1e-12)
    assert torch.allclose(rotvec_to_rotmat(mirror_rotvec(rotvec)), wanted, atol=1e-12)
    assert torch.allclose(sixd_to_rotmat(conversions.mirror_6d(rotmat_to_6d(rotmat))), wanted, atol=1e-12)


def test_a_mirrored_crop_shows_the_mirrored_hand() -> None:
    points, camera = random(20, 3, scale=0.1), torch.tensor([3.0, 0.2, -0.1]).double()
    shown = camera[0] * (points[:, :2] + camera[1:])
    back = conversions.camera_from_mirrored(camera)
    true = back[0] * (conversions.points_from_mirrored(points)[:, :2] + back[1:])
    assert torch.allclose(true, shown * torch.tensor([-1.0, 1.0]).double())
    assert torch.equal(back[1:], torch.tensor([-0.2, -0.1]).double())


def test_the_points_of_a_left_hand_turn_as_its_rotations_say() -> None:
    rotmat, rest = rotvec_to_rotmat(random(3)), random(30, 3, seed=1)
    mirrored_rest = conversions.points_from_mirrored(rest)
    turned = mirrored_rest @ conversions.left_hand_from_mirrored(rotmat).T
    assert torch.allclose(turned, conversions.points_from_mirrored(rest @ rotmat.T))


def test_the_hand_mean_is_added_exactly_once() -> None:
    mean, relative = random(15, 3, seed=1, scale=0.4), random(2, 15, 3)
    flat = conversions.flat_hand_pose(relative, mean)
    assert torch.allclose(flat - relative, mean.expand(2, 15, 3))
    assert torch.allclose(conversions.relative_hand_pose(flat, mean), relative)


def test_a_network_pose_stored_for_a_model_with_mean_comes_out_of_it_unchanged() -> None:
    """The model adds its mean by itself: what was absolute is absolute again, the mean in it zero times."""
    mean, absolute = random(15, 3, seed=1, scale=0.4), random(15, 3)
    stored = conversions.relative_hand_pose(absolute, mean)
    assert torch.allclose(rotvec_to_rotmat(mean + stored), rotvec_to_rotmat(absolute))
    assert not torch.allclose(rotvec_to_rotmat(mean + absolute), rotvec_to_rotmat(absolute), atol=0.1)


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


# --- cameras ----------------------------------------------------------------------------------------------------------
WIDTH, HEIGHT, SIDE = 1280.0, 960.0, 300.0
PRINCIPAL = torch.tensor([WIDTH / 2, HEIGHT / 2]).double()


def crop_pixels(points: torch.Tensor, camera: torch.Tensor, centre: torch.Tensor, roll: float) -> torch.Tensor:
    """What a crop's weak camera (y down) shows of points (N, 3), px of the photo: the definition."""
    square = camera[0] * (points[:, :2] + camera[1:])
    cosine, sine = math.cos(roll), math.sin(roll)
    x, y = square.T * SIDE / 2
    return centre + torch.stack([cosine * x - sine * y, sine * x + cosine * y], 1)


def photo_pixels(points: torch.Tensor, focal: float) -> torch.Tensor:
    return focal * points[:, :2] / points[:, 2:] + PRINCIPAL


@pytest.mark.parametrize("roll", [0.0, 0.7])
@pytest.mark.parametrize("y_up", [False, True])
def test_crop_camera_and_photo_camera_show_the_same_to_one_percent_of_the_crop(roll: float, y_up: bool) -> None:
    points = random(2000, 3, scale=0.3).clamp(-1, 1)
    camera = torch.tensor([0.9, 0.05, -0.08]).double()
    centre = torch.tensor([900.0, 300.0]).double()
    focal = 5000 / 256 * WIDTH
    flip = torch.tensor([1.0, -1.0, -1.0]).double()
    if y_up:  # the definition of the y-up camera: v = -s (Y + ty)
        down = torch.stack([camera[0], camera[1], -camera[2]])
        assert torch.equal(conversions.y_down_camera(camera), down)
        shown = crop_pixels(points * flip, down, centre, roll)
        turn = conversions.orient_from_y_up(torch.eye(3).double(), torch.tensor(roll).double())
        camera = down
    else:
        shown = crop_pixels(points, camera, centre, roll)
        turn = rotation_about_z(torch.tensor(roll).double())
    moved = conversions.full_image_translation(
        camera,
        centre,
        torch.tensor(SIDE).double(),
        torch.tensor(focal).double(),
        PRINCIPAL,
        torch.tensor(roll).double() if roll else None,
    )
    error = (photo_pixels(points @ turn.T + moved, focal) - shown).norm(dim=1)
    inside = (shown - centre).abs().amax(1) < SIDE / 2
    assert inside.sum() > 1000
    assert error[inside].mean() < 0.0025 * SIDE
    assert error[inside].max() < 0.015 * SIDE


def test_many_crops_are_converted_at_once() -> None:
    camera = random(4, 3).abs() + 0.5
    centre, side, focal = random(4, 2) * 100, random(4).abs() * 100 + 50, random(4).abs() * 1000 + 500
    principal, roll = random(4, 2, seed=3) * 100, random(4, seed=4)
    together = conversions.full_image_translation(camera, centre, side, focal, principal, roll)
    alone = [
        conversions.full_image_translation(*row)
        for row in zip(camera, centre, side, focal, principal, roll, strict=True)
    ]
    assert torch.allclose(together, torch.stack(alone))


def test_a_crop_at_the_edge_of_a_photo_looks_as_turned_by_the_view_ray() -> None:
    """A weak camera explains the perspective picture of a body best with the orientation relative to the ray."""
    points, focal = random(400, 3, scale=0.1), 1.2 * WIDTH
    orient = rotvec_to_rotmat(random(3, seed=5))
    place = torch.tensor([0.9, 0.5, 2.4]).double()
    shown = photo_pixels(points @ orient.T + place, focal)
    centre = photo_pixels(place[None], focal)[0]
    ray = view_ray_rotation(centre, torch.tensor(focal).double(), PRINCIPAL)

    def misfit(rotation: torch.Tensor) -> float:
        """Mean error, px, of the best scale and shift."""
        flat = (points @ rotation.T)[:, :2]
        flat, seen = flat - flat.mean(0), shown - shown.mean(0)
        scale = (flat * seen).sum() / flat.square().sum()
        return float((scale * flat - seen).norm(dim=1).mean())

    assert misfit(ray.T @ orient) < 0.3 * misfit(orient)


def test_mirroring_a_rotation_twice_is_nothing() -> None:
    rotmat = rotvec_to_rotmat(random(5, 3))
    assert torch.equal(conversions.left_hand_from_mirrored(mirror_rotmat(rotmat)), rotmat)

"""Laws of the pinhole camera."""

import pytest
import torch

from fitting import so3
from model.imaging import camera
from model.imaging.camera import Camera

VIEW = Camera(
    focal_px=torch.tensor([900.0, 1500.0]).double(), principal_px=torch.tensor([[320.0, 240.0], [1.0, 2.0]]).double()
)


def points() -> torch.Tensor:
    cloud = torch.randn(2, 40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return cloud + torch.tensor([0.0, 0.0, 6.0])


def test_scaling_the_world_does_not_change_the_picture() -> None:
    assert torch.allclose(camera.project(points(), VIEW), camera.project(3.0 * points(), VIEW))


def test_turning_about_the_optical_axis_turns_the_picture_about_the_principal_point() -> None:
    turn = so3.exp(torch.tensor([0.0, 0.0, 0.7]).double())
    moved = camera.project(points() @ turn.T, VIEW) - VIEW.principal_px[:, None]
    still = camera.project(points(), VIEW) - VIEW.principal_px[:, None]
    assert torch.allclose(moved, still @ turn[:2, :2].T)


def test_turning_points_and_camera_together_changes_nothing() -> None:
    """World points seen from a rigidly moved camera equal camera points moved the other way."""
    turn, shift = so3.exp(torch.tensor([0.1, -0.2, 0.3]).double()), torch.tensor([0.1, 0.2, -0.3]).double()
    world = (points() - shift) @ turn
    assert torch.allclose(camera.project(world @ turn.T + shift, VIEW), camera.project(points(), VIEW))


def test_pixels_and_rays_are_inverse() -> None:
    assert torch.allclose(camera.from_pixels(camera.project(points(), VIEW), VIEW), camera.ray(points()))


def test_position_round_trip() -> None:
    transl = points()[0]
    assert torch.allclose(camera.position_to_transl(camera.transl_to_position(transl)), transl)


def test_a_camera_without_a_row_a_person_is_refused() -> None:
    with pytest.raises(ValueError, match="every person"):
        Camera(focal_px=torch.tensor([1.0, 2.0]), principal_px=torch.tensor([0.0, 0.0]))

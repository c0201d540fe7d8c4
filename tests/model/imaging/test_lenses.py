"""Lenses against OpenCV's, and points that no lens shows."""

import cv2
import numpy as np
import pytest
import torch

from model.imaging.lenses import Lens

FOCAL, PRINCIPAL = (1210.0, 1180.0), (960.0, 540.0)
LENSES = (
    Lens(focal_px=FOCAL, principal_px=PRINCIPAL),
    Lens(focal_px=FOCAL, principal_px=PRINCIPAL, coefficients=(-0.28, 0.09, 0.001, -0.002, -0.01)),
    Lens(focal_px=FOCAL, principal_px=PRINCIPAL, coefficients=(0.05, -0.01, 0.004, -0.001), model="fisheye"),
)
RAYS = torch.from_numpy(np.stack(np.meshgrid(np.linspace(-0.7, 0.7, 7), np.linspace(-0.4, 0.4, 5)), -1)).reshape(-1, 2)


def by_opencv(lens: Lens) -> np.ndarray:
    """Where OpenCV shows the rays, px (N, 2)."""
    matrix = np.array([[FOCAL[0], 0, PRINCIPAL[0]], [0, FOCAL[1], PRINCIPAL[1]], [0, 0, 1.0]])
    points, none = np.pad(RAYS.numpy(), ((0, 0), (0, 1)), constant_values=1.0)[:, None], np.zeros(3)
    coefficients = np.array(lens.coefficients)
    if lens.model == "fisheye":
        return cv2.fisheye.projectPoints(points, none, none, matrix, coefficients)[0][:, 0]
    return cv2.projectPoints(points, none, none, matrix, coefficients)[0][:, 0]


@pytest.mark.parametrize("lens", LENSES, ids=["two focal lengths", "brown", "fisheye"])
def test_a_lens_is_opencvs_and_its_points_come_back(lens: Lens) -> None:
    pixels = lens.to_pixels(RAYS)
    assert np.abs(pixels.numpy() - by_opencv(lens)).max() < 1e-6
    found, factor = lens.to_pinhole(pixels)
    expected = RAYS * lens.pinhole_focal_px + torch.tensor(PRINCIPAL)
    assert (found - expected).abs().max() < 1e-4
    # Areas grow by the square of the factor.
    moved = [lens.to_pinhole(pixels + torch.tensor(step))[0] - found for step in ((0.01, 0.0), (0.0, 0.01))]
    area = torch.linalg.det(torch.stack(moved, -1)) / 1e-4
    assert (factor.square() - area).abs().max() < 1e-3


def test_what_a_lens_cannot_show_is_no_point() -> None:
    """A strong barrel bends no ray further than some 0.6 from the middle."""
    lens = Lens(focal_px=FOCAL, principal_px=PRINCIPAL, coefficients=(-0.3, 0.0, 0.0, 0.0))
    far = torch.tensor([[PRINCIPAL[0] + 1.5 * FOCAL[0], PRINCIPAL[1]], [torch.nan, 0.0], list(PRINCIPAL)])
    found, factor = lens.to_pinhole(far)
    assert found[:2].isnan().all()
    assert factor[:2].isnan().all()
    assert torch.allclose(found[2], far[2])


def test_a_lens_of_a_wrong_number_of_coefficients_is_refused() -> None:
    with pytest.raises(ValueError, match="fisheye has 4 coefficients"):
        Lens(focal_px=FOCAL, principal_px=PRINCIPAL, coefficients=(0.1,) * 5, model="fisheye")
    with pytest.raises(ValueError, match="focal lengths above 0"):
        Lens(focal_px=(0.0, 1.0), principal_px=PRINCIPAL)


@pytest.mark.parametrize("lens", LENSES, ids=["two focal lengths", "brown", "fisheye"])
def test_bent_points_are_shown_by_a_pinhole_camera_where_the_lens_shows_them(lens: Lens) -> None:
    points = torch.cat([RAYS, torch.ones_like(RAYS[:, :1])], 1) * torch.linspace(1, 4, len(RAYS))[:, None]
    bent = lens.bent(points)
    shown = bent[:, :2] / bent[:, 2:] * lens.pinhole_focal_px + torch.tensor(PRINCIPAL)
    torch.testing.assert_close(shown, lens.to_pixels(RAYS))
    assert torch.equal(bent[:, 2], points[:, 2])
    behind = torch.tensor([[1.0, 1.0, -1.0], [0.0, 0.0, 0.0]])
    assert torch.equal(lens.bent(behind), behind)

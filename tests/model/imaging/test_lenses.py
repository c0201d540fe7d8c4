"""Lenses against OpenCV's, and points that no lens shows."""

import math
from fractions import Fraction

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


ARIA = (0.4037, -0.4848, 0.1309, 1.1937, -1.4109, 0.4817, 5e-4, -3e-4, -9e-4, 2e-4, 7e-4, -1e-4)
"""Of the size that calibrations of glasses have; their photos end at an angle of one radian."""
WIDE = torch.linspace(0.0, 1.0, 9, dtype=torch.float64)[:, None].tan() * torch.from_numpy(
    np.stack([np.cos(np.linspace(0, 6, 7)), np.sin(np.linspace(0, 6, 7))], -1)
).reshape(7, 1, 2)


def glasses(*coefficients: float) -> Lens:
    return Lens(focal_px=(610.0, 610.0), principal_px=(703.0, 706.0), coefficients=coefficients, model="fisheye624")


def test_the_lens_of_glasses_is_its_formula() -> None:
    """Against sums of powers in rational arithmetic, but for one root, one arc tangent and the last digits."""
    lens = glasses(*ARIA)
    k, (p1, p2), s = ARIA[:6], ARIA[6:8], ARIA[8:]
    for x, y in WIDE.reshape(-1, 2).tolist():
        length = math.hypot(x, y)
        angle = Fraction(math.atan(length))
        bent = angle + sum(Fraction(own) * angle ** (2 * i + 3) for i, own in enumerate(k))
        u, v = (Fraction(own) * bent / Fraction(length) if length else Fraction(0) for own in (x, y))
        square = u * u + v * v
        skew = 2 * u * v
        at_x = u + Fraction(p1) * (square + 2 * u * u) + Fraction(p2) * skew
        at_y = v + Fraction(p2) * (square + 2 * v * v) + Fraction(p1) * skew
        at_x += Fraction(s[0]) * square + Fraction(s[1]) * square**2
        at_y += Fraction(s[2]) * square + Fraction(s[3]) * square**2
        expected = [610 * float(at_x) + 703, 610 * float(at_y) + 706]
        assert lens.to_pixels(torch.tensor([x, y], dtype=torch.float64)).tolist() == pytest.approx(expected, abs=1e-8)


def test_points_of_glasses_come_back_out_to_the_edge_of_their_photos() -> None:
    lens = glasses(*ARIA)
    found, factor = lens.to_pinhole(lens.to_pixels(WIDE))
    assert (found - (WIDE * 610 + torch.tensor(lens.principal_px))).abs().max() < 1e-6
    assert factor.isfinite().all()


def test_the_lens_of_glasses_becomes_those_that_it_extends() -> None:
    equidistant = WIDE * torch.nan_to_num(WIDE.norm(dim=-1, keepdim=True).atan() / WIDE.norm(dim=-1, keepdim=True))
    shown = glasses(*[0.0] * 12).to_pixels(WIDE) - torch.tensor([703.0, 706.0])
    torch.testing.assert_close(shown / 610, equidistant, atol=1e-12, rtol=0)
    fisheye = Lens(focal_px=(610.0, 610.0), principal_px=(703.0, 706.0), coefficients=ARIA[:4], model="fisheye")
    torch.testing.assert_close(glasses(*ARIA[:4], *[0.0] * 8).to_pixels(WIDE), fisheye.to_pixels(WIDE))


def test_a_scaled_photo_has_a_scaled_lens() -> None:
    half = Lens(focal_px=(305.0, 305.0), principal_px=(351.5, 353.0), coefficients=ARIA, model="fisheye624")
    pixels = glasses(*ARIA).to_pixels(WIDE)
    torch.testing.assert_close(half.to_pixels(WIDE), pixels / 2)
    torch.testing.assert_close(half.to_pinhole(pixels / 2)[0], glasses(*ARIA).to_pinhole(pixels)[0] / 2)


@pytest.mark.parametrize("lens", [*LENSES, glasses(*ARIA)], ids=["two focal lengths", "brown", "fisheye", "glasses"])
def test_a_lens_has_slopes_everywhere_also_on_its_axis(lens: Lens) -> None:
    rays = torch.cat([torch.zeros(1, 2).double(), RAYS[::7] * 0.5]).requires_grad_()
    assert torch.autograd.gradcheck(lens.distorted, rays)
    slope = torch.func.vmap(torch.func.jacrev(lens.distorted))(rays.detach())
    torch.testing.assert_close(torch.linalg.det(slope), lens._stretch(rays.detach()), atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_axis_is_the_principal_point_in_every_precision(dtype: torch.dtype) -> None:
    for lens in (*LENSES, glasses(*ARIA)):
        assert lens.to_pixels(torch.zeros(1, 2, dtype=dtype)).tolist() == [pytest.approx(lens.principal_px)]


@pytest.mark.parametrize(
    "lens",
    [
        Lens(focal_px=FOCAL, principal_px=PRINCIPAL, coefficients=(-0.3, 0.04, 0, 0, 0.0)),
        Lens(focal_px=FOCAL, principal_px=PRINCIPAL, coefficients=(-0.6, 0.15, 0.0, 0.0), model="fisheye"),
        glasses(-0.6, 0.15, *[0.0] * 10),
    ],
    ids=["brown", "fisheye", "glasses"],
)
def test_what_lies_behind_a_fold_of_the_polynomial_is_not_shown(lens: Lens) -> None:
    """There the lens would show it among what lies before, or, where the polynomial rises again, further out."""
    rays = torch.stack([torch.linspace(0.0, 12.0, 400).double(), torch.zeros(400).double()], -1)
    places = lens.distorted(rays)[:, 0]
    fold = int((places.diff() < 0).nonzero()[0])
    points = torch.cat([rays, torch.ones(400, 1)], 1)
    bent = lens.bent(points)
    assert torch.equal(bent[fold + 1 :], points[fold + 1 :])
    found, _ = lens.to_pinhole(lens.to_pixels(rays))
    shown = (found[:, 0] - lens.principal_px[0]) / lens.pinhole_focal_px
    assert not (shown > rays[fold, 0]).any()
    assert shown[: fold // 2].isfinite().all()


def test_nothing_at_ninety_degrees_or_more_nor_without_a_slope_is_a_point() -> None:
    for lens in (*LENSES[1:], glasses(*ARIA), glasses(*[0.0] * 12)):
        odd = torch.tensor([[1e9, 0.0], [torch.inf, 0.0], [torch.nan, 1.0], [-1e5, 1e5]])
        found, factor = lens.to_pinhole(odd)
        assert found.isnan().all()
        assert factor.isnan().all()
        points = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, -0.1], [1e6, 0.0, 0.02], [torch.nan, 0.0, 1.0]])
        torch.testing.assert_close(lens.bent(points), points, equal_nan=True)
    flat = Lens(focal_px=FOCAL, principal_px=PRINCIPAL, coefficients=(-1 / 3, 0.0, 0.0, 0.0))
    on_the_fold = torch.tensor([[PRINCIPAL[0] + FOCAL[0], PRINCIPAL[1]]])
    assert flat.to_pinhole(on_the_fold)[0].isnan().all()

import math

import pytest
import torch
from splat_scenes import NATIVE, arguments, camera

from model.imaging.camera import Camera
from model.renderer.splat import dense
from model.renderer.splat.conventions import EXACT, GSPLAT, KERBL, Conventions
from model.renderer.splat.draw import draw
from model.renderer.splat.gaussians import Gaussians
from model.renderer.splat.projection import project

SIZE_HW = (48, 64)


def one(x_m=0.0, y_m=0.0, sigma_m=0.1, opacity=0.8, depth_m=2.0):
    return Gaussians(
        centres_m=torch.tensor([[[x_m, y_m, depth_m]]], dtype=torch.float64),
        factors_m=sigma_m * torch.eye(3, dtype=torch.float64)[None, None],
        colours=torch.ones(1, 1, 1, dtype=torch.float64),
        opacities=torch.full((1, 1), opacity, dtype=torch.float64),
    )


def test_covariance_is_that_of_the_projection_s_derivative():
    fields = arguments(2, 10, 1)
    place = camera(2, SIZE_HW, torch.float64)
    free = Conventions(frustum_clamp=None)
    projected = project(Gaussians(**fields), place, SIZE_HW, free)
    for b in range(2):

        def pixel(point, b=b):
            return place.focal_px[b] * point[:2] / point[2] + place.principal_px[b]

        for n in range(10):
            centre, factor = fields["centres_m"][b, n], fields["factors_m"][b, n]
            slope = torch.autograd.functional.jacobian(pixel, centre)
            covariance = slope @ factor @ factor.T @ slope.T + free.blur_px2 * torch.eye(2, dtype=torch.float64)
            a, h, c = projected.conic[b, n]
            torch.testing.assert_close(projected.mean_px[b, n], pixel(centre))
            torch.testing.assert_close(torch.stack([a, h, h, c]).view(2, 2), torch.linalg.inv(covariance))


def test_one_gaussian_is_a_bell_of_its_size_at_its_place():
    colour, alpha = draw(one(x_m=0.25), camera(1, SIZE_HW, torch.float64), SIZE_HW)
    variance = (40.0 * 0.1 / 2.0) ** 2 + 0.3
    column = 32 + 40 * 0.25 / 2
    for dx in (0.5, 2.5, 5.5):
        # To first order its shape is slanted off the axis, by a sixty-fourth at x/z = 1/8.
        along = variance + (40.0 * 0.1 / 2.0 * 0.125) ** 2
        expected = 0.8 * math.exp(-0.5 * (dx * dx / along + 0.5 * 0.5 / variance))
        assert alpha[0, 24, int(column + dx)] == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(colour[..., 0], alpha)


def test_the_margin_bounds_the_shape_and_not_the_place():
    inside, outside = one(x_m=1.4), one(x_m=4.0)
    place = camera(1, SIZE_HW, torch.float64)
    for gaussians, is_same in ((inside, True), (outside, False)):
        clamped, free = (project(gaussians, place, SIZE_HW, Conventions(frustum_clamp=clamp)) for clamp in (1.3, None))
        assert torch.equal(clamped.mean_px, free.mean_px)
        assert torch.equal(clamped.conic, free.conic) == is_same
    # Half a picture is 32 px, at 40 px focal length: x/z counts as 1.3 * 0.8 = 1.04 from there on.
    at_the_margin = project(one(x_m=2 * 1.04), place, SIZE_HW, Conventions(frustum_clamp=None))
    clamped = project(outside, place, SIZE_HW, EXACT)
    torch.testing.assert_close(clamped.conic, at_the_margin.conic)


@pytest.mark.parametrize(
    ("sigma_m", "conventions", "pixels"),
    [
        # Variance 4.3: alpha 0.99 reaches 1/255 at 3.326 sigma, 6.90 px from (256, 256).
        (0.1, EXACT, [249, 249, 263, 263]),
        (0.1, GSPLAT, [249, 249, 263, 263]),
        (0.1, KERBL, [249, 249, 263, 263]),
        # Variance 900.3: 99.8 px; 3 sigma are 91 px, 164.5 to 346.5 counted from a centre, in blocks of 16.
        (1.5, EXACT, [156, 156, 356, 356]),
        (1.5, GSPLAT, [156, 156, 356, 356]),
        (1.5, KERBL, [160, 160, 352, 352]),
    ],
)
def test_boxes_are_as_published(sigma_m, conventions, pixels):
    place = camera(1, (512, 512), torch.float64)
    projected = project(one(sigma_m=sigma_m, opacity=0.99), place, (512, 512), conventions)
    assert projected.pixels[0, 0].tolist() == pixels


def test_the_square_of_three_sigma_is_as_wide_as_the_longer_axis_is_long():
    thin = one(opacity=0.99)
    thin.factors_m[0, 0, 1, 1] = 1.5
    pixels = project(thin, camera(1, (512, 512), torch.float64), (512, 512), KERBL).pixels
    assert pixels[0, 0].tolist() == [249, 160, 263, 352]


@pytest.mark.parametrize("rasteriser", ["tiles", NATIVE])
def test_what_a_box_cuts_off_is_not_drawn(rasteriser):
    large, place = one(sigma_m=1.5, opacity=0.99), camera(1, (512, 512), torch.float64)
    exact, cut = (
        draw(large, place, (512, 512), conventions=each, rasteriser=rasteriser).alpha[0] for each in (EXACT, KERBL)
    )
    assert (exact[256, 150:170] > 0).tolist() == [False] * 6 + [True] * 14
    assert (cut[256, 150:170] > 0).tolist() == [False] * 10 + [True] * 10
    assert torch.equal(cut[160:352, 160:352], exact[160:352, 160:352])
    # All that is lost is beyond 3 sigma: less than exp(-4.5).
    assert 0.003 < (exact - cut).max() < 0.0112


def test_no_pixel_that_a_gaussian_reaches_is_outside_its_box():
    gaussians, size_hw = Gaussians(**arguments(1, 200, 1)), (40, 40)
    place = camera(1, size_hw, torch.float64)
    projected = project(gaussians, place, size_hw, EXACT)
    whole = projected._replace(pixels=torch.tensor([0, 0, 40, 40]).expand(1, 200, 4))
    boxed, everywhere = (
        dense.composite(each, gaussians.colours, gaussians.opacities, size_hw, EXACT)[0] for each in (projected, whole)
    )
    assert torch.equal(boxed, everywhere)


@pytest.mark.parametrize("rasteriser", ["tiles", "dense", NATIVE])
def test_an_opaque_gaussian_is_clamped_and_what_is_behind_too_many_is_left_out(rasteriser):
    layers = 4
    flat = Gaussians(
        centres_m=torch.tensor([[0.0, 0.0, 1.0 + k] for k in range(layers)], dtype=torch.float64)[None],
        factors_m=100 * torch.eye(3, dtype=torch.float64).expand(1, layers, 3, 3),
        colours=torch.eye(layers, dtype=torch.float64)[None],
        opacities=torch.ones(1, layers, dtype=torch.float64),
    )
    place = camera(1, (4, 4), torch.float64)
    for conventions, expected in (
        (EXACT, [0.99, 0.0099, 0.000099, 0.00000099]),
        # The second leaves 1e-4, rounding included: not more than the limit, so it is left out, and all behind it.
        (Conventions(stop_transmittance=1.001e-4), [0.99, 0.0, 0.0, 0.0]),
        (Conventions(stop_transmittance=0.999e-4), [0.99, 0.0099, 0.0, 0.0]),
        (GSPLAT, [0.999, 0.0, 0.0, 0.0]),
    ):
        colour, alpha = draw(flat, place, (4, 4), conventions=conventions, rasteriser=rasteriser)
        torch.testing.assert_close(colour[0, 1, 1], torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=0)
        torch.testing.assert_close(alpha, colour.sum(-1))


def test_the_camera_has_gradients_too():
    gaussians, size_hw = Gaussians(**arguments(1, 5, 2)), (12, 12)
    free = Conventions(alpha_min=0.0, frustum_clamp=None)

    def picture(focal_px, principal_px):
        return draw(gaussians, Camera(focal_px=focal_px, principal_px=principal_px), size_hw, conventions=free).colour

    place = camera(1, size_hw, torch.float64)
    leaves = place.focal_px.requires_grad_(), place.principal_px.requires_grad_()
    assert torch.autograd.gradcheck(picture, leaves, fast_mode=True)


def test_a_crop_camera_draws_what_is_cut_out():
    gaussians, size_hw = Gaussians(**arguments(1, 80, 3)), (40, 40)
    free = Conventions(frustum_clamp=None)
    whole = camera(1, size_hw, torch.float64)
    cut = draw(gaussians, whole, size_hw, conventions=free).colour[:, 5:29, 11:38]
    moved = Camera(focal_px=whole.focal_px, principal_px=whole.principal_px - torch.tensor([[11.0, 5.0]]))
    torch.testing.assert_close(draw(gaussians, moved, (24, 27), conventions=free).colour, cut, rtol=0, atol=1e-13)

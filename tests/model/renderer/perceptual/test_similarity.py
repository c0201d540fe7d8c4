"""SSIM against scikit-image and window by window; what masks, small pictures, blur and noise do."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lpips_files import pictures

from model.renderer.perceptual.similarity import l1, ms_ssim_loss, psnr_db, ssim

ALL = [l1, ms_ssim_loss, psnr_db, ssim]
LOSSES = [l1, ms_ssim_loss]


def blob(height, width):
    """A mask (1, 1, H, W) that is no rectangle and touches no border."""
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    return (rows**2 + (columns - 0.1 * rows) ** 2 < 0.6)[None, None]


def dense_ssim(x, y, weight):
    """(C, H, W) arrays and (H, W) weights -> SSIM around each pixel, one window after another."""
    result = np.zeros_like(x)
    for channel, row, column in np.ndindex(*x.shape):
        rows, columns = np.ogrid[: x.shape[1], : x.shape[2]]
        far = np.maximum(abs(rows - row), abs(columns - column)) > 5
        window = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 1.5**2)) * ~far * weight
        window /= window.sum() or 1
        a, b = x[channel], y[channel]
        mean_a, mean_b = (window * a).sum(), (window * b).sum()
        var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
        cov = (window * (a - mean_a) * (b - mean_b)).sum()
        result[channel, row, column] = ((2 * mean_a * mean_b + 1e-4) * (2 * cov + 9e-4)) / (
            (mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4)
        )
    return result


@pytest.mark.parametrize("shape", [(2, 3, 37, 52), (1, 1, 11, 11), (1, 4, 12, 64)])
def test_ssim_and_psnr_are_those_of_scikit_image(shape):
    metrics = pytest.importorskip("skimage.metrics")
    picture, target = pictures(*shape, dtype=torch.float64)
    for row in range(shape[0]):
        a, b = picture[row].numpy(), target[row].numpy()
        settings = {"gaussian_weights": True, "use_sample_covariance": False, "data_range": 1.0, "channel_axis": 0}
        assert abs(float(ssim(picture, target)[row]) - metrics.structural_similarity(a, b, **settings)) < 1e-12
        assert abs(float(psnr_db(picture, target)[row]) - metrics.peak_signal_noise_ratio(a, b, data_range=1)) < 1e-10


def test_ssim_within_a_mask_is_that_of_windows_cut_by_it():
    picture, target = pictures(1, 2, 17, 20, dtype=torch.float64)
    mask = blob(17, 20)
    similarity = dense_ssim(picture[0].numpy(), target[0].numpy(), mask[0, 0].double().numpy())
    wanted = similarity[:, 5:-5, 5:-5][:, mask[0, 0, 5:-5, 5:-5].numpy()].mean()
    assert abs(float(ssim(picture, target, mask)[0]) - wanted) < 1e-12


@pytest.mark.parametrize(("height", "width", "num_scales"), [(5, 30, 1), (20, 21, 1), (21, 22, 2), (45, 41, 3)])
def test_ms_ssim_is_the_mean_over_the_scales_that_hold_a_window(height, width, num_scales):
    picture, target = pictures(1, 1, height, width, dtype=torch.float64)
    mask = blob(height, width).double()
    wanted = []
    x, y, weight = picture, target, mask
    for scale in range(num_scales):
        if scale:
            total = F.avg_pool2d(weight, 2, ceil_mode=True)
            x, y = (F.avg_pool2d(t * weight, 2, ceil_mode=True) / total.clamp_min(1e-8) for t in (x, y))
            weight = total
        similarity = dense_ssim(x[0].numpy(), y[0].numpy(), weight[0, 0].numpy())
        wanted.append(1 - np.average(similarity[0], weights=weight[0, 0].numpy()))
    assert abs(float(ms_ssim_loss(picture, target, mask)[0]) - np.mean(wanted)) < 1e-12


@pytest.mark.parametrize("measure", ALL)
def test_what_lies_outside_the_mask_has_no_say(measure):
    picture, target = pictures(2, 3, 48, 40)
    mask = blob(48, 40)
    inside = measure(picture, target, mask)
    other = torch.where(mask, picture, torch.rand(2, 3, 48, 40))
    assert torch.equal(measure(other, target, mask), inside)
    assert not torch.equal(measure(other, target), measure(picture, target))
    other.requires_grad_()
    (slope,) = torch.autograd.grad(measure(other, target, mask).sum(), other)
    assert slope[~mask.expand_as(slope)].abs().max() == 0
    assert slope[mask.expand_as(slope)].abs().max() > 0


@pytest.mark.parametrize("measure", ALL)
def test_a_mask_of_everything_is_none(measure):
    picture, target = pictures(2, 3, 33, 47)
    for mask in (torch.ones(2, 1, 33, 47, dtype=torch.bool), torch.ones(1, 1, 33, 47)):
        assert torch.equal(measure(picture, target, mask), measure(picture, target))


def test_an_empty_mask_measures_nothing_and_pulls_nowhere():
    picture, target = pictures(2, 3, 33, 47)
    mask = torch.zeros(2, 1, 33, 47)
    mask[1] = 1
    for measure in (psnr_db, ssim):
        assert measure(picture, target, mask).isnan().tolist() == [True, False]
    for measure in LOSSES:
        leaf = picture.clone().requires_grad_()
        value = measure(leaf, target, mask)
        value.sum().backward()
        assert value[0] == 0 < value[1]
        assert leaf.grad is not None
        assert leaf.grad[0].abs().max() == 0 < leaf.grad[1].abs().max()


@pytest.mark.parametrize("measure", ALL)
def test_symmetric(measure):
    picture, target = pictures(2, 3, 48, 40, dtype=torch.float64)
    assert torch.allclose(measure(picture, target), measure(target, picture), rtol=1e-13, atol=0)


def test_equal_pictures():
    picture, _ = pictures(2, 3, 48, 40)
    for measure in LOSSES:
        assert measure(picture, picture.clone()).tolist() == [0, 0]
    assert ssim(picture, picture.clone()).tolist() == [1, 1]
    assert psnr_db(picture, picture.clone()).tolist() == [math.inf, math.inf]


@pytest.mark.parametrize(("measure", "sign"), [(l1, 1), (ms_ssim_loss, 1), (psnr_db, -1), (ssim, -1)])
def test_more_blur_and_more_noise_are_worse(measure, sign):
    picture, _ = pictures(1, 3, 96, 80)
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(3))
    noisy = [picture + share * noise for share in (0.01, 0.03, 0.1, 0.3)]
    blurred = [F.avg_pool2d(picture, side, 1, side // 2, count_include_pad=False) for side in (3, 7, 13, 25)]
    for row in (noisy, blurred):
        values = [sign * float(measure(worse, picture)) for worse in row]
        assert values == sorted(values)
        assert len(set(values)) == len(values)


@pytest.mark.parametrize("measure", LOSSES)
def test_gradients_are_those_of_finite_differences(measure):
    picture, target = pictures(2, 1, 22, 23, dtype=torch.float64)
    weight = blob(22, 23) * torch.rand(1, 1, 22, 23, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    picture.requires_grad_(), target.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: measure(x, y, weight), (picture, target), fast_mode=True)
    assert torch.autograd.gradcheck(measure, (picture, target), fast_mode=True)


@pytest.mark.parametrize("measure", LOSSES)
def test_gradients_are_finite_where_contrast_is_lost_or_reversed(measure):
    picture, _ = pictures(1, 3, 48, 40)
    for other in (torch.zeros_like(picture), torch.full_like(picture, 0.5), 1 - picture, picture.clone()):
        leaf = other.requires_grad_()
        measure(leaf, picture).sum().backward()
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()


def test_pictures_of_one_pixel_have_a_loss():
    assert 0 < float(ms_ssim_loss(torch.full((1, 3, 1, 1), 0.2), torch.full((1, 3, 1, 1), 0.7))) < 1


@pytest.mark.parametrize("measure", LOSSES)
def test_half_precision_of_a_network_does_not_reach_the_loss(measure):
    """Variances are differences of nearly equal numbers: of a bright flat picture, float32 is just enough."""
    picture, target = (0.9 + 0.1 * p for p in pictures(1, 3, 48, 40))
    exact = measure(picture.double(), target.double())
    assert torch.allclose(measure(picture, target).double(), exact, atol=3e-4, rtol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(measure(picture, target), measure(picture.float(), target.float()))
    half = picture.bfloat16()
    assert measure(half, target).dtype == torch.float32
    assert torch.allclose(measure(half, target), measure(half.float(), target), atol=0, rtol=0)


@pytest.mark.parametrize("measure", ALL)
def test_what_does_not_fit_is_refused(measure):
    picture, target = pictures(2, 3, 33, 47)
    with pytest.raises(ValueError, match=r"two pictures of one shape .*\(2, 3, 33, 47\) and \(1, 3, 33, 47\)"):
        measure(picture, target[:1])
    with pytest.raises(ValueError, match=r"mask \(2, 1, 33, 47\) of the size of the pictures, got \(2, 33, 47\)"):
        measure(picture, target, torch.ones(2, 33, 47))

    with pytest.raises(ValueError, match=r"floats in \[0, 1\], got torch.uint8"):
        measure(torch.zeros(1, 3, 20, 20, dtype=torch.uint8), torch.zeros(1, 3, 20, 20))


def test_pictures_smaller_than_the_window_have_no_ssim():
    with pytest.raises(ValueError, match=r"window of 11 x 11 px; the pictures have 10 x 40"):
        ssim(torch.rand(1, 3, 10, 40), torch.rand(1, 3, 10, 40))

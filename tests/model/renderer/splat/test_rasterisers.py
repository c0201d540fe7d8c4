import pytest
import torch
from splat_scenes import NATIVE, arguments, camera, drawn, with_gradients

from model.renderer.splat.conventions import EXACT, GSPLAT, KERBL, Conventions
from model.renderer.splat.draw import draw
from model.renderer.splat.gaussians import Gaussians

RASTERISERS = ["tiles", NATIVE]
EVERYTHING = Conventions(alpha_min=0.0, frustum_clamp=None)
CONVENTIONS = {"exact": EXACT, "Kerbl": KERBL, "gsplat": GSPLAT, "everything": EVERYTHING}
SIZE_HW = (37, 45)


@pytest.mark.parametrize("rasteriser", RASTERISERS)
@pytest.mark.parametrize("conventions", CONVENTIONS.values(), ids=CONVENTIONS)
@pytest.mark.parametrize(("channels", "columns"), [(3, 3), (32, 2), (1, 1)])
def test_pictures_and_gradients_are_those_of_every_gaussian_at_every_pixel(rasteriser, conventions, channels, columns):
    fields = arguments(2, 60, channels, columns)
    expected = with_gradients(fields, torch.float64, SIZE_HW, conventions, "dense")
    for dtype, tolerance, gradient in ((torch.float64, 1e-12, 1e-10), (torch.float32, 1e-5, 1e-4)):
        got = with_gradients(fields, dtype, SIZE_HW, conventions, rasteriser)
        for name, right in expected.items():
            limit = tolerance if name in ("colour", "alpha") else gradient * right.abs().max()
            assert (got[name] - right).abs().max() <= limit, (name, dtype)


@pytest.mark.parametrize("rasteriser", RASTERISERS)
def test_gradients_are_those_of_finite_differences(rasteriser):
    fields = arguments(2, 4, 1, seed=3)
    fields["opacities"] *= 0.9
    fields["centres_m"][..., :2] *= 0.2
    size_hw = (9, 4)
    place = camera(2, size_hw, torch.float64)

    def pictures(background, *tensors):
        gaussians = Gaussians(**dict(zip(fields, tensors, strict=True)))
        return tuple(
            draw(gaussians, place, size_hw, background=background, conventions=EVERYTHING, rasteriser=rasteriser)
        )

    background = torch.full((1,), 0.3, dtype=torch.float64)
    leaves = [tensor.clone().requires_grad_() for tensor in (background, *fields.values())]
    assert torch.autograd.gradcheck(pictures, leaves, eps=1e-6, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("rasteriser", [*RASTERISERS, "dense"])
def test_a_picture_is_the_same_alone_and_in_a_batch_in_any_order_of_gaussians(rasteriser):
    fields = arguments(3, 40, 3)
    together = drawn(fields, SIZE_HW, EXACT, rasteriser)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    alone = drawn({name: tensor[:1, order] for name, tensor in fields.items()}, SIZE_HW, EXACT, rasteriser)
    for one, all_three in zip(alone, together, strict=True):
        torch.testing.assert_close(one[0], all_three[0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("rasteriser", RASTERISERS)
def test_the_same_call_gives_the_same_bits(rasteriser):
    first, second = (with_gradients(arguments(2, 60, 5), torch.float32, SIZE_HW, EXACT, rasteriser) for _ in range(2))
    for name in first:
        assert torch.equal(first[name], second[name]), name


@pytest.mark.parametrize("rasteriser", RASTERISERS)
def test_mixed_precision_around_it_changes_no_bit(rasteriser):
    fields = arguments(1, 30, 3)
    plain = with_gradients(fields, torch.float32, SIZE_HW, EXACT, rasteriser)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = with_gradients(fields, torch.float32, SIZE_HW, EXACT, rasteriser)
    for name in plain:
        assert torch.equal(plain[name], mixed[name]), name


@pytest.mark.parametrize("rasteriser", [NATIVE])
def test_the_number_of_threads_changes_no_bit(rasteriser):
    before, results = torch.get_num_threads(), []
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            results.append(with_gradients(arguments(2, 200, 5), torch.float32, (70, 90), EXACT, rasteriser))
    finally:
        torch.set_num_threads(before)
    for name in results[0]:
        assert torch.equal(results[0][name], results[1][name]), name


@pytest.mark.parametrize("rasteriser", [*RASTERISERS, "dense"])
@pytest.mark.parametrize("case", ["none", "behind", "beside", "clear"])
def test_where_no_gaussian_is_seen_there_is_the_background_and_no_gradient(rasteriser, case):
    fields = arguments(1, 0 if case == "none" else 5, 3)
    if case == "behind":
        fields["centres_m"][..., 2] = torch.linspace(-1.0, EXACT.near_m, 5)
    elif case == "beside":
        fields["centres_m"][..., 0] += 50.0
    elif case == "clear":
        fields["opacities"] *= 0.0
    leaves = {name: tensor.requires_grad_() for name, tensor in fields.items()}
    colour, alpha = drawn(leaves, SIZE_HW, EXACT, rasteriser)
    torch.testing.assert_close(colour, torch.linspace(0.1, 0.9, 3, dtype=torch.float64).expand_as(colour))
    assert not alpha.any()
    (colour.sum() + alpha.sum()).backward()
    assert all(leaf.grad is None or not leaf.grad.any() for leaf in leaves.values())

import pytest
import torch
from splat_scenes import arguments, camera

from model.renderer.splat import draw as draw_module
from model.renderer.splat.conventions import Conventions
from model.renderer.splat.draw import draw, fastest
from model.renderer.splat.gaussians import Gaussians


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"opacities": torch.ones(2, 5)}, r"expected centres_m .* got .* opacities \(2, 5\)"),
        ({"factors_m": torch.ones(2, 6, 3, 4)}, r"factors_m \(B, N, 3, 1 to 3\)"),
        ({"colours": torch.ones(2, 6, 0)}, r"colours \(2, 6, 0\)"),
        (
            {"colours": torch.ones(2, 6, 3)},
            "all in float32 or all in float64, .* got .*colours torch.float32",
        ),
        ({"colours": torch.ones(2, 6, 3, device="meta", dtype=torch.float64)}, "on one device, got .* on meta"),
        (
            {"opacities": torch.full((2, 6), 1.5, dtype=torch.float64)},
            r"opacities that are in 0..1, .* 6 of 6",
        ),
    ],
)
def test_gaussians_that_do_not_fit_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        Gaussians(**{**arguments(2, 6, 3), **changes})


@pytest.mark.parametrize("name", ["centres_m", "factors_m", "colours", "opacities"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_named_with_its_picture(name, value):
    fields = arguments(3, 6, 2)
    fields[name][1, 4] = value
    with pytest.raises(ValueError, match=f"expected {name} that are finite, .* 1 of 6 Gaussians of picture 1"):
        Gaussians(**fields)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"size_hw": (0, 4)}, r"at least 1 x 1 pixels, got height and width \(0, 4\)"),
        ({"camera": camera(3, (8, 8), torch.float64)}, "a camera for each of 2 pictures, got 3"),
        ({"camera": camera(2, (8, 8), torch.float32)}, "the camera in torch.float64 on cpu.*got torch.float32 on cpu"),
        ({"background": torch.zeros(4, dtype=torch.float64)}, r"a background of 3 channels, got shape \(4,\)"),
        ({"background": torch.zeros(3)}, "the background in torch.float64 on cpu.*got torch.float32 on cpu"),
        ({"rasteriser": "fast"}, "a rasteriser of tiles, native, gsplat, dense.*got 'fast'"),
    ],
)
def test_what_does_not_fit_the_gaussians_is_refused(change, sentence):
    given = {"camera": camera(2, (8, 8), torch.float64), "size_hw": (8, 8), **change}
    with pytest.raises(ValueError, match=sentence):
        draw(Gaussians(**arguments(2, 6, 3)), given.pop("camera"), given.pop("size_hw"), **given)


def test_a_camera_that_is_not_finite_is_refused():
    place = camera(2, (8, 8), torch.float64)
    place.focal_px[1] = float("nan")
    with pytest.raises(ValueError, match=r"finite focal length above 0.* picture 1"):
        draw(Gaussians(**arguments(2, 6, 3)), place, (8, 8))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"alpha_max": 1.0}, "alpha_min < alpha_max < 1, got 0.00392157 and 1"),
        ({"alpha_min": -0.1}, "got -0.1 and 0.99"),
        ({"box": "4 sigma"}, "a box of exact, 3 sigma, got '4 sigma'"),
        ({"stop_transmittance": 1.0}, "stop_transmittance in"),
        ({"blur_px2": 0.0}, "blur_px2 and near_m above 0, got 0 and 0.2"),
        ({"frustum_clamp": 0.5}, "at least 1 half picture, got 0.5"),
    ],
)
def test_conventions_that_mean_nothing_are_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        Conventions(**settings)


def test_without_a_compiler_the_fastest_rasteriser_is_the_one_that_needs_none(monkeypatch, caplog):
    def missing():
        raise ImportError("no compiler: install one, or draw with 'tiles'")

    monkeypatch.setattr(draw_module, "library", missing)
    with caplog.at_level("INFO"):
        assert fastest(torch.device("cpu")) == "tiles"
    assert "no compiler: install one, or draw with 'tiles'; the latter is done now" in caplog.text


def test_beside_a_cpu_the_fastest_rasteriser_is_the_one_of_any_device():
    assert fastest(torch.device("cuda")) == "tiles"

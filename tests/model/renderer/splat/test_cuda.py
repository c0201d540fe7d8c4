import importlib.metadata

import pytest
import torch
from splat_scenes import arguments, camera, with_gradients

from model.renderer.splat import cuda, dense, native
from model.renderer.splat.conventions import EXACT, GSPLAT
from model.renderer.splat.gaussians import Gaussians
from model.renderer.splat.projection import Projected, project

SIZE_HW = (37, 45)


def by_tile(means, conics, colours, opacities, width, height, tile_size, offsets, ids):
    """What gsplat documents of `rasterize_to_pixels`: tile after tile, its Gaussians from one offset to the next."""
    batch, rows, columns = offsets.shape
    assert offsets.dtype == ids.dtype == torch.int32
    ends = torch.cat([offsets.flatten()[1:], torch.tensor([len(ids)])]).view(offsets.shape)
    image, alpha = means.new_zeros(batch, height, width, colours.shape[-1]), means.new_zeros(batch, height, width, 1)
    for b in range(batch):
        for row in range(rows):
            for column in range(columns):
                chosen = ids[offsets[b, row, column] : ends[b, row, column]].long()
                box = torch.tensor([0, 0, width, height]).expand(1, len(chosen), 4)
                mean, conic, colour, opacity = (x.flatten(0, 1)[chosen] for x in (means, conics, colours, opacities))
                depth = torch.arange(len(chosen))[None]
                part = Projected(mean[None], conic[None], depth, depth, box)
                whole = dense.composite(part, colour[None], opacity[None], (height, width), GSPLAT)
                tile = tuple(slice(k * tile_size, (k + 1) * tile_size) for k in (row, column))
                image[b][tile], alpha[b][tile] = whole[0][0][tile], 1 - whole[1][0][tile][..., None]
    return image, alpha


def test_gsplat_is_called_with_the_tiles_and_the_order_that_it_documents():
    gaussians = Gaussians(**arguments(2, 60, 3))
    projected = project(gaussians, camera(2, SIZE_HW, torch.float64), SIZE_HW, GSPLAT)
    got = cuda.rasterised_by(by_tile, projected, gaussians.colours, gaussians.opacities, SIZE_HW)
    right = dense.composite(projected, gaussians.colours, gaussians.opacities, SIZE_HW, GSPLAT)
    for ours, expected in zip(got, right, strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("composite", "sentence"),
    [
        (cuda.composite, "'gsplat' draws float32 on CUDA, got torch.float32 on meta: use 'tiles' there"),
        (native.composite, "'native' draws on the CPU, got tensors on meta: use 'tiles' there"),
    ],
)
def test_a_device_that_a_rasteriser_does_not_know_is_refused(composite, sentence):
    with pytest.raises(ValueError, match=sentence):
        composite(None, torch.ones(1, 3, 3, device="meta"), None, SIZE_HW, GSPLAT)


@pytest.fixture
def on_cuda():
    """Stands for colours on CUDA, as far as they are looked at before gsplat is."""

    class Colours:
        device = torch.device("cuda")
        dtype = torch.float32

    return Colours()


def test_other_conventions_than_those_of_gsplat_are_refused(on_cuda):
    with pytest.raises(ValueError, match=r"has alpha_max 0.999 built in, got 0.99: draw with the conventions GSPLAT"):
        cuda.composite(None, on_cuda, None, SIZE_HW, EXACT)


@pytest.mark.parametrize(("found", "sentence"), [(None, "needs the package gsplat"), ("1.6.0", "1.5, found 1.6.0")])
def test_without_gsplat_or_with_another_the_sentence_says_what_to_install(on_cuda, monkeypatch, found, sentence):
    def version(name):
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    class Package:
        rasterize_to_pixels = None

    monkeypatch.setattr(cuda, "version", version)
    monkeypatch.setattr(importlib, "import_module", lambda name: Package)
    with pytest.raises(ImportError, match=rf"{sentence}.*pip install 'gsplat>=1.5,<1.6'.*draw with 'tiles'"):
        cuda.composite(None, on_cuda, None, SIZE_HW, GSPLAT)


@pytest.mark.gpu
@pytest.mark.parametrize("rasteriser", ["tiles", "gsplat"])
def test_pictures_and_gradients_on_cuda_are_those_of_every_gaussian_at_every_pixel(rasteriser):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    if rasteriser == "gsplat":
        pytest.importorskip("gsplat", reason="the package gsplat is not there")
    for channels in (3, 32):
        fields = arguments(2, 60, channels)
        expected = with_gradients(fields, torch.float64, SIZE_HW, GSPLAT, "dense")
        on_device = {name: tensor.cuda() for name, tensor in fields.items()}
        got = with_gradients(on_device, torch.float32, SIZE_HW, GSPLAT, rasteriser)
        for name, right in expected.items():
            limit = 1e-5 if name in ("colour", "alpha") else 1e-4 * right.abs().max()
            assert (got[name].cpu() - right).abs().max() <= limit, name

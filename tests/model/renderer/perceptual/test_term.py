"""The perceptual term: named as what it is, by the convention that was asked for."""

import logging

import pytest
import torch
from lpips_files import lpips_files, pictures

from datasets_manifest.files import file_sha256
from model.renderer.perceptual.similarity import ms_ssim_loss
from model.renderer.perceptual.term import PerceptualConfig, build_perceptual


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    backbone, linear = lpips_files(tmp_path_factory.mktemp("files"), "alex")
    return {"backbone": backbone, "linear": linear}


def test_without_files_it_is_ms_ssim_and_nowhere_called_lpips(caplog):
    with caplog.at_level(logging.INFO):
        term = build_perceptual(PerceptualConfig())
    picture, target = pictures(2, 3, 40, 40)
    assert torch.equal(term(picture, target), ms_ssim_loss(picture, target).mean())
    assert term.config.name == "ms-ssim"
    assert term.record == {"name": "ms-ssim", "kind": "ms-ssim", "batch": "mean"}
    assert "ms-ssim" in caplog.text
    assert "lpips" not in (caplog.text + repr(term.record)).lower()
    assert not term.state_dict()


def test_lpips_without_its_backbone_is_refused_rather_than_replaced():
    with pytest.raises(ValueError, match=r"no file of it is given.* or choose `ms-ssim`"):
        build_perceptual(PerceptualConfig(kind="lpips-vgg"))


def test_files_that_would_not_be_read_are_refused(files):
    with pytest.raises(ValueError, match=r"ms-ssim reads no file, .*alex_backbone.pth is given"):
        build_perceptual(PerceptualConfig(), backbone=files["backbone"])


@pytest.mark.parametrize("kind", ["ms-ssim", "lpips-alex"])
def test_the_sum_over_a_batch_grows_with_it_and_the_mean_does_not(files, kind):
    picture, target = pictures(3, 3, 40, 40)
    given = files if kind != "ms-ssim" else {}
    mean, total = (build_perceptual(PerceptualConfig(kind=kind, batch=way), **given) for way in ("mean", "sum"))
    each = torch.cat([mean.of_each(picture[row : row + 1], target[row : row + 1]) for row in range(3)])
    assert torch.allclose(mean(picture, target), each.mean())
    assert torch.allclose(total(picture, target), each.sum())


def test_values_of_unmapped_inputs_have_another_name(files):
    config = PerceptualConfig(kind="lpips-alex", inputs="unmapped", batch="sum")
    record = build_perceptual(config, **files).record
    hashes = {f"{part}_sha256": file_sha256(path) for part, path in files.items()}
    settings = {"kind": "lpips-alex", "inputs": "unmapped", "batch": "sum"}
    assert record == {"name": "lpips-alex-unmapped", **settings, **hashes}
    assert PerceptualConfig(kind="lpips-alex").name == "lpips-alex"


@pytest.mark.parametrize("kind", ["ms-ssim", "lpips-alex"])
def test_what_lies_outside_the_mask_has_no_say(files, kind):
    term = build_perceptual(PerceptualConfig(kind=kind), **(files if kind != "ms-ssim" else {}))
    picture, target = pictures(2, 3, 40, 40)
    mask = torch.zeros(2, 1, 40, 40, dtype=torch.bool)
    mask[..., 8:30, 5:33] = True
    other = torch.where(mask, picture, 1 - picture)
    assert torch.equal(term(other, target, mask), term(picture, target, mask))
    assert not torch.equal(term(other, target), term(picture, target))


@pytest.mark.parametrize("wrong", [{"kind": "lpips"}, {"inputs": "signed"}, {"batch": "none"}])
def test_unknown_settings_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} is one of .*; got '{wrong[name]}'"):
        PerceptualConfig(**wrong)


def test_a_convention_of_lpips_is_refused_for_ms_ssim():
    with pytest.raises(ValueError, match="inputs: unmapped is a convention of LPIPS"):
        PerceptualConfig(inputs="unmapped")

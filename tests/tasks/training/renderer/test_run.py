"""Renderers of the open body, learnt from a handful of people."""

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from lpips_files import lpips_files
from texture_renderers import quiet

from datasets_manifest.shards.label_sets import LabelSet
from datasets_manifest.sources.images import decode_image
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.renderer.perceptual.term import PerceptualConfig
from model.renderer.texture.file import load_renderer
from model.weights import checkpoint_sha256
from tasks.synthetic.person import SyntheticConfig
from tasks.synthetic.render import synthesise
from tasks.training.renderer.run import finetune_renderer, open_plan
from tasks.training.renderer.settings import RenderedPeopleConfig, RendererConfig, RendererOutputConfig

SMALL = RendererConfig(
    directions=4,
    passes=1,
    synthetic=RenderedPeopleConfig(train=10, held_out=2, image_px=64, crop_shares=(0.0, 1.0, 0.0, 0.0, 0.0, 0.0)),
)


@pytest.fixture(scope="module")
def body():
    return EHMs(load_open_body()).eval()


@pytest.fixture(scope="module")
def photos(tmp_path_factory, body) -> LabelSet:
    """Rendered people as photos with labels and masks."""
    folder = tmp_path_factory.mktemp("photos")
    settings = SyntheticConfig(count=3, image_width=96, image_height=96, seed=77, supersample=1, masks=True)
    return synthesise(folder, settings, body)


def placed(config: RendererConfig, folder: Path) -> RendererConfig:
    names = {"checkpoint": "renderer.safetensors", "metrics": "metrics/renderer.json", "pictures": "people.png"}
    output = RendererOutputConfig(**{name: str(folder / place) for name, place in names.items()})
    return dataclasses.replace(config, output=output)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory) -> RendererConfig:
    config = placed(SMALL, tmp_path_factory.mktemp("renderer"))
    finetune_renderer(config, quiet())
    return config


def read(config: RendererConfig, body: EHMs):
    path = Path(config.output.checkpoint)
    return load_renderer(path.read_bytes(), body.faces, body.assets.smplx.num_vertices, source=path.name)


@pytest.mark.long
def test_a_renderer_is_learnt_measured_and_says_what_it_came_from(learnt, body):
    renderer, meta = read(learnt, body)
    figures = json.loads(Path(learnt.output.metrics).read_text())
    assert figures == meta.metrics
    assert figures["other_psnr_db"] > figures["mean_psnr_db"] + 2
    assert set(figures) >= {
        f"{of}_{what}" for of in ("same", "other", "mean") for what in ("psnr_db", "ssim", "ms-ssim")
    }
    assert meta.body_model == body.assets.entry
    assert meta.learnt_from["settings"]["directions"] == meta.num_directions == 4
    assert 0.001 < renderer.texture.offset_m.max() < 0.02
    sheet = decode_image(Path(learnt.output.pictures).read_bytes(), name="people.png")
    assert sheet.shape == (64, 8 * 64, 3)
    summary = json.loads((Path(learnt.output.metrics).parent / "summary/renderer.json").read_text())
    assert summary["other_psnr_db"] == figures["other_psnr_db"]


@pytest.mark.long
def test_held_out_people_are_measured_by_lpips_where_its_files_are_named_and_never_by_its_name_without(tmp_path, body):
    backbone, linear = lpips_files(tmp_path, "vgg")
    people = dataclasses.replace(SMALL.synthetic, train=5, held_out=1)
    asked = placed(
        dataclasses.replace(SMALL, synthetic=people, perceptual=PerceptualConfig(kind="lpips-vgg")), tmp_path
    )
    with pytest.raises(ValueError, match=r"LPIPS needs torchvision's vgg16-397923af\.pth, and no file of it is given"):
        open_plan(asked)
    config = dataclasses.replace(asked, perceptual_backbone=str(backbone), perceptual_linear=str(linear))
    finetune_renderer(config, quiet())
    _, meta = read(config, body)
    assert all(0 < meta.metrics[f"{of}_lpips-vgg"] < 10 for of in ("same", "other", "mean"))
    assert not any("ms-ssim" in name for name in meta.metrics)
    named = meta.learnt_from["perceptual"]
    assert (named["name"], named["backbone_sha256"]) == ("lpips-vgg", checkpoint_sha256(backbone))


@pytest.mark.long
def test_the_same_is_not_learnt_again_and_something_else_is(learnt, tmp_path):
    path = Path(learnt.output.checkpoint)
    before, was = path.stat().st_mtime_ns, path.read_bytes()
    result = finetune_renderer(learnt, quiet())
    assert path.stat().st_mtime_ns == before
    assert "PSNR" in result.sentence
    other = placed(dataclasses.replace(learnt, directions=3), path.parent)
    finetune_renderer(other, quiet())
    assert path.read_bytes() != was
    finetune_renderer(learnt, quiet())
    assert path.read_bytes() == was  # the same bytes from the same settings


@pytest.mark.long
def test_a_renderer_is_adapted_to_people_in_photos(learnt, photos, tmp_path, body):
    folder = tmp_path / "photos"
    for path in sorted(Path(photos.images).rglob("*.jpg")):  # photos of people as no rendered one is: all blue
        rgb = decode_image(path.read_bytes(), name=path.name)
        target = folder / path.relative_to(photos.images)
        target.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(target), np.clip(rgb[..., ::-1] * (1.0, 0.5, 0.3), 0, 255).astype(np.uint8))
    config = placed(
        dataclasses.replace(
            SMALL,
            start=learnt.output.checkpoint,
            datasets=(dataclasses.replace(photos, images=str(folder)),),
            synthetic=dataclasses.replace(SMALL.synthetic, train=0),
        ),
        tmp_path,
    )
    finetune_renderer(config, quiet())
    (before, _), (after, meta) = read(learnt, body), read(config, body)
    change = after.texture.mean - before.texture.mean
    assert change[:, 0].mean() < -0.02 < change[:, 2].mean()  # less red, not less blue
    assert len(meta.learnt_from["snapshots"]) == 1
    (labels,) = meta.learnt_from["labels"]
    assert labels["snapshot_hash"] == meta.learnt_from["snapshots"][0]
    assert labels["people"] > 0
    assert meta.learnt_from["start"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"masks": "nowhere"}, "masks: there is no folder nowhere of the people of"),
        ({"path": "nowhere"}, "nowhere"),
        ({"images": "."}, "photo"),
    ],
)
def test_what_is_not_there_is_one_sentence_before_anything_is_learnt(photos, change, sentence, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=sentence):
        open_plan(dataclasses.replace(SMALL, datasets=(dataclasses.replace(photos, **change),)))


def test_files_that_are_not_there_are_one_sentence(photos):
    with pytest.raises(ValueError, match=r"start: there is no file gone.safetensors; correct the path"):
        open_plan(dataclasses.replace(SMALL, start="gone.safetensors", datasets=(photos,)))


@pytest.mark.long
def test_nobody_with_a_mask_is_one_sentence(photos, learnt, tmp_path):
    empty = tmp_path / "masks"
    empty.mkdir()
    config = placed(dataclasses.replace(SMALL, datasets=(dataclasses.replace(photos, masks=str(empty)),)), tmp_path)
    with pytest.raises(ValueError, match=r"none of \d people of .* has a mask in .*masks; name the folder of"):
        finetune_renderer(config, quiet())
    assert not Path(config.output.checkpoint).exists()


def test_a_body_without_hands_is_not_asked_for_pictures_of_them(monkeypatch):
    without = dataclasses.replace(load_open_body(), hand_vertex_ids={})
    monkeypatch.setattr("tasks.training.renderer.run.full_body", lambda _config: EHMs(without))
    shares = dataclasses.replace(SMALL.synthetic, crop_shares=(0.0, 0.5, 0.0, 0.5, 0.0, 0.0))
    with pytest.raises(
        ValueError, match="crop_shares: the body does not say which vertices are hands; convert it again"
    ):
        open_plan(dataclasses.replace(SMALL, synthetic=shares))


def test_light_that_made_colours_is_found():
    from model.renderer.texture.light import brightness
    from tasks.training.renderer.people import light_of

    random = torch.Generator().manual_seed(0)
    normals = torch.nn.functional.normalize(torch.randn(500, 3, generator=random), dim=1)
    light = torch.tensor([0.7, 0.1, -0.2, -0.1, 0.02, 0.0, 0.03, -0.02, 0.01])
    surface = 40 + 200 * torch.rand(500, 3, generator=random)
    lit = surface * brightness(light[None], normals[None])[0]
    torch.testing.assert_close(light_of(surface, lit, normals), light, atol=1e-4, rtol=0)

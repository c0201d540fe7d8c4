"""Heads and hands drawn by cameras of their own, in a training that measures by LPIPS."""

import dataclasses
import json

import pytest
import torch
from guava_rig import FACE_PX, NETWORK, guava_config
from lpips_files import lpips_files
from training_rig import alone

from model.imaging.camera import Camera
from model.renderer.guava.checkpoint import load_guava
from model.renderer.guava.renderer import GuavaRenderer
from model.renderer.perceptual.term import PerceptualConfig
from model.tensor_file import unpack
from tasks.training.engine.config import IntervalConfig
from tasks.training.engine.curves import read_rows
from tasks.training.engine.loop import Trainer
from tasks.training.guava.experiment import open_experiment
from tasks.training.guava.request import open_plan, prepare

pytestmark = pytest.mark.long

LPIPS = PerceptualConfig(kind="lpips-alex", inputs="unmapped", batch="sum")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("close_ups")
    backbone, linear = lpips_files(folder, "alex")
    config = guava_config(folder)
    return dataclasses.replace(
        config,
        loss=dataclasses.replace(config.loss, close_ups="cameras", term=LPIPS),
        perceptual_backbone=str(backbone),
        perceptual_linear=str(linear),
        steps=1,
        run=dataclasses.replace(config.run, batch_size=1),
        every=IntervalConfig(log=1, checkpoint=1, evaluate=1, pictures=2),
    )


@pytest.fixture(scope="module")
def run(config):
    return prepare(config)


@pytest.fixture(scope="module")
def experiment(run):
    return open_experiment(run.folder.request)


def test_the_head_is_drawn_as_in_a_picture_that_is_large_enough(experiment):
    """Of 80 px of the photo 32 are drawn, of the head's 20 as well: a quarter of a picture of 128 px."""
    objective = experiment.objective().eval()
    batch = experiment.training.find(0)[0]
    head, target = batch.parts["head"], batch.target
    assert head.is_shown.tolist() == [True]
    assert batch.parts["left_hand"].is_shown.tolist() == [False]
    left, top = (int((middle - 10 - corner) * 1.6) for middle, corner in zip(FACE_PX, (5, -8), strict=True))
    large = GuavaRenderer(
        dataclasses.replace(NETWORK, image_px=128), objective.renderer.faces, objective.renderer.uv
    ).eval()
    whole = Camera(focal_px=4 * target.camera.focal_px, principal_px=4 * target.camera.principal_px)
    with torch.no_grad():
        appearance, vertices, turns, small = objective._drawn(batch, None)
        closely = objective.renderer.draw(appearance, vertices, turns, head.camera)
        everything = large.draw(appearance, vertices, turns, whole)
    cut = (..., slice(top, top + 32), slice(left, left + 32))
    torch.testing.assert_close(closely.raw, everything.raw[cut], atol=1e-3, rtol=0)
    torch.testing.assert_close(closely.alpha, everything.alpha[cut], atol=1e-3, rtol=0)
    # That is more than the picture of the person has.
    quarter = (..., slice(top // 4, top // 4 + 8), slice(left // 4, left // 4 + 8))
    blurred = torch.nn.functional.interpolate(small.raw[quarter], (32, 32), mode="bilinear")
    assert float((closely.raw - blurred).abs().mean()) > 10 * float((closely.raw - everything.raw[cut]).abs().mean())


def test_it_trains_and_both_loss_and_held_out_photos_are_measured_by_lpips(run, experiment, config):
    Trainer.start(experiment, alone()).run()
    result = run.publish()
    (row,) = (row for row in read_rows(result.folder.curve) if row["step"])
    assert row["head"] > 0
    assert row["hand"] == 0  # nobody shows one
    name = "lpips-alex-unmapped"
    assert {name, f"raw_{name}", "psnr_db", "ssim"} <= result.metrics.keys()
    assert not any("ms-ssim" in figure for figure in result.metrics)
    assert result.metrics[name] > 0
    assert f"{name} {result.metrics[name]:.4g}" in result.sentence
    with open(config.output.metrics, encoding="utf-8") as file:
        assert name in json.load(file)
    record = unpack(result.checkpoint.read_bytes(), "final")[1]["perceptual"]
    assert (record["name"], record["batch"]) == (name, "sum")
    assert set(record) >= {"backbone_sha256", "linear_sha256"}
    load_guava(result.checkpoint, experiment.objective().renderer.faces, NETWORK)  # nothing of LPIPS is left over


def test_an_evaluation_draws_no_more_pairs_at_once_than_a_step(experiment):
    objective, drawn = experiment.objective().eval(), []
    objective.renderer.nerual_refiner.register_forward_hook(lambda _module, inputs, _: drawn.append(len(inputs[0])))
    found = experiment.evaluate(objective, [experiment.validation.spread(2)], alone())
    assert drawn == [1, 1]
    assert found.figures["frames"] == 2


def test_what_lpips_costs_is_in_the_loss(experiment):
    objective = experiment.objective().eval()
    batch = experiment.training.find(0)[0]
    with torch.no_grad():
        total, terms = objective(batch)
        objective.loss = dataclasses.replace(objective.loss, perceptual=0.0)
        without, others = objective(batch)
        drawn = objective.draw(batch)
        known, target = batch.target.known, batch.target.picture
        distance = sum(float(objective.perceptual(each * known, target)) for each in (drawn.refined, drawn.raw))
    assert float(total) > float(without)
    weight = experiment.config.loss.perceptual
    added = sum(float(terms[name] - others[name]) for name in ("refined", "raw"))
    assert added == pytest.approx(weight * distance, rel=1e-4)


def test_without_the_files_lpips_is_refused_and_the_substitute_has_its_own_name(config):
    bare = dataclasses.replace(config, perceptual_backbone=None, perceptual_linear=None)
    with pytest.raises(ValueError, match=r"LPIPS needs torchvision's alexnet-owt-7be5be79\.pth"):
        prepare(bare)
    named = dataclasses.replace(bare, loss=dataclasses.replace(bare.loss, term=PerceptualConfig()))
    objective = open_experiment(prepare(named).folder.request).objective()
    assert objective.perceptual.record["name"] == "ms-ssim"
    assert open_plan(named).run_hash != open_plan(config).run_hash

"""The published recipes run from end to end; only sizes, lengths and places are others."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from flows.run.training import run_training
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.networks.sizes import ViTConfig
from model.networks.vit import ViT
from model.regressor.checkpoint import load_regressor
from model.regressor.config import RegressorConfig
from model.regressor.mean_parameters import neutral
from tasks.synthetic.person import SyntheticConfig
from tasks.synthetic.render import synthesise
from tasks.training.regressor.request import prepare
from tasks.training.regressor.settings import load_train_config

ROOT = Path(__file__).resolve().parents[3]
SMALL = {"size": "", "width": 32, "depth": 2, "heads": 2}
LOSS = {"params.train-paper.yaml": {"min_score": 0.7, "face_3d": 0.0}, "params.train-hmr2.yaml": {"betas": 5e-4}}


def write_backbone(path: Path) -> None:
    """Random weights in ViTPose's format, with the keypoint head that nobody wants."""
    network = ViT(ViTConfig(width=SMALL["width"], depth=SMALL["depth"], heads=SMALL["heads"]))
    network.initialise()
    state = {f"backbone.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"state_dict": state | {"keypoint_head.final_layer.bias": torch.zeros(17)}}, path)


def write_mean(path: Path) -> None:
    """The file of SPIN: rotations row by row."""
    columns = neutral(RegressorConfig())["pose"][:24].unflatten(1, (2, 3))
    np.savez(path, pose=columns.mT.flatten().numpy(), shape=np.zeros(10, np.float32), cam=np.array([0.9, 0.0, 0.0]))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("preset", sorted(LOSS))
def test_the_recipe_trains(preset: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / preset, tmp_path / preset)
    stated = load_train_config(tmp_path / preset)
    (tmp_path / "licensed").mkdir()
    assert stated.backbone_weights is not None
    write_backbone(Path(stated.backbone_weights))
    write_mean(Path(stated.mean))
    body, sets = EHMs(dataclasses.replace(load_open_body(), fusion=stated.body_model.fusion)), {}
    for seed, split in enumerate(("train", "val")):
        people = SyntheticConfig(count=6, seed=seed, image_width=96, image_height=128, supersample=1)
        found = synthesise(tmp_path / split, people, body, split=split)
        sets[split] = [{"path": found.path, "images": found.images}]
    config = load_train_config(
        tmp_path / preset,
        {
            "datasets": sets["train"], "validation": sets["val"], "validation_share": 0, "body_model.path": None,
            "network.backbone": SMALL,
            "network.num_betas": 10, "network.num_flame_shape": 10, "network.num_expression": 10,
            "steps": 3, "every.log": 1, "run.processes": 2, "run.batch_size": 2, "run.device": "cpu",
            "run.loader_workers": 1, "filter.min_box_px": 0,
        },
    )  # fmt: skip
    result = run_training(lambda: prepare(config), logging.getLogger("test"))
    assert result.metrics["step"] == 3
    assert result.metrics["people"] >= 4
    network, meta = load_regressor(result.checkpoint.read_bytes(), source="x")
    learnt = json.loads(json.dumps(meta.training))
    assert learnt["optimiser"]["lr"] == 1e-5
    assert learnt["loss"].items() >= LOSS[preset].items()
    start = torch.load(stated.backbone_weights, weights_only=True)["state_dict"]
    moved = network.backbone.get_parameter("blocks.1.mlp.fc2.weight") - start["backbone.blocks.1.mlp.fc2.weight"]
    assert 0 < float(moved.detach().abs().max()) < 1e-3  # it began with those weights and took small steps

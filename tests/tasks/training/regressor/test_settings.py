"""Settings of a training: presets load, mistakes end in a sentence, what decides a run is told from what does not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from datasets_manifest.manifest import load_manifest, manifest_ids
from datasets_manifest.settings import read_sections
from tasks.annotate.settings import AnnotateConfig
from tasks.setting_rows import setting_rows
from tasks.training.engine.config import from_plain, to_plain
from tasks.training.regressor.settings import TrainConfig, load_train_config

ROOT = Path(__file__).resolve().parents[4]
PRESETS = (
    "params.train.yaml",
    "params.train-tiny.yaml",
    "params.train-face.yaml",
    "params.train-paper.yaml",
    "params.train-hmr2.yaml",
    "params.train-part1.yaml",
    "params.train-part1-2.yaml",
)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_loads_and_comes_back_from_json(name: str) -> None:
    config = load_train_config(ROOT / name)
    assert from_plain(json.loads(json.dumps(to_plain(config))), TrainConfig) == config


def test_the_papers_preset_states_the_papers_figures() -> None:
    config = load_train_config(ROOT / "params.train-paper.yaml")
    assert (config.steps, config.run.batch_size, config.run.processes) == (200_000, 40, 8)
    assert (config.optimiser.lr, config.optimiser.weight_decay, config.network.vit.width) == (1e-5, 1e-4, 768)
    loss = config.loss
    assert (loss.body_3d, loss.body_2d, loss.body_pose, loss.flame_shape) == (0.05, 0.01, 0.001, 0.001)
    assert (loss.global_orient, loss.min_score, loss.face_form, loss.face_3d, loss.hand_3d) == (0, 0.7, 0, 0, 0)
    assert config.optimiser.clip_norm is None
    assert config.body_model.fusion == "paper"
    assert loss.unseen == 0


@pytest.mark.parametrize(
    ("name", "parts"), [("params.train-part1.yaml", ("part 1",)), ("params.train-part1-2.yaml", ("part 1", "part 2"))]
)
def test_the_recipes_of_the_papers_parts_name_the_data_sets_of_the_parts(name: str, parts: tuple[str, ...]) -> None:
    """The rest is the paper's preset; a data set lies where its manifest says."""
    config, paper = load_train_config(ROOT / name), load_train_config(ROOT / "params.train-paper.yaml")
    same = {"datasets": paper.datasets, "validation": (), "validation_share": paper.validation_share}
    assert dataclasses.replace(config, **same) == paper
    assert [Path(entry.path).name for entry in config.validation] == ["coco_wholebody_val"]
    stated = {Path(entry.path).name: entry for entry in config.datasets}
    manifests = {name: load_manifest(name) for name in manifest_ids()}
    # Photos of one that is named, with other people's labels, and its videos as they are distributed.
    others = {"sam3d_body", "human36m_views", "mpi_inf_3dhp_views"}
    assert stated.keys() >= {manifest.id for manifest in manifests.values() if manifest.part in parts} - others
    for own in (manifests[name] for name in stated if name in manifests):
        assert own.part in parts
        assert not own.never_train
        assert Path(stated[own.id].images) == ROOT / own.root


def test_hmr2s_preset_states_hmr2s_figures() -> None:
    config = load_train_config(ROOT / "params.train-hmr2.yaml")
    loss, augment = config.loss, config.augment
    assert (loss.body_3d, loss.body_2d, loss.body_pose, loss.betas, loss.face_form) == (0.05, 0.01, 0.001, 0.0005, 0)
    assert loss.unseen == 0
    assert (augment.scale, augment.rotation_deg, augment.rotation_share, augment.flip_share) == (0.3, 30.0, 0.6, 0.5)


@pytest.mark.parametrize("name", ["params.yaml", "params.paper.yaml", *PRESETS])
def test_a_preset_does_not_restate_defaults(name: str) -> None:
    ((section, stated),) = read_sections(ROOT / name).items()
    config = {"annotate": AnnotateConfig, "train": TrainConfig}[section]
    rows = {row.name: row.value for row in setting_rows(config)}
    kept = {"datasets", "body_model.path", "keypoints.backend", "body.backend", "hands.backend", "face.backend"}
    restated = [name for name, value in _leaves(stated) if name in rows and name not in kept and rows[name] == value]
    assert restated == []


def _leaves(values: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, tuple(value) if isinstance(value, list) else value


def test_places_are_relative_to_the_file(tmp_path: Path) -> None:
    stated = {"datasets": [{"path": "labels/a", "images": "photos"}], "backbone_weights": "vit.pth"}
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({"train": stated}))
    config = load_train_config(tmp_path / "p.yaml")
    assert config.datasets[0].path == str(tmp_path / "labels/a")
    assert config.backbone_weights == str(tmp_path / "vit.pth")
    assert Path(config.output.metrics).is_relative_to(tmp_path)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"stepz": 3}, "unknown setting stepz"),
        ({"steps": 0}, "steps: expected more than 0, got 0"),
        ({"optimiser.lr": -1.0}, "lr: expected more than 0, got -1.0"),
        ({"optimiser.schedule": "stepwise"}, "expected one of constant, cosine, linear, got 'stepwise'"),
        ({"precision": "fp8"}, "precision: expected one of fp32, tf32, bf16, got 'fp8'"),
        ({"synthetic.train": 0}, "nothing to learn from"),
        ({"datasets": [{"path": "a"}]}, r"datasets\[0\]\.images: is missing"),
        ({"datasets": [{"path": "a", "images": "b", "size": 3}]}, "unknown setting size"),
        ({"steps.more": 1}, "steps is a single value"),
        ({"seed": -1}, "seed: expected 0 or more, got -1"),
        ({"synthetic.seed": -1}, "seed: expected 0 or more, got -1"),
        ({"every.log": 0}, "log: expected more than 0, got 0"),
        ({"backbone_weights": 3}, "backbone_weights: expected a text .*, got 3"),
        ({"body_model.path": 3}, "body_model.path: expected a text .*, got 3"),
        ({"backbone_image_px": 256}, "backbone_image_px: expected a list, got 256"),
        ({"backbone_image_px": [256]}, r"backbone_image_px: expected a list of 2, got \[256\]"),
        ({"backbone_expert": "three"}, "backbone_expert: expected a whole number, got 'three'"),
        ({"backbone_expert": 3}, "backbone_expert: says how to read backbone_weights, which are not given"),
        ({"regressor_weights": "a", "mean": "neutral"}, "regressor_weights: bring backbone and mean with them"),
        ({"regressor_weights": "a", "backbone_weights": "b"}, "regressor_weights: bring backbone and mean with them"),
        ({"synthetic.crop_shares": [1.0]}, r"crop_shares: expected a list of 6, got \[1.0\]"),
        ({"optimiser.betas": ["a", "b"]}, r"betas\[0\]: expected a number, got 'a'"),
    ],
)
def test_a_mistake_ends_in_a_sentence(overrides: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load_train_config(ROOT / "params.train.yaml", overrides)


def test_a_file_of_the_annotation_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold one section, `train:`"):
        load_train_config(ROOT / "params.yaml")


def test_no_rendered_people_are_asked_for_by_null() -> None:
    own = [{"path": "labels", "images": "photos"}]
    config = load_train_config(ROOT / "params.train.yaml", {"synthetic": None, "datasets": own})
    assert (config.synthetic.train, config.synthetic.validation) == (0, 0)
    with pytest.raises(ValueError, match="nothing to learn from; name a folder of labels"):
        load_train_config(ROOT / "params.train.yaml", {"synthetic": None})


def test_spreading_the_same_batch_over_processes_is_the_same_run() -> None:
    one = _config(run={"processes": 1, "batch_size": 8})
    two = _config(run={"processes": 2, "batch_size": 4, "loader_workers": 0})
    assert one.deciding() == two.deciding()
    assert one.deciding() != _config(run={"processes": 2, "batch_size": 8}).deciding()


def test_where_blocks_are_dropped_each_process_draws_its_own_so_the_spread_decides() -> None:
    network = {"backbone": {"drop_path": 0.1}}
    one = _config(run={"processes": 1, "batch_size": 8}, network=network)
    two = _config(run={"processes": 2, "batch_size": 4}, network=network)
    assert one.deciding() != two.deciding()


def test_a_constant_rate_lets_a_run_be_made_longer_and_a_cosine_does_not() -> None:
    for schedule, same in (("constant", True), ("cosine", False)):
        short, long = (_config(steps=steps, optimiser={"schedule": schedule}) for steps in (10, 20))
        assert (short.deciding() == long.deciding()) is same


def test_every_setting_that_decides_is_in_the_hash() -> None:
    base = _config()
    changed = [
        dataclasses.replace(base, seed=5),
        dataclasses.replace(base, ema_decay=0.5),
        dataclasses.replace(base, precision="bf16"),
        dataclasses.replace(base, token_keypoints=1.0),
        dataclasses.replace(base, loss=dataclasses.replace(base.loss, betas=0.7)),
        dataclasses.replace(base, augment=dataclasses.replace(base.augment, scale=0.01)),
    ]
    assert all(config.deciding() != base.deciding() for config in changed)


def test_a_run_that_was_begun_without_the_term_of_what_is_not_seen_goes_on() -> None:
    with_it, without_it = _config(loss={"unseen": 0.02}), _config()
    assert with_it.deciding() != without_it.deciding()
    assert "unseen" not in without_it.deciding()["loss"]


def _config(**values: object) -> TrainConfig:
    return from_plain({"datasets": [{"path": "a", "images": "b"}], **values}, TrainConfig)

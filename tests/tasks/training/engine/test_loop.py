"""The loop: it learns, stops at once at what is not finite, and goes on exactly where it was."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from training_rig import Killed, NoiseExperiment, alone, noise_plan, random_batch

from model.regressor.checkpoint import load_regressor
from model.tensor_file import unpack
from tasks.training.engine.checkpoints import list_states, save_state
from tasks.training.engine.curves import read_rows
from tasks.training.engine.loop import Trainer
from tasks.training.engine.not_finite import NotFinite
from tasks.training.regressor.publish import publish_run

STEPS = 7


def train(plan, **options):
    """Trains as a plan says on noise."""
    trainer = Trainer.start(NoiseExperiment(plan, **options), alone())
    trainer.run()
    return trainer


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.long
def test_a_run_that_was_broken_off_gives_the_numbers_of_one_that_was_not(tmp_path: Path) -> None:
    settings = {"steps": STEPS, "every": {"log": 3, "checkpoint": 2}, "token_keypoints": 0.5}
    network = {**noise_plan(tmp_path).config.network.to_dict()}
    network["backbone"] = {**network["backbone"], "drop_path": 0.5, "depth": 2}
    straight = noise_plan(tmp_path / "straight", network=network, **settings)
    train(straight)
    broken = noise_plan(tmp_path / "broken", network=network, **settings)
    with pytest.raises(Killed):
        train(broken, break_at=5)
    assert list_states(broken.folder.checkpoints)[-1][0] == 4
    train(broken)
    assert read_rows(broken.folder.curve) == read_rows(straight.folder.curve)
    states = [list_states(plan.folder.checkpoints)[-1][1].read_bytes() for plan in (straight, broken)]
    assert states[0] == states[1]
    assert straight.folder.final.read_bytes() == broken.folder.final.read_bytes()


@pytest.mark.long
def test_frozen_weights_are_neither_averaged_nor_kept_twice(tmp_path: Path) -> None:
    settings = {"steps": STEPS, "every": {"checkpoint": 2}, "optimiser": {"backbone_lr_share": 0.0, "lr": 1e-3}}
    straight, broken = (noise_plan(tmp_path / name, **settings) for name in ("straight", "broken"))
    first = NoiseExperiment(straight).objective().network.backbone.state_dict()
    trainer = train(straight)
    names = unpack(list_states(straight.folder.checkpoints)[-1][1].read_bytes(), "state")[0].keys()
    assert {name for name in names if "backbone." in name} == {f"module.network.backbone.{name}" for name in first}
    assert any(name.startswith("average.network.") for name in names)
    given, _ = load_regressor(straight.folder.final.read_bytes(), source="final")
    for network in (trainer.objective.network, given):
        assert all(torch.equal(value, first[name]) for name, value in network.backbone.state_dict().items())
    with pytest.raises(Killed):
        train(broken, break_at=5)
    train(broken)
    assert straight.folder.final.read_bytes() == broken.folder.final.read_bytes()


@pytest.mark.parametrize("clip_norm", [1e-3, None])
def test_gradients_are_scaled_down_or_left_alone(tmp_path: Path, clip_norm: float | None) -> None:
    trainer = Trainer.start(NoiseExperiment(noise_plan(tmp_path, optimiser={"clip_norm": clip_norm})), alone())
    stated = trainer._one_step(trainer.objective, random_batch(4, 3))["grad_norm"]
    gradients = [parameter.grad for parameter in trainer.objective.parameters() if parameter.grad is not None]
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
    assert stated > 1e-3
    assert norm == pytest.approx(clip_norm or stated, rel=1e-3)


@pytest.mark.long
def test_the_loss_of_one_batch_falls(tmp_path: Path) -> None:
    plan = noise_plan(tmp_path, steps=40, every={"log": 1}, optimiser={"lr": 3e-3}, token_keypoints=0.1)
    trainer = Trainer.start(NoiseExperiment(plan), alone())
    batch = random_batch(4, 3)
    trainer.objective.train()
    losses = [trainer._one_step(trainer.objective, batch)["loss"] for _ in range(40)]
    assert losses[-1] < 0.7 * losses[0]


def test_half_precision_is_in_the_backbone_alone(tmp_path: Path) -> None:
    batch, found = random_batch(4, 3), {}
    for precision in ("fp32", "bf16"):
        plan = noise_plan(tmp_path, precision=precision)
        trainer = Trainer.start(NoiseExperiment(plan), alone())
        loss, _ = trainer.objective.eval()(batch)
        loss.backward()
        found[precision] = loss.detach()
        assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in trainer.objective.network.parameters())
    assert found["bf16"] != found["fp32"]
    torch.testing.assert_close(found["bf16"], found["fp32"], rtol=1e-2, atol=0)


def test_what_is_not_finite_stops_at_once_and_names_the_person(tmp_path: Path) -> None:
    plan = noise_plan(tmp_path, steps=STEPS)
    with pytest.raises(NotFinite, match=r"step 5: loss, betas, .*because of noise/all/1004_1#0;") as stopped:
        train(plan, spoil_at=4)
    assert "noise/all/1004_0" not in str(stopped.value)
    assert [row["step"] for row in read_rows(plan.folder.curve)] == [1, 2, 3, 4]
    assert list_states(plan.folder.checkpoints)[-1][0] == 4
    assert not plan.folder.summary.exists()


def test_a_gradient_that_is_not_finite_changes_no_weight(tmp_path: Path) -> None:
    plan = noise_plan(tmp_path, steps=STEPS)
    trainer = Trainer.start(NoiseExperiment(plan), alone())
    weight = trainer.objective.network.smplx_head.betas.linear.weight
    weight.register_hook(lambda gradient: gradient * float("inf"))
    before = weight.detach().clone()
    with pytest.raises(NotFinite, match=r"step 1: grad_norm not finite, in a batch of noise/all/3_0#0, "):
        trainer._one_step(trainer.objective, random_batch(4, 3))
    assert torch.equal(weight.detach(), before)
    assert trainer.step == 0


def test_a_run_that_goes_on_remembers_the_photos_that_could_not_be_used(tmp_path: Path) -> None:
    plan = noise_plan(tmp_path, steps=STEPS, max_broken_share=0.3)
    broken_at = {0: "noise/a#0", 4: "noise/b#0", 16: "noise/c#0", 24: "noise/d#0"}
    with pytest.raises(Killed):
        train(plan, broken_at=broken_at, break_at=5)
    with pytest.raises(ValueError, match=r"^4 of 10 rows have photos that cannot be used, allowed are 3; .*noise/d#0"):
        train(plan, broken_at=broken_at)
    del broken_at[24]
    train(plan, broken_at=broken_at)
    summary = json.loads(plan.folder.summary.read_text())
    assert summary["replaced_people"] == ["noise/a#0", "noise/b#0", "noise/c#0"]


@pytest.mark.long
def test_a_network_can_be_had_before_the_run_has_finished(tmp_path: Path) -> None:
    """After each evaluation, with everything that the finished one says of itself; then that one takes its place."""
    plan = noise_plan(tmp_path, steps=STEPS, every={"log": 1, "checkpoint": 2, "evaluate": 3})
    with pytest.raises(Killed):
        train(plan, break_at=5)
    assert not plan.folder.final.exists()
    _, early = load_regressor(plan.folder.newest.read_bytes(), source="newest")
    assert (early.step, early.metrics["step"], early.metrics["people"]) == (3, 3, 8)
    train(plan)
    assert not plan.folder.newest.exists()
    _, last = load_regressor(plan.folder.final.read_bytes(), source="final")
    assert last.step == STEPS
    assert early.training == last.training
    assert early.body_model == last.body_model


def test_only_the_newest_states_are_kept(tmp_path: Path) -> None:
    plan = noise_plan(tmp_path, steps=6, every={"checkpoint": 1, "keep": 2, "log": 6})
    train(plan)
    assert [step for step, _ in list_states(plan.folder.checkpoints)] == [5, 6]
    assert not list(plan.folder.checkpoints.glob("*.partial"))


def test_a_state_of_another_run_is_refused(tmp_path: Path) -> None:
    plan = noise_plan(tmp_path, steps=2)
    trainer = Trainer.start(NoiseExperiment(plan), alone())
    save_state(plan.folder.checkpoints, trainer.trained, step=2, run_hash="f" * 64, meter=trainer.meter, keep=1)
    with pytest.raises(ValueError, match="the state of another run"):
        Trainer.start(NoiseExperiment(plan), alone())


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    plan = noise_plan(tmp_path, steps=2)
    train(plan)
    path = list_states(plan.folder.checkpoints)[-1][1]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="no safetensors file or is cut short"):
        Trainer.start(NoiseExperiment(plan), alone())


@pytest.mark.long
def test_a_finished_run_gives_out_its_average_with_metadata_curves_and_pictures(tmp_path: Path) -> None:
    plan = noise_plan(tmp_path, steps=3, every={"log": 1, "evaluate": 2, "pictures": 3}, ema_decay=0.9)
    trainer = train(plan, draws=True)
    result = publish_run(plan.folder, plan.config.output)
    network, meta = load_regressor(result.checkpoint.read_bytes(), source="final")
    average = trainer.trained.average.tensors
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, average[f"network.{name}"])
    assert not torch.equal(
        network.smplx_head.pose.linear.weight, trainer.objective.network.smplx_head.pose.linear.weight
    )
    assert meta.step == 3
    assert meta.training["global_batch"] == 4
    assert [own["snapshot_hash"] for own in meta.training["labels"]] == list(meta.snapshot_hashes)
    assert all(own["people"] > 0 for own in meta.training["labels"])
    assert [row["step"] for row in read_rows(plan.folder.evaluations)] == [2, 3]
    assert meta.metrics["pa_mpjpe_mm"] > 0
    assert meta.metrics["mean_pose_pa_mpjpe_mm"] > 0
    assert "what the mean pose gives: PA-MPJPE of the body " in result.sentence
    assert result.overlays is not None
    assert result.overlays.read_bytes().startswith(b"\x89PNG")
    assert Path(plan.config.output.curve).read_text().startswith("step,lr,loss,")
    held_out = pd.read_parquet(plan.config.output.held_out)
    assert held_out.pa_mpjpe_mm.mean() == pytest.approx(meta.metrics["pa_mpjpe_mm"], abs=1e-3)


def test_an_unfinished_run_is_not_published(tmp_path: Path) -> None:
    plan = noise_plan(tmp_path, steps=3)
    with pytest.raises(ValueError, match="has not finished"):
        publish_run(plan.folder, plan.config.output)

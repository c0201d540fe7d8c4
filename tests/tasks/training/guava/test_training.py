"""GUAVA's renderer is trained on: pairs, steps, results."""

import dataclasses
import io
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from guava_rig import FRAMES, NETWORK, guava_config, write_clips
from training_rig import alone

from model.body.ehms import EHMs
from model.imaging.camera import project
from model.renderer.guava.body import guava_body
from model.renderer.guava.checkpoint import load_guava
from tasks.body_model import ehm_assets
from tasks.training.engine.checkpoints import list_states
from tasks.training.engine.curves import read_rows
from tasks.training.engine.loop import Trainer
from tasks.training.engine.optimiser import build_optimiser
from tasks.training.guava.experiment import GuavaExperiment, open_experiment
from tasks.training.guava.pairs import FramePairs
from tasks.training.guava.request import open_plan, prepare
from tasks.training.guava.same_person import SamePerson

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("plain_curves")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("guava")


@pytest.fixture(scope="module")
def config(folder):
    return guava_config(folder)


@pytest.fixture(scope="module")
def plan(config):
    return open_plan(config)


@pytest.fixture(scope="module")
def trained(config, plain_curves):
    """The result of a whole training, as the flow makes one."""
    prepared = prepare(config)
    Trainer.start(open_experiment(prepared.folder.request), alone()).run()
    return prepared.publish()


def pairs_of(plan, **options):
    stated = {"same": SamePerson(None), "source_px": 56, "target_px": 64, "seed": 1, "global_batch": 2}
    return FramePairs(plan.training, **stated | options)


def test_a_frame_is_drawn_from_another_frame_of_the_same_clip(plan):
    pairs = pairs_of(plan, source_px=64)
    assert len(pairs) == 2 * FRAMES
    seen = set()
    for position in range(24):
        batch, broken = pairs.find(position)
        assert broken == ()
        assert int(batch.step) == position // 2
        seen.add(batch.sample_ids[0])
        assert not torch.equal(batch.source.rgb, batch.target.rgb)  # a frame is never its own source
    assert len(seen) == 2 * FRAMES


def test_views_of_one_moment_are_pairs_by_the_names_that_the_settings_state(config):
    views = dataclasses.replace(config, validation=(), same_person=r"\w+\.avi(::\d+)")
    plan = open_plan(views)
    assert "Of 6 of them there is another photo." in plan.lines()[0]
    assert plan.run_hash != open_plan(dataclasses.replace(config, validation=())).run_hash
    pairs = pairs_of(plan, same=SamePerson(views.same_person), source_px=64)
    for position in range(6):
        batch = pairs.find(position)[0]
        assert torch.equal(batch.source.rgb, batch.target.rgb)  # both clips show the same


def test_a_position_gives_the_same_pair_every_time(plan):
    first, again = (pairs_of(plan).find(7)[0] for _ in range(2))
    assert torch.equal(first.source.rgb, again.source.rgb)
    assert first.sample_ids == again.sample_ids


def test_held_out_frames_are_known_from_the_first_of_their_clip(plan):
    pairs = pairs_of(plan, shuffle=False)
    assert len(pairs) == 2 * (FRAMES - 1)
    found = [pairs.find(position)[0] for position in range(len(pairs))]
    assert [batch.sample_ids[0][-8:] for batch in found] == ["000001#0", "000002#0"] * 2
    assert torch.equal(found[0].source.rgb, found[1].source.rgb)


def test_the_camera_is_that_of_the_crop(plan, config):
    batch = pairs_of(plan).find(0)[0]
    body = EHMs(guava_body(ehm_assets(config.body_model)), config.coefficients)
    with torch.no_grad():
        vertices, _ = body.posed_surface(batch.target.people)
    seen = project(vertices, batch.target.camera)[0]
    # The square around the box of 50 x 56 px, made 3 : 4 and 1.2 times as large, becomes 64 px.
    scale = 64 / (50 * 4 / 3 * 1.2)
    focal, principal = 170.0, torch.tensor([48.0, 32.0])
    in_photo = vertices[0, :, :2] / vertices[0, :, 2:] * focal + principal
    assert torch.allclose(seen, (in_photo - torch.tensor([45.0, 32.0])) * scale + 32, atol=1e-2)


def test_what_is_not_known_and_what_is_not_the_person_is_black(plan):
    frames = pairs_of(plan).find(0)[0].target
    assert set(frames.known.unique().tolist()) == {False, True}
    assert float(frames.picture[~frames.known.expand(-1, 3, -1, -1)].abs().max()) == 0
    assert 0.3 < float(frames.mask.mean()) < 0.8


def test_people_together_in_a_clip_are_left_out(plan, folder, config):
    alone_, crowd = plan.training[0], write_clips(folder / "crowd", config.body_model, name="crowd", people=2)
    assert len(SamePerson(None).photos(alone_, first=False)) == 2 * FRAMES
    with pytest.raises(ValueError, match="no two photos with one person each are of one clip"):
        open_plan(dataclasses.replace(config, datasets=(crowd,)))


def test_a_frame_without_a_mask_gives_way_to_the_next(folder, config):
    lacking = write_clips(folder / "lacking", config.body_model, name="lacking")
    (folder / "lacking/masks/one.avi::000001.png").unlink()
    plan = open_plan(dataclasses.replace(config, datasets=(lacking,), validation=()))
    strict, patient = pairs_of(plan), pairs_of(plan, max_broken_share=0.5)
    found = [patient.find(position) for position in range(2 * FRAMES)]
    spoilt = next(position for position, (_, broken) in enumerate(found) if broken)
    with pytest.raises(ValueError, match=r"one\.avi::000001 has no mask in"):
        strict.find(spoilt)


def test_the_loss_falls(trained):
    losses = [row["loss"] for row in read_rows(trained.folder.curve)]
    assert np.mean(losses[-2:]) < 0.9 * np.mean(losses[:2])


def test_what_comes_out_is_a_renderer(trained, config):
    assert "held-out frames from another one" in trained.sentence
    faces = torch.from_numpy(guava_body(ehm_assets(config.body_model)).smplx.faces)
    found, _ = load_guava(trained.checkpoint, faces, NETWORK)
    begun, _ = load_guava(config.checkpoint, faces, NETWORK)
    changed = {name for name, tensor in found.state_dict().items() if not torch.equal(tensor, begun.state_dict()[name])}
    frozen = {name for name in found.state_dict() if name.startswith("dino_encoder.dino_model.")}
    assert not changed & frozen
    assert {"vertex_base_feature", "uv_base_feature", "nerual_refiner.conv_body_first.weight"} <= changed
    assert trained.metrics["frames"] == FRAMES - 1
    assert {"psnr_db", "ssim", "ms-ssim", "raw_psnr_db"} <= trained.metrics.keys()
    rows = pq.read_table(io.BytesIO(trained.folder.held_out.read_bytes())).to_pylist()
    assert [row["sample_id"][-8:] for row in rows] == ["000001#0", "000002#0"]
    assert trained.overlays.read_bytes().startswith(b"\x89PNG")
    assert "| psnr_db |" in trained.markdown


def test_the_learning_rate_falls_in_a_line_and_styles_learn_slower(trained, config):
    rates = [row["lr"] for row in read_rows(trained.folder.curve)]
    assert rates[-1] == pytest.approx(0.03 * config.optimiser.lr)
    assert np.allclose(np.diff(rates), rates[1] - rates[0])
    objective = open_experiment_of(config).objective()
    groups = build_optimiser(objective, config.optimiser).param_groups
    slow = {id(parameter) for group in groups if group["share"] == 0.1 for parameter in group["params"]}
    named = dict(objective.named_parameters())
    assert slow == {id(named[name]) for name in named if "style_mlp" in name or "final_linear" in name}


def open_experiment_of(config):
    return GuavaExperiment(open_plan(config))


def test_a_training_that_was_stopped_goes_on_to_the_same_bits(config, folder, trained):
    output = dataclasses.replace(config.output, runs=str(folder / "again"))
    prepared = prepare(dataclasses.replace(config, output=output))
    shutil.copytree(trained.folder.checkpoints, prepared.folder.checkpoints)
    *_, (_, newest) = list_states(prepared.folder.checkpoints)
    newest.unlink()
    Trainer.start(open_experiment(prepared.folder.request), alone()).run()
    assert prepared.folder.final.read_bytes() == trained.folder.final.read_bytes()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"datasets": ()}, "datasets: nothing to learn from"),
        ({"rasteriser": "gsplat"}, "gsplat draws by other conventions"),
        ({"same_person": "(actor"}, r"same_person: \(actor is no regular expression \(missing \)"),
    ],
)
def test_settings_that_make_no_sense_are_told(config, changes, said):
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(config, **changes)


def test_the_open_body_and_labels_without_masks_are_told(config):
    with pytest.raises(ValueError, match="body_model: GUAVA's networks know SMPL-X"):
        dataclasses.replace(config, body_model=type(config.body_model)())
    bare = dataclasses.replace(config.datasets[0], masks=None)
    with pytest.raises(ValueError, match=r"datasets\[0\]\.masks"):
        dataclasses.replace(config, datasets=(bare,))

"""The program of stage 2: what it tells of arms that are there, and its parts on a few faces."""

import json
from types import SimpleNamespace

import pytest
import torch
from open_renderers import photometric, picture_of

from benchmarks.stage2 import report
from benchmarks.stage2_faces import biased, exact, jaw_of, numbers_of, said_of
from benchmarks.stage2_joint import best_fit, learnt_along
from benchmarks.stage2_training import BATCH, batches
from model.body.parameters import EhmParameters
from model.body.skeleton import HEAD, PELVIS
from model.renderer.part_windows import part_window
from model.rotations import rotvec_to_rotmat

pytestmark = pytest.mark.long


def write(folder, seed, arm, after):
    result = {"before": {"jaw_rad": [0.3, 0.3]}, "after": {"jaw_rad": after}}
    names = ("lips_mm", "face_mm", "scale_percent")
    result = {part: values | dict.fromkeys(names, values["jaw_rad"]) for part, values in result.items()}
    (folder / f"seed{seed}-{arm}.json").write_text(json.dumps(result))


def test_the_report_pairs_arms_of_one_seed_person_by_person(tmp_path):
    for seed, gain in ((0, 0.02), (1, 0.04)):
        write(tmp_path, seed, "labels", [0.2, 0.4])
        write(tmp_path, seed, "pictures", [0.2 - gain, 0.4 - gain])
    write(tmp_path, 2, "pictures", [0.0, 0.0])  # its counterpart is not there yet
    row = next(line for line in report(tmp_path).splitlines() if "pictures: jaw_rad" in line)
    assert row == "| pictures: jaw_rad | 2 | 0.3 | 0.3 | 0.27 | -0.03 (0; 0.01) | -10% |"
    assert "refined" not in report(tmp_path)


def test_all_faces_come_equally_often_and_the_same_for_every_arm():
    steps = batches(2 * BATCH, 8, seed=1)
    assert torch.cat(steps).bincount().tolist() == [4] * (2 * BATCH)
    assert all(torch.equal(a, b) for a, b in zip(steps, batches(2 * BATCH, 8, seed=1), strict=True))


def test_numbers_say_the_people_again_and_labels_have_the_bias():
    jaw = torch.tensor([0.05, 0.2, 0.4])
    people = EhmParameters.neutral(
        3, jaw_pose=rotvec_to_rotmat(torch.nn.functional.pad(jaw[:, None], (0, 2))),
        flame_expression=torch.linspace(-1, 1, 30).view(3, 10),
        head_scale=torch.tensor([0.9, 1.0, 1.1])[:, None].expand(3, 3),
    )  # fmt: skip
    again = said_of(people, numbers_of(people, jaw_of(people)))
    for name in ("jaw_pose", "flame_expression", "head_scale"):
        assert torch.allclose(getattr(again, name), getattr(people, name), atol=1e-6), name
    open_mouth = rotvec_to_rotmat(torch.tensor([0.2, 0.0, 0.0])).expand(4000, 3, 3)
    many = EhmParameters.neutral(4000, jaw_pose=open_mouth, flame_expression=torch.ones(4000, 10))
    said = said_of(many, biased(many))
    assert said.head_scale.log().mean() == pytest.approx(0.04, abs=0.004)
    assert said.flame_expression.mean() == pytest.approx(0.5, abs=0.01)
    assert 0 < jaw_of(said).mean() < 0.15


def test_a_renderer_that_learns_along_says_that_heads_which_are_too_large_are_right(monkeypatch):
    """Why stage 2 does not train it along: the frozen one says the truth."""
    monkeypatch.setattr("benchmarks.stage2_training.BATCH", 1)
    drawer = photometric(perceptual=0.0)
    people = EhmParameters.neutral(1, global_orient=torch.diag(torch.tensor([1.0, -1.0, -1.0]))[None])
    joints = drawer.body(people).joints
    camera = torch.cat([torch.full((1, 1), 6.0), (joints[:, PELVIS] - joints[:, HEAD])[:, :2]], 1)
    vertices, keypoints = drawer.pose(people, camera)
    window = part_window(torch.cat([keypoints[0], torch.ones(133, 1)], 1).numpy(), "head")
    photos = picture_of(drawer, vertices, torch.from_numpy(window)[None], 48)
    faces = SimpleNamespace(truth=people, photos=photos)
    world = SimpleNamespace(photometric=drawer, faces=faces, mesh=lambda people: drawer.pose(people, camera)[0])
    truth = exact(people)
    label = truth + torch.nn.functional.one_hot(torch.tensor([11]), 12) * 0.4  # heads 4 % too large
    assert best_fit(world, drawer, faces, truth, label) == [0.0]
    assert best_fit(world, learnt_along(world, label, steps=8), faces, truth, label) > 0.0

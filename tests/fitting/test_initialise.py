"""Starting points."""

from dataclasses import replace

import pytest
import torch
from toy_bodies import random_state

from fitting import initialise, so3
from fitting.inputs import Coarse
from fitting.settings import RefineConfig
from fitting.sparse_body import SparseBody
from model.imaging import camera
from model.imaging.camera import Camera

WRISTS = [20, 21]


def test_the_true_translation_is_found_among_outliers(open_body_f64: SparseBody) -> None:
    state = random_state(open_body_f64, 6)
    forward = open_body_f64.forward(state)
    view = Camera(focal_px=torch.full((6,), 1000.0).double(), principal_px=torch.full((6, 2), 500.0).double())
    keypoints = camera.project(forward.points_cam, view)
    keypoints[:, ::15] += 300
    precision = torch.full((6, 133), 0.5, dtype=torch.float64)
    precision[:, 1::10] = 0
    found = initialise.solve_translation(forward.points, keypoints, precision, view, rounds=20)
    assert (found - forward.translation).abs().max() < 0.02


def test_without_keypoints_the_translation_is_finite(open_body: SparseBody) -> None:
    forward = open_body.forward(random_state(open_body, 2))
    view = Camera(focal_px=torch.ones(2), principal_px=torch.zeros(2, 2))
    found = initialise.solve_translation(forward.points, torch.zeros(2, 133, 2), torch.zeros(2, 133), view)
    assert torch.isfinite(found).all()


def test_neutral_bodies_stand_upright_and_turn_in_equal_steps() -> None:
    roots, pose = initialise.neutral_body(8, torch.float64)
    up, forward = torch.tensor([0.0, 1.0, 0.0]).double(), torch.tensor([0.0, 0.0, 1.0]).double()
    assert torch.allclose(roots @ up, torch.tensor([0.0, -1.0, 0.0]).double().expand(8, 3))
    assert torch.allclose(roots[0] @ forward, torch.tensor([0.0, 0.0, -1.0]).double())
    steps = so3.angle_between(roots, roots.roll(1, 0))
    assert torch.allclose(steps, torch.full_like(steps, torch.pi / 4))
    assert pose.shape == (21, 3, 3)


def test_the_head_takes_the_orientation_of_the_face(open_body_f64: SparseBody) -> None:
    state = random_state(open_body_f64, 3)
    rotations = open_body_f64.forward(state).rotations
    wanted = rotations[:, 9] @ so3.exp(torch.tensor([0.3, -0.5, 0.2]).double())
    moved = initialise.with_head(open_body_f64, state, wanted, torch.tensor([True, True, False]), 1.3)
    after = open_body_f64.forward(moved).rotations[:, 15]
    assert so3.angle_between(after[:2], wanted[:2]).max() < 1e-9
    assert torch.equal(moved.body_pose[2], state.body_pose[2])
    neck, head = so3.log(moved.body_pose[0, 11]), so3.log(moved.body_pose[0, 14])
    assert torch.allclose(neck / 0.4, head / 0.6)


@pytest.mark.parametrize(("score", "taken"), [(0.9, True), (0.1, False), (float("nan"), True)])
def test_a_wrist_of_a_hand_with_a_low_score_is_not_taken(open_body: SparseBody, score: float, taken: bool) -> None:
    bent = so3.exp(torch.tensor([0.3, 0.0, 0.0]))
    coarse = Coarse.unknown(1)
    root, pose = initialise.neutral_body(1, torch.float32)
    rotations = open_body.global_rotations(torch.cat([root[:, None], pose[None], torch.eye(3).expand(1, 33, 3, 3)], 1))
    coarse = replace(
        coarse,
        global_orient=root,
        body_pose=pose[None],
        body_valid=torch.ones(1, dtype=torch.bool),
        hand_valid=torch.ones(1, 2, dtype=torch.bool),
        wrist_orient=rotations[:, WRISTS] @ bent,
        hand_score=torch.tensor([[score, 1.0]]),
    )
    state = initialise.start_state(open_body, coarse, torch.zeros(1, 6), RefineConfig())
    turned = so3.angle_between(state.body_pose[:, [19, 20]], pose[None, [19, 20]])[0]
    assert turned[1].item() == pytest.approx(0.3, abs=1e-4)
    assert turned[0].item() == pytest.approx(0.3 if taken else 0.0, abs=1e-3)


def test_a_wrist_is_taken_only_where_the_body_agrees(open_body_f64: SparseBody) -> None:
    state = random_state(open_body_f64, 1)
    rotations = open_body_f64.forward(state).rotations
    near = rotations[:, WRISTS] @ so3.exp(torch.tensor([0.2, 0.0, 0.0]).double())
    far = rotations[:, WRISTS] @ so3.exp(torch.tensor([2.0, 0.0, 0.0]).double())
    wanted = torch.stack([near[:, 0], far[:, 1]], 1)
    moved = initialise.with_wrists(open_body_f64, state, wanted, torch.ones(1, 2, dtype=torch.bool), 1.4, 3.0)
    after = open_body_f64.forward(moved).rotations[:, WRISTS]
    assert so3.angle_between(after[:, 0], near[:, 0]).max() < 1e-9
    assert torch.equal(moved.body_pose[:, 20], state.body_pose[:, 20])

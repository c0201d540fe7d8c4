"""Synthetic people: the switches of the start and of the annotation change what they say, and nothing else."""

import math
from dataclasses import replace

import pytest
import torch

from benchmarks.synthetic_people import (
    HARD_START,
    SURFACE_ANNOTATION,
    StudyConfig,
    SyntheticPeople,
    annotation_offset_m,
    make_people,
)
from fitting import so3
from fitting.sparse_body import SparseBody
from model.body.assets import load_open_body
from model.imaging import camera as pinhole

COUNT = 200
LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP = 5, 6, 11, 12


@pytest.fixture(scope="module")
def open_body() -> SparseBody:
    return SparseBody.from_assets(load_open_body())


@pytest.fixture(scope="module")
def easy(open_body: SparseBody) -> SyntheticPeople:
    return make_people(open_body, COUNT, seed=3)


@pytest.fixture(scope="module")
def hard(open_body: SparseBody) -> SyntheticPeople:
    return make_people(open_body, COUNT, seed=3, config=HARD_START)


def test_a_hard_start_has_the_same_people_and_keypoints(easy: SyntheticPeople, hard: SyntheticPeople) -> None:
    assert torch.equal(easy.observations.keypoints_px, hard.observations.keypoints_px)
    assert torch.equal(easy.truth.body_pose, hard.truth.body_pose)
    assert torch.equal(easy.coarse.hand_pose, hard.coarse.hand_pose)


def test_a_tenth_of_the_joints_is_30_to_70_degrees_further_off(easy: SyntheticPeople, hard: SyntheticPeople) -> None:
    degrees = torch.rad2deg(so3.angle_between(easy.coarse.body_pose, hard.coarse.body_pose))
    turned = degrees > 1
    assert turned.float().mean() == pytest.approx(0.1, abs=0.02)
    assert 29.9 < degrees[turned].min() < 35
    assert 65 < degrees[turned].max() < 70.1


def test_the_hard_root_is_turned_about_the_vertical(easy: SyntheticPeople, hard: SyntheticPeople) -> None:
    turn = torch.rad2deg(so3.log(hard.coarse.global_orient @ easy.coarse.global_orient.transpose(-1, -2)))
    assert turn[:, 1].std() == pytest.approx(25, rel=0.15)
    assert turn[:, [0, 2]].abs().max() < 0.1


def test_the_hard_start_states_a_depth_that_is_a_fifth_off(easy: SyntheticPeople, hard: SyntheticPeople) -> None:
    assert easy.coarse.transl_m is None
    assert hard.coarse.transl_m is not None
    wanted, stated = pinhole.position_to_transl(hard.truth.position), hard.coarse.transl_m
    assert torch.log(stated[:, 2] / wanted[:, 2]).std() == pytest.approx(0.2, rel=0.15)
    across = (pinhole.transl_to_position(stated) - hard.truth.position)[:, :2] * wanted[:, 2:]
    assert across.std() == pytest.approx(0.03, rel=0.15)


def test_marks_on_the_surface_move_hips_and_shoulders_alone(open_body: SparseBody, easy: SyntheticPeople) -> None:
    marked = make_people(open_body, COUNT, seed=3, config=SURFACE_ANNOTATION)
    assert torch.equal(marked.clean_px, easy.clean_px)
    moved = (marked.observations.keypoints_px - easy.observations.keypoints_px).norm(dim=-1).amax(0)
    assert set(torch.nonzero(moved > 0.01).flatten().tolist()) == {LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP}


def test_marks_are_mirror_images_in_the_rest_pose() -> None:
    rest = torch.eye(3).expand(1, 55, 3, 3)
    config = StudyConfig(hip_offset_m=(0.02, 0.04, 0.01), shoulder_offset_m=(0.01, 0.03, 0.0))
    offset = annotation_offset_m(rest, config)[0]
    torch.testing.assert_close(offset[LEFT_HIP], torch.tensor([0.02, 0.04, 0.01]))
    torch.testing.assert_close(offset[RIGHT_HIP], torch.tensor([-0.02, 0.04, 0.01]))
    torch.testing.assert_close(offset[RIGHT_SHOULDER], torch.tensor([-0.01, 0.03, 0.0]))


def test_marks_turn_with_the_body() -> None:
    turn = so3.exp(torch.tensor([[0.3, -0.8, 0.4]]))
    rest = torch.eye(3).expand(1, 55, 3, 3)
    straight = annotation_offset_m(rest, SURFACE_ANNOTATION)
    turned = annotation_offset_m(turn[:, None] @ rest, SURFACE_ANNOTATION)
    torch.testing.assert_close(turned, straight @ turn.transpose(-1, -2))


def test_people_may_differ_in_where_they_are_marked(open_body: SparseBody, easy: SyntheticPeople) -> None:
    config = replace(SURFACE_ANNOTATION, offset_spread=0.5)
    one = make_people(open_body, COUNT, seed=3, config=SURFACE_ANNOTATION).observations.keypoints_px
    many = make_people(open_body, COUNT, seed=3, config=config).observations.keypoints_px
    start = easy.observations.keypoints_px
    ratio = (many - start)[:, LEFT_HIP].norm(dim=-1) / (one - start)[:, LEFT_HIP].norm(dim=-1)
    assert 0.3 < ratio.std() < 0.7
    assert math.isclose(ratio.mean(), 1, abs_tol=0.15)


def test_a_share_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match="wrong_joint_share"):
        StudyConfig(wrong_joint_share=1.5)

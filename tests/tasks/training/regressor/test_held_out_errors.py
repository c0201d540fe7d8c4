"""What held-out people are measured with: oracles from the whole body, and what must not change a figure."""

import dataclasses
import io

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.transform import Rotation
from training_rig import TINY, alone, random_batch, random_parameters

from model.body import skeleton
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.flame import FLAME
from model.regressor.mean_parameters import neutral
from model.regressor.network import EhmRegressor
from tasks.training.regressor.evaluation import (
    ERRORS,
    MEASURES,
    Errors,
    Evaluator,
    HeldOut,
    evaluate,
    joined,
    mean_people,
    summarise,
)

COUNT = 4
GENERATOR_SEED = 5


@pytest.fixture(scope="module")
def assets():
    return load_open_body()


@pytest.fixture(scope="module")
def evaluator(assets):
    return Evaluator(assets, TINY, neutral(TINY))


@pytest.fixture
def batch():
    """People of whom everything is known."""
    people = random_batch(COUNT, 3)
    known = torch.ones(COUNT, dtype=torch.bool)
    flags = ("body_valid", "left_hand_valid", "right_hand_valid", "face_valid")
    return dataclasses.replace(people, **dict.fromkeys(flags, known))


@pytest.fixture
def said():
    return random_parameters(COUNT, torch.Generator().manual_seed(GENERATOR_SEED))


def turned(rotations, angle_rad):
    turn = Rotation.from_rotvec([0.0, angle_rad, 0.0]).as_matrix()
    return torch.from_numpy(turn).float() @ rotations


def aligned_distance_mm(found, known):
    """Mean distance after the best similarity, whose rotation is scipy's."""
    found, known = (np.asarray(points, np.float64) - points.mean(0) for points in (found, known))
    turn, _ = Rotation.align_vectors(known, found)
    rotated = turn.apply(found)
    return 1e3 * np.linalg.norm(rotated * (rotated * known).sum() / (rotated**2).sum() - known, axis=1).mean()


def test_the_truth_has_no_error(evaluator, batch):
    values = evaluator.errors(batch.target, batch).values
    for name in ERRORS:
        assert np.abs(values[name]).max() < 0.05, name  # float32: 0.05 degrees, 0.05 mm


def test_errors_are_those_of_the_whole_body(assets, evaluator, batch, said):
    found = evaluator.errors(said, batch)
    body = EHMs(assets)
    ours, theirs = (body(people) for people in (said, batch.target))
    for k in range(COUNT):
        joints = [out.joints[k, :22].numpy() for out in (ours, theirs)]
        assert found.values["pa_mpjpe_mm"][k] == pytest.approx(aligned_distance_mm(*joints), rel=1e-3)
        centred = joints[0] - joints[0][0], joints[1] - joints[1][0]
        expected = 1e3 * np.linalg.norm(centred[0] - centred[1], axis=1).mean()
        assert found.values["mpjpe_mm"][k] == pytest.approx(expected, rel=1e-3)
        for column, side in enumerate(("left", "right")):
            hand = [out.vertices[k, assets.hand_vertex_ids[side]].numpy() for out in (ours, theirs)]
            assert found.values["hand_pa_pve_mm"][k, column] == pytest.approx(aligned_distance_mm(*hand), rel=1e-3)
        heads = (out.vertices[k, assets.head_vertex_ids] - out.joints[k, 23:25].mean(0) for out in (ours, theirs))
        expected = 1e3 * float(torch.sub(*heads).norm(dim=-1).mean())
        assert found.values["head_posed_mm"][k] == pytest.approx(expected, rel=1e-3)


def test_head_errors_are_flame_s(assets, evaluator, batch, said):
    flame = FLAME(assets.flame, num_betas=TINY.num_flame_shape, num_expression=TINY.num_expression)
    heads = []
    for people in (said, batch.target):
        out = flame(
            betas=people.flame_shape,
            expression=people.flame_expression,
            jaw_pose=people.jaw_pose,
            eye_pose=people.eye_pose,
            eyelids=people.eyelids,
        )
        heads.append((out.vertices - out.joints[:, 3:5].mean(1, keepdim=True), people.head_scale[:, None]))
    (ours, our_scale), (theirs, their_scale) = heads
    found = evaluator.errors(said, batch).values
    for name, difference in (
        ("head_canonical_mm", ours - theirs),
        ("head_scaled_mm", ours * our_scale - theirs * their_scale),
    ):
        np.testing.assert_allclose(found[name], 1e3 * difference.norm(dim=-1).mean(1), rtol=1e-4)
    lips = np.isin(assets.head_vertex_ids, np.flatnonzero(assets.regions["lips"]))
    assert 50 < lips.sum() < 1000
    np.testing.assert_allclose(found["lip_max_mm"], 1e3 * (ours - theirs)[:, lips].norm(dim=-1).amax(1), rtol=1e-4)
    assert np.array_equal(found["lve_m2"], (1e-3 * found["lip_max_mm"]) ** 2)
    aligned = [aligned_distance_mm(ours[k].numpy(), theirs[k].numpy()) for k in range(COUNT)]
    np.testing.assert_allclose(found["head_pa_mm"], aligned, rtol=1e-3)


def test_the_size_of_a_head_does_not_change_the_form_of_its_face(evaluator, batch):
    """`head_pa_mm` is what a picture of a face can show; the head's scale and turn are not in it."""
    bigger = dataclasses.replace(batch.target, head_scale=batch.target.head_scale * 1.2)
    found = evaluator.errors(bigger, batch).values
    assert found["head_pa_mm"].max() < 0.05
    assert found["head_scaled_mm"].min() > 5.0
    assert found["head_posed_mm"].min() > 5.0


def test_each_figure_sees_its_own_part_only(evaluator, batch, said):
    def errors_of(**changes):
        values = evaluator.errors(dataclasses.replace(batch.target, **changes), batch).values
        return {name for name in ERRORS if np.max(values[name]) > (1e-8 if name == "lve_m2" else 0.1)}

    knees = batch.target.body_pose.clone()
    knees[:, 3:5] = said.body_pose[:, 3:5]
    assert errors_of(body_pose=knees) == {"mpjpe_mm", "pa_mpjpe_mm"}
    head = {"head_scaled_mm", "head_canonical_mm", "head_posed_mm", "head_pa_mm", "lip_max_mm", "lve_m2"}
    assert errors_of(head_scale=said.head_scale) == {"head_scaled_mm", "head_posed_mm"}
    assert errors_of(jaw_pose=said.jaw_pose) == head
    turn = turned(batch.target.global_orient, 0.3)
    assert errors_of(global_orient=turn) == {"mpjpe_mm", "orient_deg", "head_posed_mm"}
    assert errors_of(head_orient=said.head_orient) == set()
    left = evaluator.errors(dataclasses.replace(batch.target, left_hand_pose=said.left_hand_pose), batch).values
    assert left["hand_pa_pve_mm"][:, 0].min() > 0.5
    assert left["hand_pa_pve_mm"][:, 1].max() < 0.05


def test_a_body_that_names_no_lips_has_no_lip_error(assets, batch, said):
    nameless = dataclasses.replace(assets, regions={})
    values = Evaluator(nameless, TINY, neutral(TINY)).errors(said, batch).values
    assert np.isnan(values["lip_max_mm"]).all()
    assert np.isnan(values["lve_m2"]).all()
    assert np.isfinite(values["head_canonical_mm"]).all()


def test_orientation_is_an_angle(evaluator, batch):
    changed = dataclasses.replace(batch.target, global_orient=turned(batch.target.global_orient, np.radians(40.0)))
    np.testing.assert_allclose(evaluator.errors(changed, batch).values["orient_deg"], 40.0, atol=0.05)


def test_parts_that_are_not_known_do_not_count(evaluator, batch, said):
    """Their labels may be anything, and the file has no figure for them."""
    nothing = torch.zeros(COUNT, dtype=torch.bool)
    target = dataclasses.replace(
        batch.target, left_hand_pose=batch.target.left_hand_pose * np.nan, jaw_pose=batch.target.jaw_pose * np.nan
    )
    partly = dataclasses.replace(batch, target=target, left_hand_valid=nothing, face_valid=nothing)
    whole, found = evaluator.errors(said, batch), evaluator.errors(said, partly)
    assert np.isnan(found.values["hand_pa_pve_mm"][:, 0]).all()
    np.testing.assert_allclose(found.values["hand_pa_pve_mm"][:, 1], whole.values["hand_pa_pve_mm"][:, 1], rtol=1e-4)
    held = HeldOut(network=found, mean_pose=whole)
    assert held.figures["head_canonical_mm"] is None
    assert held.figures["hand_pa_pve_mm"] == pytest.approx(np.nanmean(found.values["hand_pa_pve_mm"]), abs=1e-3)
    table = pd.read_parquet(io.BytesIO(held.parquet()))
    assert list(table.sample_id) == list(batch.sample_ids)
    assert table.left_hand_pa_pve_mm.isna().all()
    assert table.right_hand_pa_pve_mm.notna().all()
    assert table.mean_pose_left_hand_pa_pve_mm.notna().all()


def test_what_a_crop_does_not_show_is_told_by_kind_of_crop(evaluator, batch):
    """A head, a hand, both, and a person seen whole: how far from the mean the joints are that are not in the crop."""
    points = batch.keypoints_2d.clone()
    points[..., :2] *= 0.7
    shown = {0: [skeleton.FACE], 1: [skeleton.LEFT_HAND], 2: [skeleton.FACE, skeleton.RIGHT_HAND], 3: [slice(None)]}
    points[..., 2] = 0.0
    for person, parts in shown.items():
        for part in parts:
            points[person, part, 2] = 1.0
    close = dataclasses.replace(batch, keypoints_2d=points)
    mean = mean_people(neutral(TINY), COUNT)
    turns = mean.body_pose.clone()
    turns[:, 17] = turned(turns[:, 17], np.radians(42.0))  # the left elbow, one of 51 joints that a head does not show
    values = evaluator.errors(dataclasses.replace(mean, body_pose=turns), close).values
    nothing = np.nan
    expected = {
        "unseen_deg": [42 / 51, 42 / 39, 42 / 36, nothing],
        "unseen_head_deg": [42 / 51, nothing, 42 / 36, nothing],
        "unseen_hand_deg": [nothing, 42 / 39, nothing, nothing],
    }
    for name, figures in expected.items():
        np.testing.assert_allclose(values[name], figures, rtol=0.02, err_msg=name)
    unsaid = evaluator.errors(
        dataclasses.replace(mean, body_pose=turns), dataclasses.replace(close, face_valid=~close.face_valid)
    )
    np.testing.assert_array_equal(unsaid.values["unseen_deg"], values["unseen_deg"])  # whatever labels vouch for


def test_figures_do_not_depend_on_the_order_of_batches(evaluator, batch, said):
    other = random_batch(COUNT, 4)
    errors = [evaluator.errors(said, people) for people in (batch, other)]
    first, second = joined(errors), joined(errors[::-1])
    assert first.sample_ids == second.sample_ids == tuple(sorted(first.sample_ids))
    assert summarise(first) == summarise(second)
    for name in MEASURES:
        np.testing.assert_array_equal(first.values[name], second.values[name])


def test_nobody_is_held_out():
    nobody = joined([])
    held = HeldOut(network=nobody, mean_pose=Errors(sample_ids=(), values={}))
    assert held.figures["people"] == 0
    assert all(held.figures[name] is None for name in MEASURES)


def test_a_network_that_says_the_mean_has_the_errors_of_the_mean_pose(evaluator, batch):
    network = EhmRegressor(TINY, neutral(TINY))
    for head in (network.smplx_head, network.flame_head):
        for parameter in head.parameters():
            torch.nn.init.zeros_(parameter)
    figures = evaluate(network, [batch], evaluator, alone()).figures
    for name in ERRORS:
        assert figures[name] == pytest.approx(figures[f"mean_pose_{name}"], rel=1e-4)
        assert figures[name] > (1e-6 if name == "lve_m2" else 1.0)
    assert figures["unseen_deg"] == pytest.approx(0.0, abs=0.1)

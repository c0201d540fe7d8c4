"""AGORA's matching, errors and figures: by hand, and their laws."""

import numpy as np
import pytest
import torch

from model.metrics.agora import PARTS, AgoraFigures, JointMatches, counted, match_by_joints, part_errors_mm

rng = np.random.default_rng(0)
SHAPE = rng.uniform(0, 100, (24, 2))
EVERYBODY = np.ones(9, bool)


def at(*places):
    """People of one shape at places, px."""
    return np.stack([SHAPE + np.array([x, 0.0]) for x in places]) if places else np.zeros((0, 24, 2))


def test_the_nearest_are_matched_whatever_their_order():
    found = match_by_joints(at(305, 10, 101), at(0, 100, 300), EVERYBODY[:3])
    assert dict(zip(found.predicted, found.known, strict=True)) == {2: 1, 0: 2, 1: 0}
    assert found.misses == found.false_positives == ()


def test_people_who_hardly_overlap_are_a_miss_and_a_false_positive():
    found = match_by_joints(at(0, 500), at(2, 700), EVERYBODY[:2])
    assert (found.predicted, found.known, found.misses, found.false_positives) == ((0,), (0,), (1,), (1,))


def test_who_does_not_count_is_no_miss_but_who_was_taken_for_them_is_a_false_positive():
    found = match_by_joints(at(0, 300), at(0, 300), np.array([True, False]))
    assert (found.known, found.misses, found.false_positives) == ((0,), (), (1,))
    assert match_by_joints(at(), at(0, 300), np.array([True, False])).misses == (0,)


def test_a_pair_that_overlaps_too_little_ends_the_matching_early_with_compat_alone():
    """Prediction 1 is far from everybody in 2D but its pair with person 0 comes before that of the others."""
    long = SHAPE * [4, 1]
    known = at(0, 150)
    predicted = np.stack([*at(-1), long + np.array([145, 0])])
    plain, compat = (match_by_joints(predicted, known, EVERYBODY[:2], compat=quirk) for quirk in (False, True))
    assert plain.misses == ()
    assert (compat.misses, compat.false_positives) == ((1,), (1,))


def test_counted_are_the_valid_up_to_90_percent_covered():
    occlusion = np.array([-1, 0, 90, 91, 5])
    assert counted(np.array([1, 1, 1, 1, 0]), occlusion).tolist() == [False, True, True, False, False]


def test_too_few_or_broken_joints_are_refused():
    broken = at(0)
    broken[0, 3] = np.nan
    for wrong in (at(0)[:, :23], broken):
        with pytest.raises(ValueError, match="known people: expected 24 finite joints"):
            match_by_joints(at(0), wrong, EVERYBODY[:1])


IDS = {part: np.arange(5 * k, 5 * k + 5) for k, part in enumerate(PARTS)}


def test_parts_are_moved_by_their_own_joints_and_by_nothing_else():
    joints, mesh = torch.from_numpy(rng.normal(size=(2, 55, 3))), torch.from_numpy(rng.normal(size=(2, 20, 3)))
    shift = torch.from_numpy(rng.normal(size=(2, 1, 3)))
    for values in part_errors_mm(joints + shift, mesh + shift, joints, mesh, IDS).values():
        np.testing.assert_allclose(values, 0, atol=1e-9)
    moved = joints.clone()
    moved[:, 1, 0] += 0.004  # one hip: the midpoint goes half as far
    moved[:, 20, 1] += 0.003
    found = part_errors_mm(moved, mesh, joints, mesh, IDS)
    for part, wanted in {"body": 2.0, "left_hand": 3.0, "right_hand": 0.0, "face": 0.0}.items():
        np.testing.assert_allclose(found[part], wanted, atol=1e-9)


def figures(*, compat=False):
    both = AgoraFigures(compat=compat)
    first = JointMatches(predicted=(0, 1), known=(1, 0), misses=(2,), false_positives=())
    errors = {part: torch.tensor([60.04, 70.08]) + 10 * k for k, part in enumerate(PARTS)}
    both.update(first, errors)
    both.update(JointMatches(predicted=(), known=(), misses=(0,), false_positives=(0,)), {})
    return both.compute()


def test_figures_are_rounded_before_they_are_divided():
    """Two found, two missed, one false: F1 = 2 / 3.5 = .57; MVE 65.06 -> 65.1; 65.1 / .57 = 114.2, not 113.9."""
    found = figures()
    assert (found["precision"], found["recall"], found["f1"]) == (0.67, 0.5, 0.57)
    assert [found[f"mve_{part}_mm"] for part in PARTS] == [65.1, 75.1, 85.1, 95.1]
    assert found["mve_all_mm"] == 150.2
    assert (found["nmve_body_mm"], found["nmve_all_mm"]) == (114.2, 263.5)


def test_misses_are_zeros_of_hands_and_face_with_compat_alone():
    found = figures(compat=True)
    assert [found[f"mve_{part}_mm"] for part in PARTS] == [65.1, 37.5, 42.5, 47.5]
    assert found["mve_all_mm"] == 107.6


def test_without_anybody_found_errors_are_nan():
    empty = AgoraFigures()
    assert all(np.isnan(value) for value in empty.compute().values())
    empty.update(JointMatches(predicted=(), known=(), misses=(0,), false_positives=()), {})
    found = empty.compute()
    assert (found["recall"], found["f1"]) == (0, 0)
    assert np.isnan([found["mve_all_mm"], found["nmve_body_mm"]]).all()


def test_errors_of_a_match_must_be_there():
    one = JointMatches(predicted=(0,), known=(0,), misses=(), false_positives=())
    for wrong in ({}, {part: torch.tensor([torch.nan]) for part in PARTS}, {part: torch.zeros(2) for part in PARTS}):
        with pytest.raises(ValueError, match="body: expected 1 finite errors"):
            AgoraFigures().update(one, wrong)

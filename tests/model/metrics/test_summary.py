"""Means and medians, named so, and paired differences."""

import numpy as np
import pytest

from model.metrics.summary import means_and_medians, median_name, paired_difference


def test_the_unit_stays_last():
    assert median_name("pa_mpjpe_mm") == "pa_mpjpe_median_mm"
    assert median_name("orient_deg") == "orient_median_deg"
    assert median_name("body_worst_rel") == "body_worst_median_rel"


def test_people_without_an_error_do_not_count():
    found = means_and_medians(
        {"a_mm": np.array([1.0, 2.0, 9.0, np.nan]), "b_mm": np.full(3, np.nan), "c_mm": np.ones(0)}
    )
    assert found == {
        "a_mm": 4.0, "a_median_mm": 2.0, "b_mm": None, "b_median_mm": None, "c_mm": None, "c_median_mm": None
    }  # fmt: skip


def test_both_hands_count():
    assert means_and_medians({"hand_mm": np.array([[1.0, 5.0], [np.nan, 3.0]])})["hand_mm"] == 3.0


def test_a_difference_is_paired_by_person():
    error, other = np.random.default_rng(0).normal(size=(2, 50))
    error[3], other[7] = np.nan, np.nan
    gap = paired_difference(error, other)
    own = np.delete(error - other, [3, 7])
    assert (gap.people, gap.mean, gap.se) == (48, pytest.approx(own.mean()), pytest.approx(own.std(ddof=1) / 48**0.5))
    assert paired_difference(error + 1000, other + 1000).se == pytest.approx(gap.se)


def test_two_hands_of_a_person_are_one_person():
    """Doubled, people tell no more than they did; with one hand of some, it stays the difference of the means."""
    error, other = np.random.default_rng(1).normal(size=(2, 50))
    single, doubled = (
        paired_difference(*pair) for pair in ((error, other), (error[:, None].repeat(2, 1), other[:, None]))
    )
    assert (doubled.people, doubled.mean, doubled.se) == (50, pytest.approx(single.mean), pytest.approx(single.se))
    hands = np.random.default_rng(2).normal(size=(2, 50, 2))
    hands[:, :20, 0] = np.nan
    means = [means_and_medians({"hand_mm": own})["hand_mm"] for own in hands]
    assert paired_difference(*hands).mean == pytest.approx(means[0] - means[1])


def test_nobody_has_no_difference_and_one_person_no_error_of_it():
    assert paired_difference(np.full(3, np.nan), np.ones(3)) is None
    assert paired_difference(np.array([1.0, np.nan]), np.zeros(2)).se is None

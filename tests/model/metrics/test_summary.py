"""Means and medians, named so."""

import numpy as np

from model.metrics.summary import means_and_medians, median_name


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

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.estimators.dwpose.calibration import RTMW, SIMCC, ScoreCalibration, calibration_of

NUM_BINS, LABEL_SIGMA_BINS, BETA = 768, 6.93, 10.0


def raw_score_when_known_to(sigma_bins):
    """Peak of the output that minimises the training loss when the place is known up to a normal error.

    The loss KL(softmax(BETA * target), softmax(BETA * output)) is least where softmax(BETA * output) is the mean of
    softmax(BETA * target) over the places that are possible; the free constant is set by a background of 0.
    """
    bins = np.arange(NUM_BINS)
    places = NUM_BINS // 2 + np.arange(-350, 351)
    chance = np.exp(-0.5 * ((places - NUM_BINS // 2) / sigma_bins) ** 2)
    target = np.exp(-0.5 * ((bins - places[:, None]) / LABEL_SIGMA_BINS) ** 2)
    hills = np.exp(BETA * target)
    mean = chance @ (hills / hills.sum(1, keepdims=True)) / chance.sum()
    alone = np.exp(BETA * np.exp(-0.5 * ((bins - NUM_BINS // 2) / LABEL_SIGMA_BINS) ** 2)).sum()
    return np.log(mean.max() * alone) / BETA


@pytest.mark.parametrize("share", [0.003, 0.005, 0.01, 0.02, 0.04, 0.07, 0.1])
def test_table_follows_from_the_training_loss(share):
    raw = raw_score_when_known_to(share * NUM_BINS)
    assert SIMCC.share_of(raw) == pytest.approx(share, rel=0.12)


def test_an_uncertain_answer_scores_lower():
    assert raw_score_when_known_to(1) > raw_score_when_known_to(10) > raw_score_when_known_to(60)


@given(st.floats(-2, 20), st.floats(0, 5))
def test_sigma_never_grows_with_the_score(raw, more):
    for calibration in (SIMCC, RTMW):
        assert calibration.share_of(raw + more) <= calibration.share_of(raw) * (1 + 1e-9)


def test_knots_are_met_and_ends_are_flat():
    assert SIMCC.share_of(np.array(SIMCC.raw)) == pytest.approx(SIMCC.sigma_share)
    assert SIMCC.share_of(-5.0) == pytest.approx(SIMCC.sigma_share[0])
    assert SIMCC.share_of(5.0) == pytest.approx(SIMCC.sigma_share[-1])


def test_rtmw_scores_are_ten_times_as_wide():
    raw = np.array([0.7, 0.8, 0.9])
    assert RTMW.share_of(10 * raw - 4) == pytest.approx(SIMCC.share_of(raw))


def test_options_replace_fields_of_the_kind():
    assert calibration_of("rtmpose") == SIMCC
    changed = calibration_of("rtmw", {"seen": 2.0})
    assert changed.seen == 2.0
    assert changed.raw == RTMW.raw
    assert calibration_of("dwpose", {"raw": [0.2, 0.9], "sigma_share": [0.1, 0.01]}).raw == (0.2, 0.9)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="dwpose, rtmpose, rtmw, got 'vitpose'"):
        calibration_of("vitpose")
    with pytest.raises(ValueError, match=r"dwpose calibration: unknown setting saen; known are"):
        calibration_of("dwpose", {"saen": 1})
    with pytest.raises(ValueError, match=r"raw scores \(rising\)"):
        ScoreCalibration(raw=(0.5, 0.4), sigma_share=(0.2, 0.1))
    with pytest.raises(ValueError, match=r"sigma_share \(falling\)"):
        ScoreCalibration(raw=(0.4, 0.5), sigma_share=(0.1, 0.2))
    with pytest.raises(ValueError, match="seen must not be negative"):
        ScoreCalibration(seen=-1)

"""Threshold and calibration: fitted on scores of known distributions, and applied."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoofcache.metrics.decision import confusion_at, fit_decision, probability
from spoofcache.metrics.det import ScoreError

FINITE = st.floats(-1e3, 1e3)


def scores(seed=0, n=500):
    """Two normal distributions of unit variance with means 2 and −1, whose true log-likelihood ratio is 3·s − 1.5."""
    rng = np.random.default_rng(seed)
    is_bonafide = np.arange(2 * n) < n
    return rng.normal(size=2 * n) + np.where(is_bonafide, 2.0, -1.0), is_bonafide


def test_scores_of_known_distributions_get_their_known_ratios_and_threshold():
    values, is_bonafide = scores(n=20_000)
    found = fit_decision(values, is_bonafide, "made up", "0")
    assert found.slope == pytest.approx(3, rel=0.03)
    assert found.offset == pytest.approx(-1.5, rel=0.05)
    assert found.eer == confusion_at(found.threshold, values[is_bonafide], values[~is_bonafide]).half_total_error_rate
    assert found.threshold == pytest.approx(0.5, abs=0.03)
    assert found.eer == pytest.approx(0.0668, abs=0.003)  # the normal distribution's tail beyond 1.5
    assert (found.n_bonafide, found.n_spoof) == (20_000, 20_000)


@given(st.lists(FINITE, min_size=2, max_size=30), st.integers(0, 99))
def test_calibrated_ratios_keep_the_ranking(values, seed):
    decision = fit_decision(*scores(seed, n=50), "made up", "0")
    values = np.array(values)
    calibrated = decision.llr(values)
    for one, other in zip(np.argsort(values)[:-1], np.argsort(values)[1:], strict=True):
        assert calibrated[one] <= calibrated[other]


@given(FINITE, st.floats(1e-6, 1 - 1e-6))
def test_the_probability_is_the_logistic_of_the_ratio_and_the_log_odds_of_the_prior(llr, prior):
    log_odds = llr + math.log(prior / (1 - prior))
    expected = 0.0 if log_odds < -700 else 1 / (1 + math.exp(-log_odds))
    assert probability(llr, prior) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_scores_that_would_need_another_sign_are_refused():
    values, is_bonafide = scores()
    with pytest.raises(ScoreError, match="higher for spoof"):
        fit_decision(-values, is_bonafide, "made up", "0")


def test_a_confusion_by_hand():
    found = confusion_at(0.5, bonafide=np.array([0.5, 0.4, 2.0, 3.0]), spoof=np.array([0.0, 0.6]))
    assert found.to_json() == {
        "threshold": 0.5,
        "bonafide_as_bonafide": 3,
        "bonafide_as_spoof": 1,
        "spoof_as_bonafide": 1,
        "spoof_as_spoof": 1,
        "half_total_error_rate": (1 / 4 + 1 / 2) / 2,
        "accuracy": 4 / 6,
        "f1_of_spoof": 2 * 1 / (2 * 1 + 1 + 1),
    }
    assert confusion_at(-9, np.array([1.0]), np.array([1.0])).f1_of_spoof == 0

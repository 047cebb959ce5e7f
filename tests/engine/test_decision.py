"""A run's own calibration and threshold: fitted, kept, read, and applied."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoofcache.engine.about import RunError
from spoofcache.engine.decision import CALIBRATION, Decision, fit_decision, probability, read_decision, write_decision
from spoofcache.metrics.det import ScoreError

FITTED = Decision(2.0, -1.0, 0.25, 0.1, "LA/dev", 30, 70, "ab" * 32)
FINITE = st.floats(-1e3, 1e3)


def scores(seed=0, n=500):
    """Two normal distributions of unit variance with means 2 and −1, whose true log-likelihood ratio is 3·s − 1.5."""
    rng = np.random.default_rng(seed)
    is_bonafide = np.arange(2 * n) < n
    return rng.normal(size=2 * n) + np.where(is_bonafide, 2.0, -1.0), is_bonafide


def test_scores_of_known_distributions_get_their_known_ratios_and_threshold():
    found = fit_decision(*scores(n=20_000), "made up", "0")
    assert found.slope == pytest.approx(3, rel=0.03)
    assert found.offset == pytest.approx(-1.5, rel=0.05)
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


def test_what_was_kept_is_read_again_and_only_for_the_same_weights(tmp_path):
    other = Decision(1.0, 0.0, 0.0, 0.5, "ITW", 1, 1, "cd" * 32)
    write_decision(tmp_path, "best", FITTED)
    write_decision(tmp_path, "average", other)
    assert read_decision(tmp_path, "best", "ab" * 32) == FITTED
    assert read_decision(tmp_path, "average", "cd" * 32) == other
    assert read_decision(tmp_path, "best", "cd" * 32) is None
    assert read_decision(tmp_path / "elsewhere", "best", "ab" * 32) is None


def test_scores_that_would_need_another_sign_are_refused():
    values, is_bonafide = scores()
    with pytest.raises(ScoreError, match="higher for spoof"):
        fit_decision(-values, is_bonafide, "made up", "0")


def kept(**changes):
    return json.dumps({"best": {**FITTED.__dict__, **changes}})


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"best": 3}', '{"best": {}}', kept(slope="2"), kept(slope=-1.0), kept(offset=1e999), kept(more=1)],
)
def test_a_damaged_file_is_refused_with_its_name(tmp_path, text):
    (tmp_path / CALIBRATION).write_text(text)
    with pytest.raises(RunError, match=CALIBRATION):
        read_decision(tmp_path, "best", "ab" * 32)

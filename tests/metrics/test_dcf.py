"""Detection costs of a countermeasure and of three classes: on paper, by property, against the official code."""

import doctest
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoofcache.metrics import dcf
from spoofcache.metrics.dcf import a_dcf, actual_dcf, cllr, min_cllr, min_dcf
from spoofcache.metrics.det import ScoreError
from spoofcache.metrics.score_files import read_scores

scores = st.lists(st.integers(-20, 20), min_size=1, max_size=20)
floats = st.lists(st.integers(-300, 300), min_size=1, max_size=20).map(lambda tenths: np.array(tenths) / 10)


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(dcf).failed == 0


class TestMinDcf:
    def test_equals_a_calculation_by_hand(self):
        # weights 0.95 for misses, 0.5 for false acceptances, in units of 0.5: reject s0, s2 and b1 → 0.95/4
        assert min_dcf(bonafide=[1, 5, 6, 7], spoof=[0, 2]).value == pytest.approx(0.95 / 4 / 0.5)
        # … or reject s0 only, which costs 0.5/2: with eight bona fide trials the miss is the cheaper one
        assert min_dcf(bonafide=[1, 5, 6], spoof=[0, 2]) == (pytest.approx(0.5), 0.0)

    @given(scores, scores)
    def test_lies_between_perfect_and_useless_and_sees_only_ranks(self, bonafide, spoof):
        value = min_dcf(bonafide, spoof).value
        assert 0 <= value <= 1
        assert min_dcf(np.exp(np.array(bonafide) / 7), np.exp(np.array(spoof) / 7)).value == value


class TestActualDcf:
    def test_equals_a_calculation_by_hand(self):
        # Bayes' threshold is −ln 1.9 = −0.642: one of four bona fide below it, one of two spoofs above it
        value = actual_dcf(np.array([-1.0, 0.0, 1.0, 2.0]), np.array([-5.0, -0.5]))
        assert value == pytest.approx((0.95 / 4 + 0.5 / 2) / 0.5)

    def test_a_score_at_the_threshold_is_accepted(self):
        at = -math.log(0.95 / (10 * (1 - 0.95)))
        assert actual_dcf(np.array([at]), np.array([at])) == pytest.approx(1)

    @given(floats, floats)
    def test_is_never_below_the_minimum(self, bonafide, spoof):
        assert actual_dcf(bonafide, spoof) >= min_dcf(bonafide, spoof).value - 1e-12


class TestCllr:
    def test_equals_a_calculation_by_hand(self):
        # log2(1 + e^−ln 3) = log2(4/3) for the bona fide, log2(1 + e^0) = 1 for the spoof
        assert cllr(np.array([math.log(3)]), np.array([0.0])) == pytest.approx((math.log2(4 / 3) + 1) / 2)

    def test_wrong_and_sure_costs_its_own_log_odds_without_overflow(self):
        assert cllr(np.array([-2000.0]), np.array([2000.0])) == pytest.approx(2000 / math.log(2))

    @given(floats, floats)
    def test_the_sign_and_the_classes_together_change_nothing(self, bonafide, spoof):
        assert cllr(-spoof, -bonafide) == pytest.approx(cllr(bonafide, spoof))


class TestMinCllr:
    def test_equals_a_calculation_by_hand(self):
        # s0 | b1, s2 pooled | b3: the posterior of the pool is ½, as many of each class: a ratio of 1, one bit
        assert min_cllr(np.array([1.0, 3.0]), np.array([0.0, 2.0])) == pytest.approx(0.5)

    def test_equal_scores_are_pooled(self):
        # one pool of two bona fide and one spoof tells nothing
        assert min_cllr(np.array([1.0, 1.0]), np.array([1.0])) == pytest.approx(1)

    @given(floats, floats)
    def test_is_a_lower_bound_that_sees_only_ranks(self, bonafide, spoof):
        value = min_cllr(bonafide, spoof)
        assert -1e-12 <= value <= min(1, cllr(bonafide, spoof)) + 1e-9
        assert min_cllr(np.exp(bonafide), np.exp(spoof)) == pytest.approx(value)


class TestADcf:
    def test_equals_a_calculation_by_hand(self):
        # weights: a miss 0.9405, nontarget 0.095, spoof 0.5; in units of 0.595. Reject n0, s1, s2 and no target
        assert a_dcf(target=[3, 4, 5, 6], nontarget=[0], spoof=[1, 2]).value == 0
        # reject up to n2: the spoof at 8 stays (0.5/2); rejecting everything up to it would miss all targets
        assert a_dcf(target=[3, 4], nontarget=[2], spoof=[1, 8]) == (pytest.approx(0.5 / 2 / 0.595), 2.0)

    @given(scores, scores, scores)
    def test_equals_the_slow_referee(self, target, nontarget, spoof):
        thresholds = [-math.inf, *sorted({*target, *nontarget, *spoof})]
        costs = [
            0.9405 * np.mean(np.array(target) <= t)
            + 0.095 * np.mean(np.array(nontarget) > t)
            + 0.5 * np.mean(np.array(spoof) > t)
            for t in thresholds
        ]
        # within equal scores targets are rejected first, so that no further threshold can be better
        assert a_dcf(target, nontarget, spoof).value == pytest.approx(min(costs) / 0.595)

    @pytest.mark.parametrize("missing", ["target", "nontarget", "spoof"])
    def test_an_empty_class_is_refused(self, missing):
        with pytest.raises(ScoreError, match=f"^no {missing}"):
            a_dcf(**{"target": [1], "nontarget": [0], "spoof": [0], missing: []})


# Figures that the official ASVspoof 5 code gives in float64.
@pytest.mark.corpus
@pytest.mark.parametrize(
    ("file", "sign", "minimum", "actual", "bits"),
    [
        ("cm_w2v2_lcnn_eval.txt", 1, 0.017040513875738468, 1.0, 0.7308147143646186),
        ("cm_inverted_sign_eval.txt", -1, 0.05185626047310927, 0.07920129804248405, 0.5037876406530605),
    ],
)
def test_equals_the_official_figures(shared, file, sign, minimum, actual, bits):
    cm = read_scores(shared / "data/asvspoof2019_la" / file)
    bonafide, spoof = sign * cm.bonafide, sign * cm.spoof
    assert min_dcf(bonafide, spoof).value == pytest.approx(minimum, rel=1e-15)
    assert actual_dcf(bonafide, spoof) == pytest.approx(actual, rel=1e-15)
    assert cllr(bonafide, spoof) == pytest.approx(bits, rel=1e-15)
    assert min_cllr(bonafide, spoof) < cllr(bonafide, spoof)

"""The t-DCF of 2019 and of 2021: on paper, against a slow referee, against the official code."""

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoofcache.metrics import tdcf
from spoofcache.metrics.asv_files import read_asv_scores
from spoofcache.metrics.dcf import Coefficients
from spoofcache.metrics.det import ScoreError, equal_error_rate
from spoofcache.metrics.score_files import read_scores
from spoofcache.metrics.tdcf import (
    AsvErrorRates,
    CostModel2019,
    asv_error_rates,
    coefficients_2019,
    coefficients_2021,
    min_tdcf,
)

PERFECT_ASV = AsvErrorRates(p_fa=0, p_miss=0, p_miss_spoof=0)  # C1 = 0.9405, C2 = 0.5

scores = st.lists(st.integers(-20, 20), min_size=1, max_size=20)
rates = st.builds(AsvErrorRates, st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 0.9))


def slow_min_tdcf(bonafide, spoof, c0, c1, c2):
    """The normalised t-DCF of the ASVspoof evaluation plans, computed one threshold at a time."""
    ranked = sorted([(s, 0) for s in bonafide] + [(s, 1) for s in spoof])
    costs = []
    for k in range(len(ranked) + 1):
        rejected_spoof = sum(is_spoof for _, is_spoof in ranked[:k])
        p_miss = (k - rejected_spoof) / len(bonafide)
        p_fa = 1 - rejected_spoof / len(spoof)
        costs.append((c0 + c1 * p_miss + c2 * p_fa) / (c0 + min(c1, c2)))
    return min(costs)


def official_2019(asv):
    """C0, C1, C2 with the costs written out."""
    return 0, 0.9405 * (1 - 1 * asv.p_miss) - 0.0095 * 10 * asv.p_fa, 10 * 0.05 * (1 - asv.p_miss_spoof)


def official_2021(asv):
    c0 = 0.9405 * asv.p_miss + 0.0095 * 10 * asv.p_fa
    return c0, 0.9405 - c0, 0.05 * 10 * (1 - asv.p_miss_spoof)


def min_tdcf_2019(bonafide, spoof, asv):
    return min_tdcf(bonafide, spoof, coefficients_2019(asv))


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(tdcf).failed == 0


def test_priors_are_those_of_three_kinds_of_trial():
    costs = CostModel2019()
    assert costs.p_spoof + costs.p_target + costs.p_nontarget == pytest.approx(1)
    assert (costs.p_target, costs.p_nontarget) == pytest.approx((0.9405, 0.0095))


def test_asv_rates_by_hand():
    asv = asv_error_rates(target=[1, 2, 3, 4], nontarget=[0, 1, 2, 3, 4], spoof=[0, 5], threshold=2)
    assert asv == AsvErrorRates(p_fa=0.6, p_miss=0.25, p_miss_spoof=0.5)  # a score at the threshold is accepted


def test_equals_a_calculation_by_hand():
    # rejecting nothing costs 0.5, s0: 0.25, then b1: 0.25 + 0.47, s2: 0.47, b3: 0.94; in units of min(C1, C2) = 0.5
    assert min_tdcf_2019([1, 3], [0, 2], PERFECT_ASV) == (0.5, 0.0)


def test_equals_a_calculation_by_hand_with_an_imperfect_asv_system():
    # C1 = 0.9405·(1 − 0.2) − 0.095·0.1 = 0.7429, C2 = 0.5·(1 − 0.6) = 0.2; best is to reject b1 and all spoofs
    asv = AsvErrorRates(p_fa=0.1, p_miss=0.2, p_miss_spoof=0.6)
    best = min_tdcf_2019(bonafide=[1, 5, 6, 7, 8, 9, 10, 11], spoof=[0, 2, 3], asv=asv)
    assert best.value == pytest.approx(0.7429 / 8 / 0.2)
    assert best.threshold == 3


def test_a_perfect_countermeasure_costs_nothing():
    assert min_tdcf_2019([5, 6], [1, 2], PERFECT_ASV) == (0.0, 2.0)


def test_a_useless_countermeasure_costs_one_and_accepts_all():
    best = min_tdcf_2019(bonafide=[1, 2], spoof=[5, 6], asv=PERFECT_ASV)
    assert best.value == 1
    assert best.threshold < 1


@pytest.mark.parametrize(
    ("form", "official"), [(coefficients_2019, official_2019), (coefficients_2021, official_2021)], ids=["2019", "2021"]
)
@given(bonafide=scores, spoof=scores, asv=rates)
def test_equals_the_slow_referee(form, official, bonafide, spoof, asv):
    value = min_tdcf(bonafide, spoof, form(asv)).value
    assert value == pytest.approx(slow_min_tdcf(bonafide, spoof, *official(asv)), abs=1e-12)
    assert 0 <= value <= 1


def test_in_the_form_of_2021_a_perfect_countermeasure_still_pays_for_the_asv_system():
    # C0 = 0.9405·0.2 + 0.095·0.1 = 0.1976, C1 = 0.7429, C2 = 0.5·0.4 = 0.2: nothing but C0 is left
    asv = AsvErrorRates(p_fa=0.1, p_miss=0.2, p_miss_spoof=0.6)
    best = min_tdcf([5, 6], [1, 2], coefficients_2021(asv))
    assert best.value == pytest.approx(0.1976 / (0.1976 + 0.2))
    assert best.threshold == 2


def test_coefficients_given_per_condition():
    # reject s0 only: 0.1 + 0.6·0 + 0.3·0.5 = 0.25, in units of 0.1 + 0.3; reject b1 and s2 as well: 0.1 + 0.6·0.5 = 0.4
    assert min_tdcf([1, 3], [0, 2], Coefficients(0.1, 0.6, 0.3)) == (pytest.approx(0.25 / 0.4), 0.0)


@pytest.mark.parametrize("cost", [(-0.1, 1, 1), (0, 0, 1), (0, 1, -1), (0, float("nan"), 1), (float("inf"), 1, 1)])
def test_coefficients_that_are_no_cost_are_refused(cost):
    with pytest.raises(ScoreError, match="not defined for these coefficients: C0 = "):
        min_tdcf([1], [0], Coefficients(*cost))


@given(scores, scores)
def test_only_the_order_of_the_scores_matters(bonafide, spoof):
    bent = min_tdcf_2019(np.exp(np.array(bonafide) / 5), np.exp(np.array(spoof) / 5), PERFECT_ASV)
    assert bent.value == min_tdcf_2019(bonafide, spoof, PERFECT_ASV).value


def test_an_asv_system_that_rejects_every_target_is_refused():
    with pytest.raises(ScoreError, match=r"rejects 100.0% of target .* C1 = -0.0095, C2 = 0.5; expected C0"):
        min_tdcf_2019([1], [0], AsvErrorRates(p_fa=0.1, p_miss=1, p_miss_spoof=0))


def test_an_asv_system_that_rejects_every_spoof_is_refused():
    with pytest.raises(ScoreError, match=r"100.0% of spoof trials .*, C2 = 0;"):
        min_tdcf_2019([1], [0], AsvErrorRates(p_fa=0, p_miss=0, p_miss_spoof=1))


@pytest.mark.parametrize("missing", ["target", "nontarget", "spoof"])
def test_an_empty_asv_class_is_refused(missing):
    asv = {"target": [1], "nontarget": [0], "spoof": [1], missing: []}
    with pytest.raises(ScoreError, match=f"^no ASV {missing} scores"):
        asv_error_rates(**asv, threshold=0.5)


@pytest.fixture(scope="module")
def official_asv(shared):
    asv = read_asv_scores(shared / "data/asvspoof2019_la/ASVspoof2019.LA.asv.eval.gi.trl.scores.txt")
    threshold = equal_error_rate(asv.target, asv.nontarget).threshold
    return asv_error_rates(asv.target, asv.nontarget, asv.spoof, threshold)


# Figures that the official ASVspoof 2019 evaluation code gives in float64.
@pytest.mark.corpus
class TestOfficialFigures:
    def test_asv_rates(self, official_asv):
        assert official_asv.p_fa == pytest.approx(0.0246046749, abs=5e-11)
        assert official_asv.p_miss == pytest.approx(0.0245810056, abs=5e-11)
        assert official_asv.p_miss_spoof == pytest.approx(0.2393475470, abs=5e-11)

    @pytest.mark.parametrize(
        ("file", "sign", "in_2019", "in_2021"),
        [
            ("cm_w2v2_lcnn_eval.txt", 1, 0.01903686213690652, 0.08057550418704394),
            ("cm_inverted_sign_eval.txt", -1, 0.05581600618861608, 0.1150473866370189),
        ],
    )
    def test_min_tdcf(self, shared, official_asv, file, sign, in_2019, in_2021):
        cm = read_scores(shared / "data/asvspoof2019_la" / file)
        bonafide, spoof = sign * cm.bonafide, sign * cm.spoof
        assert min_tdcf_2019(bonafide, spoof, official_asv).value == pytest.approx(in_2019, rel=1e-15)
        assert min_tdcf(bonafide, spoof, coefficients_2021(official_asv)).value == pytest.approx(in_2021, rel=1e-15)

    def test_min_tdcf_of_an_incomplete_file(self, shared, official_asv):
        cm = read_scores(shared / "data/asvspoof2019_la/cm_incomplete_eval.txt")
        assert min_tdcf_2019(cm.bonafide, cm.spoof, official_asv).value == pytest.approx(0.271513117743, abs=5e-13)

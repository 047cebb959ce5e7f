"""The t-DCF of 2019: on paper, against a slow referee, against the official code."""

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics import tdcf
from metrics.det import ScoreError, equal_error_rate
from metrics.scores import read_asv_scores, read_cm_scores
from metrics.tdcf import AsvErrorRates, CostModel2019, asv_error_rates, min_tdcf_2019

PERFECT_ASV = AsvErrorRates(p_fa=0, p_miss=0, p_miss_spoof=0)  # C1 = 0.9405, C2 = 0.5

scores = st.lists(st.integers(-20, 20), min_size=1, max_size=20)
rates = st.builds(AsvErrorRates, st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 0.9))


def slow_min_tdcf(bonafide, spoof, asv):
    """The definition in ../shared/data/README.md, one threshold at a time, the official costs written out."""
    c1 = 0.9405 * (1 - 1 * asv.p_miss) - 0.0095 * 10 * asv.p_fa
    c2 = 10 * 0.05 * (1 - asv.p_miss_spoof)
    ranked = sorted([(s, 0) for s in bonafide] + [(s, 1) for s in spoof])
    costs = []
    for k in range(len(ranked) + 1):
        rejected_spoof = sum(is_spoof for _, is_spoof in ranked[:k])
        p_miss = (k - rejected_spoof) / len(bonafide)
        p_fa = 1 - rejected_spoof / len(spoof)
        costs.append((c1 * p_miss + c2 * p_fa) / min(c1, c2))
    return min(costs)


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(tdcf).failed == 0


def test_priors_are_those_of_three_kinds_of_trial():
    costs = CostModel2019()
    assert costs.p_spoof + costs.p_target + costs.p_nontarget == pytest.approx(1)
    assert (costs.p_target, costs.p_nontarget) == pytest.approx((0.9405, 0.0095))


def test_asv_rates_by_hand():
    asv = asv_error_rates(target=[1, 2, 3, 4], nontarget=[0, 1, 2, 3, 4], spoof=[0, 5], threshold=2)
    assert asv == AsvErrorRates(p_fa=0.6, p_miss=0.25, p_miss_spoof=0.5)  # a score at the threshold is accepted


def test_on_paper():
    # rejecting nothing costs 0.5, s0: 0.25, then b1: 0.25 + 0.47, s2: 0.47, b3: 0.94; in units of min(C1, C2) = 0.5
    assert min_tdcf_2019([1, 3], [0, 2], PERFECT_ASV) == (0.5, 0.0)


def test_on_paper_with_an_imperfect_asv_system():
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


@given(scores, scores, rates)
def test_equals_the_slow_referee(bonafide, spoof, asv):
    value = min_tdcf_2019(bonafide, spoof, asv).value
    assert value == pytest.approx(slow_min_tdcf(bonafide, spoof, asv), abs=1e-12)
    assert 0 <= value <= 1


@given(scores, scores)
def test_only_the_order_of_the_scores_matters(bonafide, spoof):
    bent = min_tdcf_2019(np.exp(np.array(bonafide) / 5), np.exp(np.array(spoof) / 5), PERFECT_ASV)
    assert bent.value == min_tdcf_2019(bonafide, spoof, PERFECT_ASV).value


def test_an_asv_system_that_rejects_every_target_is_refused():
    with pytest.raises(ScoreError, match=r"not defined .* C1 = -0.0095, C2 = 0.5; expected both above 0"):
        min_tdcf_2019([1], [0], AsvErrorRates(p_fa=0.1, p_miss=1, p_miss_spoof=0))


def test_an_asv_system_that_rejects_every_spoof_is_refused():
    with pytest.raises(ScoreError, match=r"C2 = 0; .* 100.0% of spoof trials"):
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


# Figures of the official ASVspoof 2019 evaluation code in float64, from ../shared/data/README.md.
@pytest.mark.corpus
class TestOfficialFigures:
    def test_asv_rates(self, official_asv):
        assert official_asv.p_fa == pytest.approx(0.0246046749, abs=5e-11)
        assert official_asv.p_miss == pytest.approx(0.0245810056, abs=5e-11)
        assert official_asv.p_miss_spoof == pytest.approx(0.2393475470, abs=5e-11)

    @pytest.mark.parametrize(
        ("file", "sign", "official"),
        [
            ("cm_w2v2_lcnn_eval.txt", 1, 0.01903686213690652),
            ("cm_inverted_sign_eval.txt", -1, 0.05581600618861608),
            ("cm_incomplete_eval.txt", 1, 0.271513117743),
        ],
    )
    def test_min_tdcf(self, shared, official_asv, file, sign, official):
        cm = read_cm_scores(shared / "data/asvspoof2019_la" / file)
        value = min_tdcf_2019(sign * cm.bonafide, sign * cm.spoof, official_asv).value
        assert value == pytest.approx(official, rel=1e-9)

"""The concurrent t-EER: on paper, against the official quadratic search, against the official code."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoofcache.metrics.asv_files import read_asv_scores
from spoofcache.metrics.det import ScoreError, det_curve, verification_curve
from spoofcache.metrics.score_files import read_scores
from spoofcache.metrics.teer import tandem_equal_error_rate

scores = st.lists(st.integers(-30, 30), min_size=1, max_size=25)


def t_eer(bonafide, spoof, target, nontarget, asv_spoof):
    cm, asv = det_curve(bonafide, spoof), verification_curve(target, nontarget, asv_spoof)
    return tandem_equal_error_rate(cm, asv)


def slow_t_eer(bonafide, spoof, target, nontarget, asv_spoof):
    """The concurrent t-EER by its definition: every ASV threshold against every CM threshold."""
    cm, asv = det_curve(bonafide, spoof), verification_curve(target, nontarget, asv_spoof)
    best, rate = np.inf, None
    for p_miss, p_non, p_spoof in zip(asv.p_miss, asv.p_fa_nontarget, asv.p_fa_spoof, strict=True):
        if p_miss >= (p_non + p_spoof) / 2 or p_spoof == 0:
            continue
        miss = cm.frr + (1 - cm.frr) * p_miss
        accepted = 0.5 * (1 - cm.frr) * p_non + 0.5 * cm.far * p_spoof
        k = np.argmin(np.abs(miss - accepted))
        if cm.frr[k] == 1:
            continue
        gap = abs(p_non / p_spoof - cm.far[k] / (1 - cm.frr[k]))
        if gap < best:
            best, rate = gap, p_spoof * cm.far[k]
    return rate


def test_perfect_systems_never_err():
    assert t_eer([5, 6], [1, 2], [5, 6], [1, 2], [5, 6]).rate == 0


def test_equals_a_calculation_by_hand():
    # CM points (P_miss, P_fa): (0, 1) (0, ½) (½, ½) (½, 0) (1, 0).
    # ASV points (P_miss, P_fa,non, P_fa,spoof) that are not too strict: (0, 1, 1) (0, ½, 1) (0, 0, 1).
    # With the first, misses and false acceptances of the tandem meet exactly at the third CM point (½ and ¼ + ¼), and
    # the ratios agree exactly (1/1 and ½/½); the other two are off by ½. The rate is 1·½.
    found = t_eer(bonafide=[2, 4], spoof=[1, 3], target=[5, 6], nontarget=[1, 2], asv_spoof=[7, 8])
    assert found.rate == 0.5
    assert found.cm_threshold == 2
    assert found.asv_threshold < 1


@given(scores, scores, scores, scores, scores)
def test_the_binary_search_finds_what_the_full_search_finds(bonafide, spoof, target, nontarget, asv_spoof):
    slow = slow_t_eer(bonafide, spoof, target, nontarget, asv_spoof)
    if slow is None:
        with pytest.raises(ScoreError, match="the t-EER is not defined"):
            t_eer(bonafide, spoof, target, nontarget, asv_spoof)
    else:
        assert t_eer(bonafide, spoof, target, nontarget, asv_spoof).rate == slow


def test_only_ranks_matter():
    rng = np.random.default_rng(0)
    classes = [rng.normal(mean, 1, 50) for mean in (2, 0, 3, 0, 2)]
    assert t_eer(*(np.exp(each) for each in classes)).rate == t_eer(*classes).rate


# The figure that the official t-EER code gives in float64; it took 27 s.
@pytest.mark.corpus
def test_equals_the_official_figure(shared):
    data = shared / "data/asvspoof2019_la"
    cm = read_scores(data / "cm_w2v2_lcnn_eval.txt")
    asv = read_asv_scores(data / "ASVspoof2019.LA.asv.eval.gi.trl.scores.txt")
    assert 100 * t_eer(cm.bonafide, cm.spoof, *asv.classes).rate == pytest.approx(2.569062732392718, rel=1e-15)

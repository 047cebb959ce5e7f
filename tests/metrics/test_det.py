"""The DET curve and the equal error rate: drawn by hand, against a slow referee, against the official code."""

import doctest
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spoofcache.metrics import det
from spoofcache.metrics.asv_files import read_asv_scores
from spoofcache.metrics.det import ScoreError, det_curve, equal_error_rate
from spoofcache.metrics.score_files import read_scores

scores_with_ties = st.lists(st.integers(-20, 20), min_size=1, max_size=30)


def slow_curve(bonafide, spoof):
    """(FRR, FAR) after rejecting the 0, 1, 2, … lowest scores, counted one by one in exact fractions."""
    ranked = sorted([(s, 0, "bonafide") for s in bonafide] + [(s, 1, "spoof") for s in spoof])
    points = []
    for k in range(len(ranked) + 1):
        rejected = [key for _, _, key in ranked[:k]]
        frr = Fraction(rejected.count("bonafide"), len(bonafide))
        far = 1 - Fraction(rejected.count("spoof"), len(spoof))
        points.append((frr, far))
    return points


def slow_eer(bonafide, spoof):
    points = slow_curve(bonafide, spoof)
    nearest = min(abs(frr - far) for frr, far in points)
    return next((frr + far) / 2 for frr, far in points if abs(frr - far) == nearest)


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(det).failed == 0


def test_a_curve_drawn_by_hand():
    #            rejected so far:  –     s0    b1    s2    b3
    curve = det_curve(bonafide=[3.0, 1.0], spoof=[2.0, 0.0])
    assert curve.frr.tolist() == [0.0, 0.0, 0.5, 0.5, 1.0]
    assert curve.far.tolist() == [1.0, 0.5, 0.5, 0.0, 0.0]
    assert curve.thresholds[1:].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert curve.thresholds[0] == np.nextafter(0.0, -1.0)


def test_the_rate_is_the_mean_where_the_two_are_nearest():
    # after rejecting −1, 0 and 1: FRR 1/4, FAR 1/3
    eer = equal_error_rate(bonafide=[1, 2, 3, 4], spoof=[-1, 0, 1.5])
    assert eer.rate == pytest.approx(7 / 24)
    assert eer.threshold == 1


def test_of_two_equally_near_points_the_first_counts():
    # FRR 1/4 against FAR 1/2, then FRR 1/4 against FAR 0: both a quarter apart
    assert equal_error_rate(bonafide=[0.5, 2, 3, 4], spoof=[1, -2]) == (0.375, 0.5)


def test_bona_fide_go_first_at_equal_scores():
    curve = det_curve(bonafide=[1.0], spoof=[1.0])
    assert curve.frr.tolist() == [0, 1, 1]
    assert curve.far.tolist() == [1, 1, 0]
    assert equal_error_rate([1.0], [1.0]).rate == 1


def test_perfect_separation():
    assert equal_error_rate(bonafide=[5, 6, 7], spoof=[1, 2]) == (0.0, 2.0)


def test_an_inverted_detector_keeps_its_rate():
    assert equal_error_rate(bonafide=[1, 2], spoof=[5, 6, 7]).rate == 1


def test_single_precision_scores_are_judged_in_double():
    curve = det_curve(np.array([1e20, 2e20], np.float32), np.array([0.1], np.float32))
    assert {array.dtype for array in curve} == {np.dtype(np.float64)}
    assert curve.thresholds[1] == np.float32(0.1)


def test_the_first_threshold_lies_below_even_the_largest_scores():
    curve = det_curve(bonafide=[2e300], spoof=[1e300])
    assert curve.thresholds[0] < curve.thresholds[1] == 1e300


@given(scores_with_ties, scores_with_ties)
def test_the_curve_equals_the_slow_one(bonafide, spoof):
    curve = det_curve(bonafide, spoof)
    frr, far = zip(*slow_curve(bonafide, spoof), strict=True)
    np.testing.assert_allclose(curve.frr, np.array(frr, float), rtol=0, atol=1e-15)
    np.testing.assert_allclose(curve.far, np.array(far, float), rtol=0, atol=1e-15)
    assert curve.thresholds[1:].tolist() == sorted(bonafide + spoof)


@given(scores_with_ties, scores_with_ties)
def test_the_rate_equals_the_slow_one(bonafide, spoof):
    points = slow_curve(bonafide, spoof)
    distances = sorted(abs(frr - far) for frr, far in points)
    assume(distances[0] < distances[1])  # exact ties may fall either way in floating point
    assert equal_error_rate(bonafide, spoof).rate == pytest.approx(float(slow_eer(bonafide, spoof)), abs=1e-15)


@given(scores_with_ties, scores_with_ties)
@pytest.mark.parametrize("increasing", [lambda x: 2 * x + 7, lambda x: x**3, lambda x: np.exp(x / 5), np.arctan])
def test_only_the_order_of_the_scores_matters(increasing, bonafide, spoof):
    plain = det_curve(bonafide, spoof)
    bent = det_curve(increasing(np.array(bonafide, float)), increasing(np.array(spoof, float)))
    np.testing.assert_array_equal(bent.frr, plain.frr)
    np.testing.assert_array_equal(bent.far, plain.far)


@given(scores_with_ties, scores_with_ties)
def test_swapping_the_classes_and_the_sign_keeps_the_rate(bonafide, spoof):
    distances = sorted(abs(frr - far) for frr, far in slow_curve(bonafide, spoof))
    assume(not set(bonafide) & set(spoof))
    assume(distances[0] < distances[1])
    mirrored = equal_error_rate(-np.array(spoof), -np.array(bonafide))
    assert mirrored.rate == pytest.approx(equal_error_rate(bonafide, spoof).rate, abs=1e-15)


@given(scores_with_ties, scores_with_ties)
def test_separated_classes_have_no_errors(bonafide, spoof):
    assert equal_error_rate(np.array(bonafide) + 100, spoof) == (0.0, max(spoof))


def test_below_the_lowest_float_there_is_minus_infinity():
    lowest = -np.finfo(np.float64).max
    assert det_curve([1.0], [lowest]).thresholds.tolist() == [-np.inf, lowest, 1.0]


@pytest.mark.parametrize(
    ("bonafide", "spoof", "sentence"),
    [
        ([], [1.0], "no bona fide scores; expected at least one of each class"),
        ([1.0], [], "no spoof scores; expected at least one of each class"),
        ([1.0, float("nan")], [1.0], "1 of 2 bona fide scores are nan; expected finite numbers"),
        ([1.0], [float("-inf"), 2.0, float("inf")], "2 of 3 spoof scores are -inf; expected finite numbers"),
    ],
)
def test_scores_that_cannot_be_judged_are_refused(bonafide, spoof, sentence):
    with pytest.raises(ScoreError, match=f"^{sentence}$"):
        equal_error_rate(bonafide, spoof)


# Figures that the official ASVspoof 2019 evaluation code gives in float64.
@pytest.mark.corpus
class TestOfficialFigures:
    def test_xlsr_lcnn(self, shared):
        cm = read_scores(shared / "data/asvspoof2019_la/cm_w2v2_lcnn_eval.txt")
        assert 100 * equal_error_rate(cm.bonafide, cm.spoof).rate == pytest.approx(0.6357185455653269, rel=1e-9)

    def test_inverted_sign(self, shared):
        cm = read_scores(shared / "data/asvspoof2019_la/cm_inverted_sign_eval.txt")
        negated = equal_error_rate(-cm.bonafide, -cm.spoof)
        assert 100 * negated.rate == pytest.approx(2.1779869201821823, rel=1e-9)

    def test_incomplete(self, shared):
        cm = read_scores(shared / "data/asvspoof2019_la/cm_incomplete_eval.txt")
        assert 100 * equal_error_rate(cm.bonafide, cm.spoof).rate == pytest.approx(15.4617247989, rel=1e-9)

    def test_asv(self, shared):
        asv = read_asv_scores(shared / "data/asvspoof2019_la/ASVspoof2019.LA.asv.eval.gi.trl.scores.txt")
        eer = equal_error_rate(asv.target, asv.nontarget)
        assert 100 * eer.rate == pytest.approx(2.457783738686887, rel=1e-9)
        assert eer.threshold == -5.680051

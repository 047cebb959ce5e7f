"""What is said of doubtful scores: cases small enough to judge on paper, and the published files."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoofcache.evaluation.checks import not_llr_warning, warnings_of
from spoofcache.metrics.score_files import read_scores


def said(bonafide, spoof):
    """The warnings on two sets of scores of the system `mine`."""
    is_bonafide = np.array([True] * len(bonafide) + [False] * len(spoof))
    return warnings_of("mine", np.array([*bonafide, *spoof], float), is_bonafide)


@pytest.mark.parametrize(
    ("bonafide", "spoof"),
    [
        ([0.5, 2, 3, 4], [-1, 0, 1, -2]),
        ([1, 4], [2, 3]),  # EER 50 %: chance, not a wrong sign
        ([1], [0]),  # two values, but no more trials
        ([1, 0.9], [0, 0.1]),  # soft-max values without ties
        ([1, 1, 2], [0, -1]),  # ties at 1, but no soft-max values
    ],
)
def test_harmless_scores_cause_no_warning(bonafide, spoof):
    assert said(bonafide, spoof) == []


def test_an_inverted_sign_causes_a_warning():
    sentence = "mine: an EER above 50 %: the sign of the scores may be inverted (higher must mean bona fide)"
    assert said([1, 2, 3], [4, 5, 6]) == [sentence]


@pytest.mark.parametrize(("bonafide", "spoof"), [([0.5] * 3, [0.5] * 4), ([0], [0]), ([-0.0, 0.0], [0.0])])
def test_equal_scores_are_not_an_inverted_sign(bonafide, spoof):
    """Their EER is 100 % only because bona fide trials are rejected first among equal scores."""
    assert said(bonafide, spoof) == [
        f"mine: all scores are equal ({abs(bonafide[0]):g}): they do not distinguish the classes, and the error rates "
        "depend only on how equal scores are counted"
    ]


def test_decisions_instead_of_scores_cause_a_warning():
    decisions, ties = said([1, 1, 1, 0], [0, 0, 1, 1])
    assert decisions == "mine: no other score than 0 and 1 in 8 trials: decisions, where an EER needs graded scores"
    assert ties.startswith("mine: 4 bona fide and 4 spoof trials share scores with the other class")


@pytest.mark.parametrize(("n_values", "n_each", "warned"), [(99, 10, True), (100, 10, False), (99, 9, False)])
def test_few_distinct_values_in_many_trials_cause_a_warning(n_values, n_each, warned):
    values = np.repeat(np.arange(n_values), n_each)
    spoof, bonafide = np.split(values, [n_each * 40])
    sentence = (
        f"mine: only {n_values} distinct scores in {n_values * n_each} trials: the error rates move in coarse steps"
    )
    assert said(bonafide, spoof) == [sentence] * warned


def test_a_saturated_soft_max_causes_a_warning():
    sentence = "mine: 3 scores are exactly 0 or 1: a saturated soft-max makes ties; log-odds would not"
    assert said([1, 1, 0.9], [0, 0.1, 0.2]) == [sentence]


def test_a_single_tie_can_change_the_eer_from_0_to_50_percent():
    # spoof 0, bona fide 1, spoof 1, bona fide 2: the second and third may stand the other way round
    assert said([1, 2], [0, 1]) == [
        "mine: 1 bona fide and 1 spoof trials share scores with the other class: EER 50.0000 % with bona fide first "
        "among equal scores (the official order), 0.0000 % with spoof first"
    ]


def slow_eers(bonafide, spoof, first):
    """EER in per cent, trial by trial, at each of the points that are equally near; `first` goes first in a tie."""
    trials = [(score, key != first, key) for key, scores in (("b", bonafide), ("s", spoof)) for score in scores]
    rejected, points = {"b": 0, "s": 0}, []
    for _, _, key in sorted(trials):
        rejected[key] += 1
        frr, far = rejected["b"] / len(bonafide), 1 - rejected["s"] / len(spoof)
        points.append((abs(frr - far), 50 * (frr + far)))
    return [eer for distance, eer in points if distance < min(points)[0] + 1e-9]


levels = st.lists(st.integers(0, 12), min_size=3, max_size=30)


@given(bonafide=levels, spoof=levels)
def test_both_orders_of_equal_scores_are_judged(bonafide, spoof):
    told = [sentence for sentence in said(bonafide, spoof) if "with the other class" in sentence]
    orders = [slow_eers(bonafide, spoof, first) for first in "bs"]
    if len({*bonafide, *spoof}) == 1:  # another sentence says so
        assert not told
    elif not told:  # then no tie decides
        assert any(one == pytest.approx(other, abs=1e-3) for one in orders[0] for other in orders[1])
    for sentence in told:
        tied = [sum(score in spoof for score in bonafide), sum(score in bonafide for score in spoof)]
        assert [int(number) for number in re.findall(r"(\d+) (?:bona fide|spoof) (?:and|trials)", sentence)] == tied
        official, opposite = map(float, re.findall(r"([\d.]+) % with", sentence))
        assert official != opposite
        assert any(official == pytest.approx(eer, abs=1e-4) for eer in orders[0])
        assert any(opposite == pytest.approx(eer, abs=1e-4) for eer in orders[1])


@pytest.mark.parametrize(("scores", "warned"), [([0, 0.5, 1], True), ([0, 0.5, 1.01], False), ([-0.1, 0.5], False)])
def test_probabilities_instead_of_ratios_cause_a_warning(scores, warned):
    sentences = not_llr_warning("mine", np.array(scores, float))
    assert [sentence.partition(" as prob")[0] for sentence in sentences] == [
        "mine: all scores lie between 0 and 1"
    ] * warned


@pytest.mark.corpus
def test_the_published_file_with_the_inverted_sign_causes_a_warning(shared):
    cm = read_scores(shared / "data/asvspoof2019_la/cm_inverted_sign_eval.txt")
    (sign,) = warnings_of("LFCC-ResNet", cm.scores, cm.is_bonafide)
    assert sign.startswith("LFCC-ResNet: an EER above 50 %")
    assert not_llr_warning("LFCC-ResNet", cm.scores) == []

"""Scores in the order of their trials, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spoofcache.evaluation.alignment import align, check_attacks
from spoofcache.evaluation.trials import TrialList, trials_of_scores
from spoofcache.metrics.det import ScoreError
from spoofcache.metrics.score_files import read_scores
from spoofcache.metrics.scores import AsvScores, CmScores


def scores_of(utt_ids, scores, keys=None, attacks=None):
    is_bonafide = None if keys is None else np.array(keys) == "bonafide"
    return CmScores(utt_ids, attacks, is_bonafide, np.array(scores, float), Path("mine.txt"), understood="tsv")


TRIALS = TrialList(["u1", "u2.flac", "u3"], np.array([True, False, False]), {"attack": np.array(["-", "A07", "-"])})


@pytest.mark.parametrize(
    ("keys", "attacks"),
    [
        (None, None),
        (["spoof", "spoof", "bonafide"], None),
        (["spoof", "spoof", "bonafide"], ["A09", "A07", "-"]),  # the protocol does not know the attack of u3
        (None, ["-", "-", "-"]),
    ],
)
def test_scores_come_in_the_order_of_the_trials(keys, attacks):
    scores = scores_of(["u3", "u2", "u1"], [3, 2, 1], keys, attacks)
    assert align(scores, TRIALS, "mine against theirs").tolist() == [1, 2, 3]


def test_scores_of_trials_that_are_not_judged_are_dropped():
    scores = scores_of(["u4", "u3", "u2", "u1"], [4, 3, 2, 1])
    trials = replace(TRIALS, excluded=frozenset({"u4.flac", "u5"}))
    assert align(scores, trials, "mine against theirs").tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("scores", "fault"),
    [
        (scores_of(["u3"], [3]), "2 of 3 trials have no score (u1, u2.flac)"),
        (
            scores_of(["new", "u2", "u3"], [1, 2, 3], ["spoof", "bonafide", "spoof"]),
            "1 of 3 trials have no score (u1); 1 of 3 scores belong to no trial (new); 1 keys differ (u2.flac)",
        ),
        (scores_of(["u1", "u2", "u3", "u4"], [1, 2, 3, 4]), "1 of 4 scores belong to no trial (u4)"),
        (scores_of(["u3", "u2", "u1"], [3, 2, 1], ["spoof", "bonafide", "spoof"]), "2 keys differ (u1, u2.flac)"),
        (scores_of(["u1", "u2", "u3"], [1, 2, 3], None, ["-", "A08", "A09"]), "1 attacks differ (u2.flac)"),
    ],
)
def test_scores_that_do_not_fit_the_trials_are_refused(scores, fault):
    with pytest.raises(ScoreError) as refusal:
        align(scores, TRIALS, "mine against theirs")
    no_key = ", or --column key=none if the column is not a key" if "keys differ" in fault else ""
    expected = f"expected one score for every trial, with its key{no_key} (understood: tsv)"
    assert str(refusal.value) == f"mine against theirs: {fault}; {expected}"


def test_trials_that_differ_in_their_endings_only_are_refused():
    trials = TrialList(["a.wav", "a.mp3"], np.array([True, False]), {})
    with pytest.raises(ScoreError, match=r"^here: 'a.wav' and 'a.mp3' would be one utterance, 'a'"):
        align(scores_of(["a"], [1]), trials, "here")


def test_a_message_names_the_first_five():
    trials = TrialList([f"m{i}" for i in range(7)], np.arange(7) < 3, {})
    with pytest.raises(ScoreError, match=r"^here: 7 of 7 trials have no score \(m0, m1, m2, m3, m4, …\)"):
        align(scores_of([], []), trials, "here")


def test_attacks_without_asv_trials_are_named():
    one = np.ones(1)
    asv = AsvScores(one, one, np.ones(2), ["A01", "A02"])
    with pytest.raises(ScoreError, match=r"^cm with asv: the ASV scores lack A07 of the CM scores; they hold A01, A02"):
        check_attacks(["A07"], asv, "cm with asv")


@pytest.mark.corpus
def test_scores_of_the_first_rows_only_are_refused_against_all_trials(shared):
    folder = shared / "data/asvspoof2019_la"
    trials = trials_of_scores(read_scores(folder / "cm_w2v2_lcnn_eval.txt"))
    with pytest.raises(ScoreError, match=r"^here: 61237 of 71237 trials have no score \(LA_E_"):
        align(read_scores(folder / "cm_incomplete_eval.txt"), trials, "here")

"""The whole evaluation: eight trials judged on paper, and the published per-attack table."""

import numpy as np
import pytest

from spoofcache.evaluation.asvspoof2019 import as_text, evaluate_2019
from spoofcache.evaluation.evaluation_set import EvaluationSet
from spoofcache.evaluation.testsets import NamedFile, evaluation_sets
from spoofcache.evaluation.trials import TrialList
from spoofcache.metrics.det import ScoreError
from spoofcache.metrics.scores import AsvScores

TRIALS = TrialList(
    ["b1", "b2", "b3", "b4", "s1", "s2", "s3", "s4"],
    np.array([True] * 4 + [False] * 4),
    {"attack": np.array(["-", "-", "-", "-", "A01", "A01", "A02", "A02"])},
)
SCORES = np.array([0.5, 2, 3, 4, -1, 0, 1, -2])
# EER 0 at threshold 1, where one nontarget in four is accepted
ASV = AsvScores(
    target=np.array([2.0, 3, 4, 5]),
    nontarget=np.array([-2.0, -1, 0, 1]),
    spoof=np.array([3.0, 0, 4, 6]),
    spoof_attacks=["A01", "A01", "A02", "A02"],
)


def evaluate(scores=SCORES, asv=None):
    return evaluate_2019(EvaluationSet("set", TRIALS, {"system": scores}, asv))


def test_figures_of_eight_trials_equal_a_calculation_by_hand():
    evaluation = evaluate(asv=ASV)
    c1, c2 = 0.9405 - 0.095 / 4, 0.5 * 3 / 4

    assert (evaluation.n_bonafide, evaluation.pooled.n_spoof) == (4, 4)
    assert (evaluation.pooled.eer, evaluation.pooled.eer_threshold) == (0.25, 0.5)
    assert evaluation.pooled.min_tdcf == pytest.approx(1 / 4 * c2 / min(c1, c2))  # all but s3 rejected
    assert evaluation.pooled.min_tdcf_threshold == 0

    easy, hard = evaluation.per_attack["A01"], evaluation.per_attack["A02"]
    assert (easy.eer, easy.min_tdcf, easy.asv_p_miss_spoof) == (0, 0, 0.5)
    assert (hard.eer, hard.asv_p_miss_spoof) == (0.375, 0)
    assert hard.min_tdcf == pytest.approx(c1 / 4 / 0.5)  # b1 rejected with both spoofs; C2 is 0.5 for this attack

    assert evaluation.asv is not None
    assert (evaluation.asv.eer, evaluation.asv.threshold) == (0, 1)
    assert (evaluation.asv.p_fa, evaluation.asv.p_miss, evaluation.asv.p_miss_spoof) == (0.25, 0, 0.25)


def test_without_asv_scores_there_are_equal_error_rates_only():
    evaluation = evaluate()
    assert evaluation.asv is None
    assert evaluation.pooled.eer == 0.25
    assert evaluation.pooled.min_tdcf is None
    assert [row.eer for row in evaluation.per_attack.values()] == [0, 0.375]
    assert "needs the scores of an ASV system" in as_text(evaluation)


def test_an_attack_that_the_asv_system_always_rejects_has_no_tdcf():
    asv = AsvScores(ASV.target, ASV.nontarget, np.array([-3.0, 0, 4, 6]), ASV.spoof_attacks)
    evaluation = evaluate(asv=asv)
    assert evaluation.per_attack["A01"].min_tdcf is None
    assert evaluation.per_attack["A02"].min_tdcf is not None
    assert evaluation.pooled.min_tdcf is not None
    assert "– no t-DCF: the ASV system rejects every spoof trial" in as_text(evaluation)


def test_an_attack_without_asv_trials_is_refused():
    asv = AsvScores(ASV.target, ASV.nontarget, ASV.spoof, ["A01", "A01", "A03", "A03"])
    with pytest.raises(ScoreError, match=r"^the ASV scores have no trials of attack A02; expected those of"):
        evaluate(asv=asv)


def test_the_pooled_t_dcf_counts_asv_trials_of_attacks_that_the_countermeasure_did_not_meet():
    more = AsvScores(ASV.target, ASV.nontarget, np.append(ASV.spoof, [-3.0] * 4), [*ASV.spoof_attacks, *["A03"] * 4])
    evaluation = evaluate(asv=more)
    assert evaluation.asv is not None
    assert evaluation.asv.p_miss_spoof == 5 / 8
    assert evaluation.pooled.asv_p_miss_spoof == 5 / 8


def test_spoofs_of_unknown_attack_have_a_row_of_their_own_and_no_t_dcf():
    trials = TrialList(TRIALS.utt_ids, TRIALS.is_bonafide, {"attack": np.array(["-"] * 8)})
    evaluation = evaluate_2019(EvaluationSet("set", trials, {"system": SCORES}))
    assert {name: row.eer for name, row in evaluation.per_attack.items()} == {"-": 0.25}
    with pytest.raises(
        ScoreError, match=r"^set: some spoof trials have no attack; the t-DCF needs the attack of every spoof trial"
    ):
        evaluate_2019(EvaluationSet("set", trials, {"system": SCORES}, ASV))


def test_the_text_has_aligned_columns_within_80_characters():
    text = as_text(evaluate(asv=ASV))
    table = text.split("\n\n")[2].splitlines()
    assert [line.split()[0] for line in table] == ["attack", "A01", "A02", "pooled"]
    assert len({len(line) for line in table}) == 1
    assert max(map(len, text.splitlines())) <= 80


def test_a_warning_stands_below_the_figure_which_stays_as_it_is():
    evaluation = evaluate(-SCORES)
    assert evaluation.pooled.eer > 0.5
    assert evaluation.pooled.eer == 0.75
    lines = as_text(evaluation, "the scores are doubtful").splitlines()
    assert "  EER        75.0000000000 %    at threshold" in lines[1]
    assert lines[2] == "  WARNING    the scores are doubtful"


# EER % and min t-DCF per attack of cm_w2v2_lcnn_eval.txt by the official ASVspoof 2019 evaluation code in float64.
OFFICIAL = {
    "A07": (0.1222, 0.00287),
    "A08": (0.6349, 0.01679),
    "A09": (0.0407, 0.00270),
    "A10": (0.7911, 0.02232),
    "A11": (0.1867, 0.00504),
    "A12": (0.1222, 0.00318),
    "A13": (0.0170, 0.00025),
    "A14": (0.1053, 0.00245),
    "A15": (0.1867, 0.00498),
    "A16": (0.2207, 0.00542),
    "A17": (1.4023, 0.12054),
    "A18": (0.6757, 0.04759),
    "A19": (1.1646, 0.04496),
}


@pytest.mark.corpus
def test_the_published_table_of_attacks(shared):
    folder = shared / "data/asvspoof2019_la"
    asv = folder / "ASVspoof2019.LA.asv.eval.gi.trl.scores.txt"
    (evaluated,) = evaluation_sets([NamedFile("cm", folder / "cm_w2v2_lcnn_eval.txt")], asv=[asv])
    evaluation = evaluate_2019(evaluated)
    found = {a: (round(100 * r.eer, 4), round(r.min_tdcf or 0, 5)) for a, r in evaluation.per_attack.items()}
    assert found == OFFICIAL

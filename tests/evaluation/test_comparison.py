"""Systems side by side: groups, figures, intervals, who is best, and every sentence that goes with them."""

from dataclasses import replace

import numpy as np
import pytest

from spoofcache.evaluation.comparison import compare
from spoofcache.evaluation.evaluation_set import EvaluationSet
from spoofcache.evaluation.figures import Figure, Uncertainty
from spoofcache.evaluation.measures import CM_MEASURES, MEASURES, default_measures
from spoofcache.evaluation.tandem import tandem_behind
from spoofcache.evaluation.trials import TrialList, groups_of
from spoofcache.metrics.dcf import Coefficients
from spoofcache.metrics.decision import Decision
from spoofcache.metrics.det import ScoreError
from spoofcache.metrics.scores import AsvScores

NO_INTERVALS = Uncertainty(replicates=0)
KEYS = np.array([True] * 4 + [False] * 4)
COLUMNS = {
    "attack": np.array(["-"] * 4 + ["A01", "A01", "A02", "A02"]),
    "codec": np.array(["alaw", "alaw", "g722", "g722"] * 2),
    "speaker": np.array(["ann", "ann", "bob", "bob", "ann", "cyd", "bob", "bob"]),
    "vocoder": np.array(["-"] * 8),
}
TRIALS = TrialList([f"u{i}" for i in range(8)], KEYS, COLUMNS)
TDCF = ["min_tdcf_2019", "min_tdcf_2021"]
GOOD = np.array([5.0, 6, 7, 8, 1, 2, 3, 4])
FAIR = np.array([0.5, 2, 3, 4, -1, 0, 1, -2])  # the example of tests/evaluation/test_asvspoof2019.py: EER 25 %
ASV = AsvScores(
    target=np.array([2.0, 3]),
    nontarget=np.array([0.0, -1, -2, 1]),
    spoof=np.array([3.0, 0, 4, 6]),
    spoof_attacks=["A01", "A01", "A02", "A02"],
)


def evaluated(asv=None, **systems):
    return EvaluationSet("paper", TRIALS, systems or {"good": GOOD, "fair": FAIR}, asv)


def many(seed=0, gain=1.0, n=300):
    """A larger set: `sharp` is better than `dull`, `twin` is as good as `sharp`."""
    rng = np.random.default_rng(seed)
    is_bonafide = np.arange(2 * n) < n
    mean, noise = np.where(is_bonafide, 1.0, -1.0), rng.normal(size=(3, 2 * n))
    systems = {
        "sharp": 2 * mean + noise[0],
        "dull": gain * mean + noise[1],
        "twin": 2 * mean + noise[2],
    }
    trials = TrialList([str(i) for i in range(2 * n)], is_bonafide, {"attack": np.where(is_bonafide, "-", "A")})
    return EvaluationSet("many", trials, systems)


class TestGroups:
    def test_the_first_group_consists_of_all_trials(self):
        (pooled,), notes = groups_of(TRIALS, [])
        assert pooled.members.all()
        assert notes == []

    def test_bona_fide_trials_without_an_attack_count_with_every_attack(self):
        _, a01, a02 = groups_of(TRIALS, ["attack"])[0]
        assert (a01.value, a01.members.tolist()) == ("A01", [True] * 4 + [True, True, False, False])
        assert (a02.value, a02.members.tolist()) == ("A02", [True] * 4 + [False, False, True, True])

    def test_bona_fide_trials_with_a_codec_count_with_theirs(self):
        _, alaw, _ = groups_of(TRIALS, ["codec"])[0]
        assert alaw.members.tolist() == [True, True, False, False] * 2

    def test_groups_that_lack_a_class_are_omitted_and_named(self):
        groups, notes = groups_of(TRIALS, ["speaker"])
        assert [group.value for group in groups] == ["pooled", "ann", "bob"]
        assert notes == ["By speaker: 1 of 3 groups have trials of one class only and are omitted (cyd)."]

    @pytest.mark.parametrize("column", ["phase", "vocoder"])
    def test_a_column_that_says_nothing_is_refused(self, column):
        with pytest.raises(ScoreError, match=f"no column {column}; expected one of attack, codec, speaker"):
            groups_of(TRIALS, [column])


class TestFigures:
    def test_pooled_figures_and_those_by_attack_equal_a_calculation_by_hand(self):
        comparison = compare(evaluated(ASV), ["eer", "min_tdcf_2019"], ["attack"], NO_INTERVALS)
        fair = comparison.pooled.figures["fair"]
        assert (fair["eer"].value, fair["min_tdcf_2019"].value) == (0.25, pytest.approx(0.25))
        by_attack = {name: table.figures["fair"] for name, table in comparison.by["attack"].items()}
        assert {name: figures["eer"].value for name, figures in by_attack.items()} == {"A01": 0, "A02": 0.375}
        assert by_attack["A02"]["min_tdcf_2019"].value == pytest.approx((0.9405 - 0.095 / 4) / 2)
        assert (comparison.by["attack"]["A01"].n_bonafide, comparison.by["attack"]["A01"].n_spoof) == (4, 2)

    def test_the_best_is_marked_where_there_is_a_choice(self):
        pooled = compare(evaluated(), ["eer"], uncertainty=NO_INTERVALS).pooled.figures
        assert (pooled["good"]["eer"], pooled["fair"]["eer"]) == (
            Figure(0.0, best=True, threshold=4),
            Figure(0.25, threshold=0.5),
        )
        assert compare(evaluated(only=GOOD), ["eer"], uncertainty=NO_INTERVALS).pooled.figures["only"]["eer"] == Figure(
            0, threshold=4
        )

    def test_equal_figures_are_both_best(self):
        pooled = compare(evaluated(a=GOOD, b=np.exp(GOOD)), ["eer", "min_dcf"], uncertainty=NO_INTERVALS).pooled.figures
        assert all(figure.best for figures in pooled.values() for figure in figures.values())

    def test_every_measure_of_the_registry(self):
        known = Decision(1.0, 0.0, 0.0, 0.1, "LA/dev", 1, 1, "")
        runs = evaluated(ASV)
        runs = replace(runs, decisions=dict.fromkeys(runs.systems, known))
        comparison = compare(runs, CM_MEASURES, ["attack"], Uncertainty(replicates=20))
        for figures in comparison.pooled.figures.values():
            assert list(figures) == list(CM_MEASURES)
            assert all(np.isfinite(figure.value) for figure in figures.values())
            assert all((figures[name].low is None) != MEASURES[name].bootstrapped for name in CM_MEASURES)

    def test_the_default_measures_follow_from_the_inputs(self):
        assert default_measures(tandem=False, costs=False, calibrated=False) == ("eer", "min_dcf")
        assert default_measures(tandem=False, costs=True, calibrated=False) == ("eer", "min_tdcf_2021", "min_dcf")
        assert "t_eer" in default_measures(tandem=True, costs=False, calibrated=False)
        assert "cllr" in default_measures(tandem=False, costs=False, calibrated=True)


class TestTandem:
    def test_an_attack_has_its_own_asv_trials(self):
        pooled, a01, a02 = groups_of(TRIALS, ["attack"])[0]
        c2 = [tandem_behind(evaluated(ASV), group, TDCF).tdcf_2019.c2 for group in (pooled, a01, a02)]
        assert c2 == pytest.approx([0.5 * 0.75, 0.5 * 0.5, 0.5])  # the ASV system rejects 1/4, 1/2 and none of them

    def test_any_other_group_has_the_asv_trials_of_its_attacks_and_the_notes_say_so(self):
        pooled, alaw, g722 = groups_of(TRIALS, ["codec"])[0]  # alaw holds spoofs of A01, g722 of A02
        c2 = [tandem_behind(evaluated(ASV), group, TDCF).tdcf_2019.c2 for group in (pooled, alaw, g722)]
        assert c2 == pytest.approx([0.5 * 0.75, 0.5 * 0.5, 0.5])
        notes = compare(evaluated(ASV), ["min_tdcf_2019"], ["codec"], NO_INTERVALS).notes
        assert any("by codec use the ASV error rates of each group's attacks" in note for note in notes)

    def test_asv_trials_of_attacks_that_are_not_judged_do_not_count(self):
        more = AsvScores(
            ASV.target, ASV.nontarget, np.append(ASV.spoof, [-9.0] * 8), [*ASV.spoof_attacks, *["A19"] * 8]
        )
        alone, beside = (compare(evaluated(asv), TDCF, [], NO_INTERVALS).pooled.figures for asv in (ASV, more))
        assert alone == beside

    def test_unknown_attacks_cannot_be_matched_and_that_is_warned_of(self):
        nameless = TrialList(TRIALS.utt_ids, KEYS, {**COLUMNS, "attack": np.array(["-"] * 8)})
        one = EvaluationSet("nameless", nameless, {"good": GOOD}, ASV)
        assert tandem_behind(one, groups_of(nameless, [])[0][0], TDCF).tdcf_2019.c2 == pytest.approx(0.5 * 0.75)
        assert any("whether the ASV scores are of the same corpus" in w for w in compare(one, TDCF).warnings)

    def test_an_asv_system_of_inverted_sign_is_warned_of(self):
        turned = AsvScores(-ASV.target, -ASV.nontarget, ASV.spoof, ASV.spoof_attacks)
        warnings = compare(evaluated(turned), ["t_eer"], [], NO_INTERVALS).warnings
        assert "the ASV system: an EER above 50 %" in " ".join(warnings)

    def test_measures_that_need_no_asv_system_do_not_ask_for_a_sound_one(self):
        useless = AsvScores(ASV.nontarget, ASV.target, ASV.spoof, ASV.spoof_attacks)
        assert compare(evaluated(useless), ["eer"], [], NO_INTERVALS).pooled.figures["good"]["eer"].value == 0

    def test_costs_of_a_condition_that_is_not_there_are_refused(self):
        one = EvaluationSet("paper", TRIALS, {"good": GOOD}, costs_2021={"opus": Coefficients(0.1, 0.6, 0.3)})
        with pytest.raises(
            ScoreError, match="coefficients of opus: 0 groups have that name; expected one of pooled, alaw"
        ):
            compare(one, ["min_tdcf_2021"], ["codec"], NO_INTERVALS)

    def test_costs_given_per_condition_replace_the_asv_scores(self):
        costs = {"pooled": Coefficients(0.1, 0.6, 0.3), "alaw": Coefficients(0.0, 0.6, 0.3)}
        one = EvaluationSet("paper", TRIALS, {"good": GOOD}, costs_2021=costs)
        comparison = compare(one, ["min_tdcf_2021"], ["codec"], NO_INTERVALS)
        assert comparison.pooled.figures["good"]["min_tdcf_2021"].value == pytest.approx(0.1 / 0.4)
        assert comparison.by["codec"]["alaw"].figures["good"]["min_tdcf_2021"].value == 0
        assert comparison.by["codec"]["g722"].figures["good"]["min_tdcf_2021"].value is None
        assert any("min t-DCF (2021) is not defined for g722" in note for note in comparison.notes)

    def test_an_attack_that_deceives_nobody_has_no_tdcf(self):
        weak = AsvScores(ASV.target, ASV.nontarget, np.array([-9.0, -9, 4, 6]), ASV.spoof_attacks)
        comparison = compare(evaluated(weak), ["eer", "min_tdcf_2019"], ["attack"], Uncertainty(replicates=5))
        assert comparison.by["attack"]["A01"].figures["fair"]["min_tdcf_2019"] == Figure(None)
        assert comparison.by["attack"]["A01"].figures["fair"]["eer"].low is not None
        assert any("not defined for A01" in note for note in comparison.notes)

    def test_an_attack_without_asv_trials_is_refused(self):
        other = AsvScores(ASV.target, ASV.nontarget, ASV.spoof, ["A01"] * 4)
        with pytest.raises(ScoreError, match="no trials of attack A02"):
            compare(evaluated(other), ["eer"], ["attack"], NO_INTERVALS)


class TestIntervals:
    def test_a_figure_lies_in_its_interval(self):
        for figures in compare(many(), ["eer", "min_dcf", "cllr"]).pooled.figures.values():
            for figure in figures.values():
                assert figure.low < figure.value < figure.high

    def test_a_real_difference_is_significant_and_that_of_equal_systems_is_not(self):
        figures = compare(many(gain=1.0), ["cllr"]).pooled.figures
        best = min(figures, key=lambda name: figures[name]["cllr"].value)
        twin = ({"sharp", "twin"} - {best}).pop()
        assert figures[best]["cllr"].p_value is None
        assert figures["dull"]["cllr"].p_value < 0.01
        assert figures[twin]["cllr"].p_value > 0.05

    def test_a_group_has_intervals_by_the_other_clusters(self):
        comparison = compare(evaluated(), ["eer"], ["attack"], Uncertainty(20, clusters=("attack",)))
        assert comparison.by["attack"]["A01"].figures["fair"]["eer"].low is not None
        assert (
            "drawing whole attacks (2), which are few: the intervals are rough; in the tables by attack, attacks are "
            "not drawn as a whole." in comparison.notes[0]
        )

    def test_a_group_that_its_clusters_leave_nothing_to_draw_has_no_intervals_and_says_so(self):
        comparison = compare(evaluated(), ["eer"], ["attack"], Uncertainty(20, clusters=("speaker",)))
        assert comparison.by["attack"]["A01"].figures["fair"]["eer"].low is not None
        assert comparison.by["attack"]["A02"].figures["fair"]["eer"].low is None
        assert "No intervals for A02: all trials of a class have the speaker bob" in comparison.notes[-1]

    def test_the_notes_state_how_the_figures_were_computed(self):
        assert compare(evaluated(), ["eer"], uncertainty=Uncertainty(100, 0.9, seed=7)).notes[0] == (
            "Intervals: 90% percentile bootstrap, 100 replicates (seed 7), drawing trials one by one within each class."
            " Differences from the best system: paired bootstrap test on the same draws, with Holm's correction for "
            "the number of systems in a cell (not for the number of cells)."
        )
        assert "Differences" not in compare(evaluated(a=GOOD), ["eer"]).notes[0]

    def test_where_nothing_could_be_significant_nothing_is_called_equal(self):
        # the smallest p-value is 2/(39 + 1) = 0.05 for two systems, twice that for three
        comparison = compare(evaluated(), ["eer"], uncertainty=Uncertainty(39))
        assert comparison.pooled.figures["fair"]["eer"].p_value is None
        assert "No tests were made: with 2 systems they need more than 40 replicates." in comparison.notes[0]
        assert (
            compare(evaluated(), ["eer"], uncertainty=Uncertainty(41)).pooled.figures["fair"]["eer"].p_value is not None
        )

    def test_progress_counts_replicates_of_every_table(self):
        counted = []
        compare(evaluated(), ["eer"], ["attack"], Uncertainty(7), counted.append)
        assert sum(counted) == 7 * len(groups_of(TRIALS, ["attack"])[0])

    def test_an_unknown_cluster_is_refused(self):
        with pytest.raises(ScoreError, match="no column studio; expected one of"):
            compare(evaluated(), ["eer"], uncertainty=Uncertainty(10, clusters=("studio",)))


def doubled(scores, times=8):
    """The eight trials often enough that no warning is due for their number."""
    columns = {name: np.repeat(values, times) for name, values in COLUMNS.items()}
    trials = TrialList([f"u{i}" for i in range(8 * times)], np.repeat(KEYS, times), columns)
    return EvaluationSet(
        "doubled", trials, {n: np.repeat(s, times) + np.tile(np.arange(times) / 99, 8) for n, s in scores.items()}
    )


class TestWarnings:
    def test_an_inverted_sign_causes_a_warning_and_is_kept(self):
        comparison = compare(doubled({"bad": -GOOD}), ["eer"], uncertainty=NO_INTERVALS)
        assert comparison.pooled.figures["bad"]["eer"].value == 1
        assert comparison.warnings == (
            "bad: an EER above 50 %: the sign of the scores may be inverted (higher must mean bona fide)",
        )

    def test_probabilities_are_no_log_likelihood_ratios(self):
        halves = doubled({"p": GOOD / 10})
        assert not compare(halves, ["eer"], uncertainty=NO_INTERVALS).warnings
        assert "log-likelihood ratios" in compare(halves, ["cllr"], uncertainty=NO_INTERVALS).warnings[0]

    def test_a_handful_of_trials_causes_a_warning(self):
        assert compare(evaluated(), ["eer"], uncertainty=NO_INTERVALS).warnings[:2] == (
            "paper: only 4 bona fide trials; each of them moves every figure noticeably",
            "paper: only 4 spoof trials; each of them moves every figure noticeably",
        )

    def test_of_derived_systems_only_the_sign_is_checked(self):
        ties = doubled({"same": np.array([1, 1, 1, 1, 2, 1, 1, 0.0])})
        scores = ties.systems["same"]
        one = EvaluationSet("s", ties.trials, {"turned": -scores - 5 * KEYS.repeat(8)}, derived=("turned",))
        assert [warning[:40] for warning in compare(one, ["eer"], uncertainty=NO_INTERVALS).warnings] == [
            "turned: an EER above 50 %: the sign of t"
        ]


class TestGroupsOfSomeBonaFide:
    def test_bona_fide_trials_without_a_value_are_in_no_group_if_others_have_one(self):
        codec = np.array(["none", "none", "C01", "-", "none", "C01", "C01", "-"])
        trials = TrialList(TRIALS.utt_ids, KEYS, {"codec": codec})
        groups, notes = groups_of(trials, ["codec"])
        assert {group.value: int(group.members.sum()) for group in groups} == {"pooled": 8, "C01": 3, "none": 3}
        assert notes == ["By codec: 2 trials have no codec and are in none of the groups."]

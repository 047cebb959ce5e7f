"""Runs × cached test sets: figures known by hand, scores made once, and none that is stale."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from spoofcache.engine.about import RunError
from spoofcache.engine.calibration_file import weights_sha256, write_decision
from spoofcache.engine.trained_on import write_trained_on
from spoofcache.evaluation import crosscorpus
from spoofcache.evaluation.comparison import compare
from spoofcache.evaluation.crosscorpus import CrossCorpus, NamedTestSet, named_tests, read_test_sets
from spoofcache.evaluation.figures import Uncertainty
from spoofcache.evaluation.runs import read_runs
from spoofcache.evaluation.tables import as_record
from spoofcache.features.augment.view import View
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.plan import SKIPPED, Identity, ShardMismatch, StoreError
from spoofcache.metrics.decision import Decision
from spoofcache.metrics.det import ScoreError, equal_error_rate
from spoofcache.protocols.trial import ProtocolError
from tests.corpora import IDENTITY, write_cache
from tests.runs import ONE_IN_FOUR, PERFECT, TRIALS, write_run, write_test

CPU = torch.device("cpu")
OTHER = Identity({**IDENTITY.settings, "front_end": {"name": "another"}})


@pytest.fixture
def place(tmp_path):
    """Two runs, of which the second sees the perfect coefficient only, and two test sets."""
    write_run(tmp_path / "runs/first", (1, 0))
    write_run(tmp_path / "runs/second", (0, 1))
    write_test(tmp_path / "cache/hard/one/test", ONE_IN_FOUR)
    write_test(tmp_path / "cache/easy/one/eval", PERFECT)
    return tmp_path


def sets_of(place, **where):
    easy, hard = (str(place / "cache" / name / "one" / part) for name, part in (("easy", "eval"), ("hard", "test")))
    return [NamedTestSet("hard", (hard,), **where), NamedTestSet("easy", (easy,))]


def work(place, tests=None, names=("first", "second")):
    return CrossCorpus(read_runs([str(place / "runs" / name) for name in names]), tests or sets_of(place))


def scored(place, *arguments):
    done = work(place, *arguments)
    done.score(3, CPU)
    return done


def eer(evaluated, system):
    scores, is_bonafide = evaluated.systems[system], evaluated.trials.is_bonafide
    return equal_error_rate(scores[is_bonafide], scores[~is_bonafide]).rate


def kept(place, name="first"):
    return sorted((place / "runs" / name / "scores").glob("*.tsv"))


def test_every_run_is_scored_on_every_test_set(place):
    advanced = []
    done = work(place)
    assert done.n_to_score == 2 * 2 * 8
    done.score(3, CPU, advanced.append)
    assert sum(advanced) == 32
    hard, easy = done.evaluation_sets()
    assert (hard.name, easy.name) == ("hard", "easy")
    assert hard.systems["first"].tolist() == list(ONE_IN_FOUR)
    assert [eer(hard, "first"), eer(hard, "second"), eer(easy, "first")] == [0.25, 0, 0]


def test_a_run_is_judged_at_the_threshold_and_with_the_calibration_that_it_knows(place):
    fitted = Decision(2.0, -1.0, 6.5, 0.1, "LA/dev", 30, 70, weights_sha256(place / "runs/first", "best"))
    write_decision(place / "runs/first", "best", fitted)
    done = work(place, sets_of(place)[:1], ["first"])
    done.score(3, CPU)
    (hard,) = done.evaluation_sets()
    comparison = compare(hard, ("eer", "hter", "run_act_dcf", "run_cllr"), uncertainty=Uncertainty(replicates=20))
    figures = comparison.pooled.figures["first"]
    assert (figures["eer"].value, figures["hter"].value) == (0.25, (3 / 4 + 0) / 2)  # of 7, 6, 5, 1 only 7 is accepted
    bonafide, spoof = 2 * np.array([7, 6, 5, 1.0]) - 1, 2 * np.array([2, 0, -1, -2.0]) - 1
    bits = (np.log2(1 + np.exp(-bonafide)).mean() + np.log2(1 + np.exp(spoof)).mean()) / 2
    assert figures["run_cllr"].value == pytest.approx(bits)
    assert figures["hter"].low <= figures["hter"].value <= figures["hter"].high
    note = (
        "first at 6.5, the threshold of the EER (10.00%) on LA/dev (30 bona fide and 70 spoof trials): accuracy 62.50%"
    )
    assert any(each.startswith(note) for each in comparison.notes)
    assert as_record(comparison)["at_dev_threshold"]["first"]["bonafide_as_spoof"] == 3


def test_an_augmented_test_set_is_one_of_its_own_and_taken_only_where_it_is_named(place):
    augmented = Identity({**IDENTITY.settings, "augment": dict(View("codec:mp3", 0, 1).settings())})
    write_test(place / "cache/easy/one+codec-mp3/eval", ONE_IN_FOUR, identity=augmented)
    either, coded = (NamedTestSet(name, (f"{place}/cache/easy/{name}/eval",)) for name in ("one*", "*codec*"))
    clean, noisy = scored(place, [either, coded]).evaluation_sets()
    assert [eer(clean, "first"), eer(noisy, "first")] == [0, 0.25]
    assert len(kept(place)) == 2


def test_scores_are_kept_and_not_made_again(place, monkeypatch):
    before = scored(place).evaluation_sets()
    assert [path.name.rpartition("-")[0] for path in kept(place)] == ["test-eval", "test-test"]
    monkeypatch.setattr(crosscorpus, "score_partition", None)
    again = work(place)
    assert again.n_to_score == 0
    again.score(3, CPU)
    for one, other in zip(before, again.evaluation_sets(), strict=True):
        assert all(np.array_equal(one.systems[name], other.systems[name]) for name in one.systems)


def test_only_what_is_missing_is_scored(place):
    scored(place, None, ("first",))
    assert work(place).n_to_score == 2 * 8


def test_scores_of_other_weights_are_not_taken(place):
    scored(place)
    write_run(place / "runs/first", (0, 1))  # trained on
    assert work(place).n_to_score == 2 * 8
    hard, _ = scored(place).evaluation_sets()
    assert eer(hard, "first") == 0
    assert len(kept(place)) == 4


def test_scores_of_another_trial_list_are_not_taken(place):
    scored(place)
    shutil.rmtree(place / "cache/hard/one/test")
    write_test(place / "cache/hard/one/test", PERFECT, trials=[replace(t, utt_id=f"{t.utt_id}_") for t in TRIALS])
    assert work(place).n_to_score == 2 * 8
    hard, _ = scored(place).evaluation_sets()
    assert hard.trials.utt_ids[0] == "u0_"


def test_scores_of_other_features_under_the_same_names_are_not_taken(place):
    scored(place)
    shutil.rmtree(place / "cache/hard/one/test")
    write_test(place / "cache/hard/one/test", PERFECT)
    assert work(place).n_to_score == 2 * 8
    hard, _ = scored(place).evaluation_sets()
    assert eer(hard, "first") == 0


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: "".join(text.splitlines(keepends=True)[:-1]),
        lambda text: text.replace("0", "1", 1),
        lambda text: "",
    ],
    ids=["a trial less", "a digit", "nothing"],
)
def test_kept_scores_that_were_edited_are_refused(place, edit):
    done = scored(place)
    path = next(path for path in kept(place) if path.name.startswith("test-test"))
    path.write_text(edit(path.read_text()))
    with pytest.raises(ScoreError, match=r"test-test-.*\.tsv: changed since it was written.*; delete both files"):
        done.evaluation_sets()


def test_kept_scores_without_their_checksum_are_made_again(place):
    scored(place)
    path = kept(place)[0]
    path.with_name(f"{path.name}.sha256").unlink()
    assert work(place).n_to_score == 8


def test_a_crash_while_scoring_leaves_only_complete_score_files(place, monkeypatch):
    real, calls = crosscorpus.format_cm_scores, []

    def fail_at_the_second(scores, form):
        calls.append(form)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(scores, form)

    monkeypatch.setattr(crosscorpus, "format_cm_scores", fail_at_the_second)
    with pytest.raises(OSError, match="No space"):
        scored(place)
    assert [path.name[:9] for path in kept(place)] == ["test-test"]
    monkeypatch.setattr(crosscorpus, "format_cm_scores", real)
    assert work(place).n_to_score == 3 * 8


def test_two_evaluations_at_once_end_with_the_same_scores(place, monkeypatch):
    real = crosscorpus.score_partition

    def another_comes_first(*arguments):
        monkeypatch.setattr(crosscorpus, "score_partition", real)
        scored(place)
        return real(*arguments)

    monkeypatch.setattr(crosscorpus, "score_partition", another_comes_first)
    hard, _ = scored(place).evaluation_sets()
    assert hard.systems["first"].tolist() == list(ONE_IN_FOUR)
    assert len(kept(place)) == 2


def test_weights_that_change_meanwhile_are_refused(place, monkeypatch):
    real = crosscorpus.score_partition

    def train_on(*arguments):
        write_run(place / "runs/first", (0, 1))
        return real(*arguments)

    monkeypatch.setattr(crosscorpus, "score_partition", train_on)
    with pytest.raises(
        RunError, match="runs/first: its best weights changed in the meantime; expected a finished training"
    ):
        scored(place)
    assert not (place / "runs/first/scores").exists()


def test_a_score_that_is_no_number_names_run_and_cache(place):
    write_run(place / "runs/first", (float("nan"), 0))
    with pytest.raises(ScoreError, match=r"runs/first on .*test: score nan of u0; expected"):
        scored(place)


def test_trials_are_picked_by_their_columns_and_scored_with_the_whole(place):
    halves = [NamedTestSet(n, (str(place / "cache/hard/*/test"),), (f"language={n}",)) for n in ("en", "zh")]
    done = work(place, halves)
    assert done.n_to_score == 2 * 8
    done.score(8, CPU)
    english, chinese = done.evaluation_sets()
    assert english.trials.utt_ids == ["u1", "u3", "u5", "u7"]
    assert english.systems["first"].tolist() == [6, 1, 0, -2]
    assert [eer(english, "first"), eer(chinese, "first")] == [0, 0]  # u3 and u4, the two that are wrong, are apart
    assert "where language=en, 4 trials" in english.notes[0]
    with pytest.raises(ProtocolError, match=r"test set en: language 'zh': no such trial; expected some of en"):
        done.evaluation_sets(["language=zh"])


def test_each_run_takes_the_cache_of_its_own_front_end(place):
    write_run(place / "runs/third", (1, 0), identity=OTHER)
    write_test(place / "cache/hard/two/test", PERFECT, identity=OTHER)
    (hard,) = scored(
        place, [NamedTestSet("hard", (str(place / "cache/hard/*/test"),))], ("first", "third")
    ).evaluation_sets()
    assert [eer(hard, "first"), eer(hard, "third")] == [0.25, 0]


def test_a_cache_of_another_identity_is_refused_before_anything_is_scored(place):
    write_run(place / "runs/third", identity=OTHER)
    sentence = (
        "test set hard has no cache for run .*runs/third: .*hard/one/test: a cache of another identity: "
        "front_end.name is 'test', expected 'another'"
    )
    with pytest.raises(ShardMismatch, match=sentence):
        work(place, None, ("first", "third"))
    assert not (place / "runs/first/scores").exists()


def test_caches_of_one_test_set_hold_the_same_trials(place):
    write_run(place / "runs/third", identity=OTHER)
    write_test(place / "cache/hard/two/test", PERFECT[:7], PERFECT[:7], trials=TRIALS[:7], identity=OTHER)
    tests = [NamedTestSet("hard", (str(place / "cache/hard/*/test"),))]
    with pytest.raises(ShardMismatch, match=r"test \(8 trials\) and .*two/test \(7\) hold different trials"):
        work(place, tests, ("first", "third"))


def test_two_caches_of_one_identity_are_one_too_many(place):
    shutil.copytree(place / "cache/hard/one", place / "cache/hard/two")
    with pytest.raises(ShardMismatch, match=r"one/test and .*two/test both fit run .*first; expected one for each run"):
        work(place, [NamedTestSet("hard", (str(place / "cache/hard/*/test"),))])


def test_an_unfinished_cache_is_another_front_ends_or_a_sentence(place):
    (place / "cache/hard/unfinished/test").mkdir(parents=True)
    assert work(place, [NamedTestSet("hard", (str(place / "cache/hard/*/test"),))]).n_to_score == 16
    with pytest.raises(StoreError, match=r"nowhere/\*: no complete cache; expected at least one"):
        work(place, [NamedTestSet("hard", (str(place / "nowhere/*"),))])
    with pytest.raises(StoreError, match=r"unfinished/test: no manifest\.json; expected a complete cache"):
        work(place, [NamedTestSet("hard", (str(place / "cache/hard/unfinished/test"),))])


def test_a_test_on_the_training_data_causes_a_warning(place):
    write_run(place / "runs/cheat", trained_on=("LA/train", "test/test"))
    hard, easy = scored(place, None, ("first", "cheat")).evaluation_sets()
    assert hard.warnings == ("cheat was trained on test/test, the same trials that it is judged on",)
    assert easy.warnings == ()


def trained_on(place, corpus, trials):
    """The first run, which was trained on these."""
    cache = write_cache(place / corpus / "train", trials, np.zeros((len(trials), 2, 2)), corpus=corpus)
    write_trained_on(place / "runs/first", [CachedFeatures(cache)])
    return [evaluated.warnings for evaluated in scored(place, None, ("first",)).evaluation_sets()]


def test_trials_that_were_trained_on_are_counted_whatever_their_partition_is_called(place):
    told = "first was trained on 2 of the 8 trials that it is judged on, in test/train"
    strangers = [replace(trial, utt_id=f"x{trial.utt_id}") for trial in TRIALS]
    assert trained_on(place, "test", [*TRIALS[3:5], *strangers]) == [(told,), (told,)]


def test_a_corpus_of_another_name_with_the_same_trials_causes_a_warning(place):
    told = (
        "first was trained on utterances of mini/train with name, speaker, attack and key of 5 of the 8 trials that it "
        "is judged on"
    )
    assert trained_on(place, "mini", TRIALS[2:7]) == [(told,), (told,)]


def test_corpora_may_have_some_names_in_common(place):
    others = [replace(trial, speaker="S1") for trial in TRIALS[2:]]
    assert trained_on(place, "mini", [*TRIALS[:2], *others]) == [(), ()]


def test_only_trials_that_are_judged_count(place):
    trained_on(place, "test", TRIALS[:1])  # u0 is Chinese
    tests = sets_of(place, where=("language=en",))
    english, _ = scored(place, tests, ("first",)).evaluation_sets()
    assert not any("trained on" in warning for warning in english.warnings)


def test_a_table_of_training_utterances_that_was_changed_gets_a_sentence(place):
    (place / "runs/first/trained_on.tsv").write_text("utt_id\n")
    with pytest.raises(RunError, match=r"trained_on\.tsv:1: header utt_id; expected corpus partition utt_id speaker"):
        scored(place, None, ("first",)).evaluation_sets()


def test_the_average_is_judged_where_it_is_asked_for_and_its_scores_are_its_own(place):
    scored(place, None, ("first",))
    with pytest.raises(RunError, match=r"no average\.json; expected the run folder of a finished training with"):
        read_runs([str(place / "runs/first")], "average")
    write_run(place / "averaged", (0, 1))
    for ending in ("safetensors", "json"):
        shutil.copy(place / f"averaged/model.{ending}", place / f"runs/first/average.{ending}")
    average = CrossCorpus(read_runs([str(place / "runs/first")], "average"), sets_of(place))
    assert average.n_to_score == 2 * 8
    average.score(3, CPU)
    evaluated = average.evaluation_sets()
    assert [eer(each, "first") for each in evaluated] == [0, 0]
    assert evaluated[0].notes[0].endswith("hard/one/test, 8 trials, by the average weights.")
    assert len(kept(place)) == 4


def test_utterances_without_features_cause_a_warning(place, monkeypatch):
    done = scored(place)
    for data in done._opened.values():
        monkeypatch.setattr(data, "plan", replace(data.plan, n_trials=10))
    hard, _ = done.evaluation_sets()
    assert hard.warnings == (f"2 of 10 trials have no score: {place / 'cache/hard/one/test' / SKIPPED}",)


def test_named_tests_are_added_or_picked():
    known = [NamedTestSet("BD", ("bd",)), NamedTestSet("ITW", ("itw",), ("language=en",))]
    assert named_tests([], known) == known
    assert named_tests(["ITW"], known) == known[1:]
    assert named_tests(["LA=a/*", "LA=b"], known) == [*known, NamedTestSet("LA", ("a/*", "b"))]
    assert named_tests(["ITW", "LA=a"], known) == [known[1], NamedTestSet("LA", ("a",))]


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ([], "no test set; expected --test NAME=CACHE or --test-sets FILE"),
        (["XX"], "--test XX: expected NAME=CACHE, or a name from --test-sets, which has none"),
        (["=a"], "--test =a: no name or no cache; expected a new NAME=CACHE"),
        (["a="], "--test a=: no name or no cache; expected a new NAME=CACHE"),
    ],
)
def test_test_sets_without_name_or_cache_are_refused(texts, sentence):
    with pytest.raises(StoreError) as refusal:
        named_tests(texts)
    assert str(refusal.value) == sentence


def test_a_name_of_the_file_is_not_given_again():
    with pytest.raises(StoreError, match="--test BD=x: a name that --test-sets has; expected a new NAME=CACHE"):
        named_tests(["BD=x"], [NamedTestSet("BD", ("bd",))])


def test_test_sets_are_read_relative_to_their_file(tmp_path):
    path = tmp_path / "sets.toml"
    path.write_text('[BD]\ncache = "bd/*/test"\n[EN]\ncache = ["a", "b"]\nwhere = ["language=en"]\n')
    assert read_test_sets(path) == [
        NamedTestSet("BD", (str(tmp_path / "bd/*/test"),)),
        NamedTestSet("EN", (str(tmp_path / "a"), str(tmp_path / "b")), ("language=en",)),
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[BD", "not TOML"),
        ("[BD]\nwhere = []", 'BD has no cache; expected a table [BD] with cache = "folder"'),
        ('BD = "bd"', "BD has no cache; expected a table"),
        ('[BD]\ncache = "a"\nfilter = "b"', "unknown key BD.filter; expected some of cache, where"),
        ("[BD]\ncache = 3", "BD.cache is 3; expected a text or a list of texts"),
        ('[BD]\ncache = "a"\nwhere = [1]', "BD.where is [1]; expected a text or a list of texts"),
    ],
)
def test_broken_files_of_test_sets_are_refused(tmp_path, text, sentence):
    path = tmp_path / "sets.toml"
    path.write_text(text)
    with pytest.raises(StoreError) as refusal:
        read_test_sets(path)
    assert str(refusal.value).startswith(f"{path}: {sentence}")

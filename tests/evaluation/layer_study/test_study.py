"""The study finds the layers that carry the class, and combines those that complement each other."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from spoofcache.engine.about import RunError
from spoofcache.evaluation.figures import Uncertainty
from spoofcache.evaluation.layer_study import page, pictures, tables
from spoofcache.evaluation.layer_study.pooled_sets import StudyError, open_pooled
from spoofcache.evaluation.layer_study.recommendation import Cost, Recommendation
from spoofcache.evaluation.layer_study.study import Sets, Settings, fit_layers, judge_layers, n_draws, n_fits
from spoofcache.features.plan import ShardMismatch
from spoofcache.metrics.bootstrap import ClusterError
from spoofcache.metrics.det import equal_error_rate
from spoofcache.protocols.trial import ProtocolError, Trial
from tests.corpora import IDENTITY, make_trials, separable_rows, write_cache
from tests.evaluation.layer_study.sets import N_LAYERS, pooled, pooled_identity

QUICK = Settings(uncertainty=Uncertainty(100))


def three(folder, carried):
    return Sets(
        pooled(folder / "train", carried, seed=1),
        pooled(folder / "dev", carried, seed=2),
        [pooled(folder / "eval", carried, seed=3)],
    )


def study(sets, settings=QUICK):
    return judge_layers(fit_layers(sets, settings))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A study in which layers 4 and 2 carry the class, 4 more of it."""
    return study(three(tmp_path_factory.mktemp("study"), {4: 2.0, 2: 1.7}))


def test_the_layers_that_carry_the_class_come_first(found):
    assert found.ranking[:2] == ("4", "2")
    assert sorted(found.ranking) == [str(number) for number in range(N_LAYERS)]
    assert found.sets == ["dev", "eval"]
    assert found.folds_by == "speaker"


def test_a_figure_is_the_eer_and_lies_in_its_interval(found):
    for name in found.sets:
        for layer in found.layers:
            figure = found.figure(layer, name)
            assert figure.low <= figure.value <= figure.high
    assert found.figure("4", "eval").value < 0.2
    assert found.figure("0", "eval").value > 0.35


def test_the_layers_that_complement_each_other_make_the_best_pair(found):
    assert [one.layers for one in found.combinations][:2] == [("4",), ("2", "4")]
    single, pair, four = found.combinations
    assert len(four.layers) == 4
    assert pair.figures["dev"].value < single.figures["dev"].value
    assert pair.figures["eval"].value < single.figures["eval"].value


def test_scores_are_those_of_probes_on_the_layers(tmp_path):
    sets = three(tmp_path, {1: 2.0})
    fits = fit_layers(sets, QUICK)
    keys = sets.dev.trials.is_bonafide
    scores = fits.scores[1][0]
    rate = equal_error_rate(scores[keys], scores[~keys]).rate
    assert judge_layers(fits).figure("1", "dev").value == rate


def test_of_equally_good_layers_the_lowest_is_recommended(tmp_path):
    """A block passes on what the one below it has found; running fewer of them is better."""
    sets = three(tmp_path, {3: 30.0, 4: 30.0, 5: 30.0})
    assert study(sets).ranking[:3] == ("3", "4", "5")


def test_progress_is_counted_to_the_end(tmp_path):
    sets = three(tmp_path, {4: 2.0})
    settings = replace(QUICK, hold_out=True)
    fits, draws = [], []
    judge_layers(fit_layers(sets, settings, fits.append), draws.append)
    assert (sum(fits), sum(draws)) == (n_fits(sets, settings), n_draws(sets, settings))


def test_an_attack_is_judged_by_a_probe_that_never_saw_it(tmp_path):
    """Attack A02 looks like bona fide along the direction by which A01 is told: only who has seen A02 can tell it."""
    sets = three(tmp_path, {})
    for one, seed in ((sets.train, 1), (sets.dev, 2), (sets.tests[0], 3)):
        attacks = one.trials.columns["attack"]
        rows = np.random.default_rng(seed).standard_normal((attacks.size, N_LAYERS, 12))
        rows[attacks == "A01", 0, 0] -= 8
        rows[attacks == "A02", 0, 1] -= 8
        one.__dict__["layer"] = lambda number, rows=rows: rows[:, number]
    found = study(sets, replace(QUICK, hold_out=True))
    assert found.figure("0", "dev").value < 0.05
    of_layer = found.held_out["dev"]["0"]
    assert set(of_layer.attacks) == {"A01", "A02"}
    assert min(of_layer.attacks.values()) > 0.3
    assert of_layer.mean.value == pytest.approx(np.mean(list(of_layer.attacks.values())))
    assert of_layer.mean.low <= of_layer.mean.value <= of_layer.mean.high


def test_attacks_that_train_lacks_are_judged_by_the_whole_of_it(tmp_path):
    sets = three(tmp_path, {4: 3.0})
    new = [Trial(f"n{k}", "bonafide") if k % 2 else Trial(f"n{k}", "spoof", "A09") for k in range(60)]
    sets = replace(sets, tests=[pooled(tmp_path / "new", {4: 3.0}, trials=new)])
    found = study(sets, replace(QUICK, hold_out=True))
    assert found.held_out["new"]["4"].attacks == {"A09": found.figure("4", "new").value}


@pytest.mark.parametrize("attacks", [["-"], ["A01"]])
def test_without_two_attacks_none_can_be_held_out(tmp_path, attacks):
    def one(name):
        return [
            Trial(f"{name}{k}", "bonafide") if k % 2 else Trial(f"{name}{k}", "spoof", attacks[0]) for k in range(40)
        ]

    sets = Sets(*(pooled(tmp_path / name, {4: 2.0}, trials=one(name)) for name in ("train", "dev")))
    with pytest.raises(StudyError, match=r"expected (a protocol with attacks|two or more)"):
        fit_layers(sets, replace(QUICK, hold_out=True))
    assert fit_layers(sets, QUICK).folds.by == ""


def test_sets_that_cannot_be_compared_are_refused(tmp_path):
    train, dev = pooled(tmp_path / "train", {}), pooled(tmp_path / "dev", {})
    frames = write_cache(tmp_path / "frames", make_trials(9), separable_rows(make_trials(9)), IDENTITY)
    with pytest.raises(StudyError, match=r"frames: a cache of frames; expected statistics over time"):
        open_pooled("", frames, 0, 0)
    fewer = pooled_identity(2)
    trials = make_trials(9, "x")
    other = open_pooled("", write_cache(tmp_path / "other", trials, np.zeros((9, 2, 24)), fewer), 0, 0)
    with pytest.raises(ShardMismatch, match=r"front_end\.layers"):
        fit_layers(Sets(train, other), QUICK)
    with pytest.raises(RunError, match="share 150 utterances"):
        fit_layers(Sets(train, train), QUICK)
    with pytest.raises(StudyError, match="two test sets are named dev"):
        fit_layers(Sets(train, dev, [dev]), QUICK)
    spoof = [trial for trial in make_trials(30, "y") if trial.key == "spoof"]
    with pytest.raises(ProtocolError, match="all 20 trials are spoof"):
        pooled(tmp_path / "spoof", {}, trials=spoof)
    alone = [*spoof, Trial("b", "bonafide")]
    with pytest.raises(StudyError, match="fewer than 2 utterances of a class"):
        fit_layers(Sets(pooled(tmp_path / "alone", {}, trials=alone), dev), QUICK)


def test_clusters_that_do_not_exist_are_refused(tmp_path):
    trials = [Trial(t.utt_id, t.key, t.attack, "S1") for t in make_trials(40, "one")]
    sets = Sets(pooled(tmp_path / "train", {4: 2.0}), pooled(tmp_path / "dev", {4: 2.0}, trials=trials))
    with pytest.raises(ClusterError, match="all trials of a class have the speaker S1"):
        study(sets, Settings(uncertainty=Uncertainty(10, clusters=("speaker",))))


def test_one_layer_alone_is_its_own_recommendation(tmp_path):
    identity = pooled_identity(1)

    def one(name, seed):
        trials = make_trials(60, name)
        rows = separable_rows(trials, (1, 8), seed)
        return open_pooled(name, write_cache(tmp_path / name, trials, rows, identity), 0, 0)

    found = study(Sets(one("train", 0), one("dev", 1)))
    assert [combination.layers for combination in found.combinations] == [("0",)]


def test_the_outputs_hold_every_layer_and_command(found, tmp_path):
    advice = [
        Recommendation(
            one, ("python preprocess.py --layer <4>",), Cost(2_500_000_000, 90.0, "cpu", (4, 24), ("No corpus.",))
        )
        for one in found.combinations[:1]
    ]
    text = tables.as_text(found, advice)
    assert (
        "Best layer: 4 (4 of 24 blocks run, 2.5 GB, about 1.5 minutes on cpu)\n  python preprocess.py --layer <4>"
        in text
    )
    record = json.loads(json.dumps(tables.as_record(found, advice)))
    assert record["ranking"] == list(found.ranking)
    assert record["recommendations"][0]["eer"]["dev"]["value"] == found.figure("4", "dev").value
    assert record["recommendations"][0]["blocks_run"] == 4
    eer = record["test_sets"][1]["systems"]["2"]["eer"]
    assert (eer["value"], eer["low"]) == (found.figure("2", "eval").value, found.figure("2", "eval").low)
    html = page.as_html(found, advice, "today")
    assert "<pre>python preprocess.py --layer &lt;4&gt;</pre>" in html
    assert "data:image/svg+xml;base64," in html
    pictures.draw_layers(found, tmp_path / "layers.png")
    with Image.open(tmp_path / "layers.png") as image:
        assert image.width > 500


def test_without_replicates_there_are_figures_and_no_intervals(tmp_path):
    found = study(three(tmp_path, {4: 2.0}), Settings(hold_out=True, uncertainty=Uncertainty(0)))
    assert found.figure("4", "dev").low is None
    assert "[" not in tables.as_text(found, []).partition("Each figure")[0]
    assert pictures.layers_svg(found).startswith("<?xml")

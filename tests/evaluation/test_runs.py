"""Which run folders are one experiment, what they were trained on, and what is refused."""

import pytest

from spoofcache.engine.about import RunError
from spoofcache.engine.checkpoint import ABOUT, CONFIG, read_about
from spoofcache.engine.train import fit
from spoofcache.engine.trained_on import read_trained_on
from spoofcache.evaluation.runs import read_runs, weights_digest
from spoofcache.features.dataset import CachedFeatures
from tests.corpora import make_trials, separable_rows, write_cache
from tests.runs import write_run


def rows(runs):
    """Name, training sets and systems of each experiment, in order."""
    return list(dict.fromkeys((run.experiment.name, run.experiment.trained_on, run.experiment.systems) for run in runs))


def test_sibling_folders_of_several_seeds_are_one_experiment(tmp_path):
    folders = [write_run(tmp_path / f"lcnn-seed{seed}", seed=seed) for seed in (0, 1, 7)]
    other = write_run(tmp_path / "aasist", lr=1.0)
    runs = read_runs([str(folder) for folder in (*folders, other)])
    assert rows(runs) == [
        ("lcnn", ("LA/train",), ("lcnn-seed0", "lcnn-seed1", "lcnn-seed7")),
        ("aasist", ("LA/train",), ("aasist",)),
    ]
    assert [run.folder for run in runs] == [*folders, other]


def test_one_seed_alone_keeps_the_name_of_its_folder(tmp_path):
    (run,) = read_runs([str(write_run(tmp_path / "lcnn-seed3", seed=3))])
    assert (run.system, run.experiment.systems) == ("lcnn-seed3", ("lcnn-seed3",))


def test_runs_of_one_name_are_grouped_wherever_their_folders_are(tmp_path):
    one, two = write_run(tmp_path / "a", seed=1), write_run(tmp_path / "b", seed=2)
    assert rows(read_runs([f"x={one}", f"x={two}"])) == [("x", ("LA/train",), ("x-seed1", "x-seed2"))]
    assert rows(read_runs([f"x={one}", str(two)])) == [("x", ("LA/train",), ("x",)), ("b", ("LA/train",), ("b",))]


def test_a_folder_may_have_an_equals_sign_in_its_name(tmp_path):
    (run,) = read_runs([str(write_run(tmp_path / "lr=1"))])
    assert run.system == "lr=1"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"lr": 1.0}, "both are x, but differ in config.optimizer.lr; expected one experiment under several seeds"),
        ({"trained_on": ("ITW/train",)}, "both are x, but differ in trained on; expected"),
        ({"data": {"train": "other views"}}, "both are x, but differ in trials and features of\\.train; expected"),
        ({"seed": 0}, "x with seed 0 twice; expected every seed once, or a name for each"),
    ],
)
def test_runs_of_one_name_must_be_one_experiment_under_several_seeds(tmp_path, changes, sentence):
    one, two = write_run(tmp_path / "x-seed0"), write_run(tmp_path / "x-seed1", **{"seed": 1, **changes})
    with pytest.raises(RunError, match=sentence) as refusal:
        read_runs([str(one), str(two)])
    assert str(refusal.value).startswith(f"{one} and {two}: ")


def test_two_systems_never_share_a_name(tmp_path):
    a, b, c = (write_run(tmp_path / name, seed=seed) for seed, name in enumerate("abc"))
    with pytest.raises(RunError, match="two runs are called x-seed0; give each its own name"):
        read_runs([f"x={a}", f"x={b}", f"x-seed0={c}"])


def test_a_folder_that_is_not_a_run_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(RunError, match=r"none: no such folder; expected FOLDER or NAME=FOLDER"):
        read_runs([str(tmp_path / "none")])
    with pytest.raises(RunError, match=r"no model\.json; expected the run folder of"):
        read_runs([str(tmp_path)])
    (write_run(tmp_path / "run") / CONFIG).write_text("[train")
    with pytest.raises(RunError, match=r"config\.toml: not TOML"):
        read_runs([str(tmp_path / "run")])


def test_weights_that_were_trained_elsewhere_need_no_config(tmp_path):
    folder = write_run(tmp_path / "imported", trained_on=())
    (folder / CONFIG).unlink()
    assert rows(read_runs([str(folder)])) == [("imported", (), ("imported",))]


def test_the_digest_is_that_of_weights_and_description(tmp_path):
    one, same, other = (write_run(tmp_path / name, (weight, 0)) for name, weight in zip("abc", (1, 1, 2), strict=True))
    assert weights_digest(one) == weights_digest(same) != weights_digest(other)
    (same / ABOUT).write_text((same / ABOUT).read_text().replace("0.1", "0.2"))
    assert weights_digest(one) != weights_digest(same)


def test_a_training_writes_down_what_it_was_trained_on(experiment, caches, tmp_path):
    fit(experiment("train.epochs=1"), *caches, tmp_path / "run")
    assert read_about(tmp_path / "run").trained_on == ("test/train",)
    ((corpus, partition, trials),) = read_trained_on(tmp_path / "run")
    assert (corpus, partition, trials) == ("test", "train", caches[0].trials)


def test_seeds_with_another_dev_are_not_one_experiment(experiment, caches, tmp_path):
    train, dev = caches
    other = CachedFeatures(write_cache(tmp_path / "dev", make_trials(9, "x"), separable_rows(make_trials(9, "x"))))
    for seed, judge in enumerate([dev, other]):
        config = experiment("train.epochs=1", f"train.seed={seed}")
        fit(config, train, judge, tmp_path / f"run-seed{seed}")
    with pytest.raises(RunError, match=r"both are run, but differ in trials and features of\.dev; expected"):
        read_runs([str(tmp_path / "run-seed0"), str(tmp_path / "run-seed1")])


def test_a_description_of_an_earlier_version_has_no_training_partitions(tmp_path):
    folder = write_run(tmp_path / "run")
    text = (folder / ABOUT).read_text()
    before = text[: text.index(',\n "trained_on"')] + "\n}\n"
    (folder / ABOUT).write_text(before)
    assert read_about(folder).trained_on == ()

"""A training that starts from another run's weights, and one that is continued for longer than it was begun for."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from spoofcache.engine.about import RunError
from spoofcache.engine.checkpoint import load_last, load_model, save_best
from spoofcache.engine.foreign import load_foreign
from spoofcache.engine.train import FitOptions, Listener, fit
from spoofcache.engine.trained_on import read_trained_on
from spoofcache.features.dataset import CachedFeatures
from tests.corpora import make_trials, separable_rows, write_cache

SLOW = ("optimizer.lr=1e-12", "train.epochs=1")
"""Overrides under which the weights stay where they start."""


def weights(run):
    return load_file(run / "model.safetensors")


def assert_close(found, expected):
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-6)


def test_a_run_starts_from_the_weights_of_another(experiment, caches, tmp_path):
    fit(experiment(), *caches, tmp_path / "first")
    notes = []
    options = FitOptions(init=tmp_path / "first", listener=Listener(note=notes.append))
    fit(experiment(*SLOW), *caches, tmp_path / "second", options)
    assert_close(weights(tmp_path / "second"), weights(tmp_path / "first"))
    assert notes[0].startswith(f"initial weights: 2 of 2 tensors from {tmp_path / 'first'} (SHA-256 ")
    about = json.loads((tmp_path / "second/model.json").read_text())
    assert about["versions"]["initial_weights"].startswith(f"{tmp_path / 'first'} (SHA-256 ")


def test_the_utterances_that_the_first_run_has_seen_are_those_of_the_second_too(experiment, caches, tmp_path):
    fit(experiment(*SLOW), *caches, tmp_path / "first")
    trials = make_trials(20, "more")
    other = CachedFeatures(write_cache(tmp_path / "more", trials, separable_rows(trials)))
    fit(experiment(*SLOW), other, caches[1], tmp_path / "second", FitOptions(init=tmp_path / "first"))
    fit(experiment(*SLOW), *caches, tmp_path / "third", FitOptions(init=tmp_path / "second"))
    first, second, third = (
        {(str(part), trial.utt_id) for part in read_trained_on(tmp_path / run) for trial in part.trials}
        for run in ("first", "second", "third")
    )
    assert first < second
    assert third == second
    assert len(second) == len(first) + len(other)


def test_an_imported_checkpoint_is_trained_on(experiment, caches, tmp_path):
    state = {"linear.weight": torch.full((2, 20), 0.25), "linear.bias": torch.tensor([1.0, -1.0])}
    torch.save(state, tmp_path / "theirs.pth")
    plan = caches[0].plan
    model, about, _ = load_foreign(tmp_path / "theirs.pth", "pooled_linear", plan.row_shape, plan.identity)
    (tmp_path / "theirs").mkdir()
    save_best(tmp_path / "theirs", model, about)
    fit(experiment(*SLOW), *caches, tmp_path / "run", FitOptions(init=tmp_path / "theirs"))
    assert_close(weights(tmp_path / "run"), state)


def test_tensors_that_do_not_fit_are_drawn_at_random_and_reported(experiment, caches, tmp_path):
    fit(experiment(*SLOW), *caches, tmp_path / "first")
    notes = []
    options = FitOptions(init=tmp_path / "first", listener=Listener(note=notes.append))
    fit(experiment(*SLOW, "backend.settings.deviation=true"), *caches, tmp_path / "second", options)
    assert "1 of 2 tensors from" in notes[0]
    assert notes[0].endswith("; drawn at random: linear.weight; not used: linear.weight")


def test_weights_of_which_nothing_fits_are_refused_and_leave_no_folder(experiment, caches, tmp_path):
    fit(experiment(*SLOW), *caches, tmp_path / "first")
    lcnn = experiment(*SLOW, "backend.name=lcnn")
    with pytest.raises(RunError, match=r"none of its 2 tensors has the name and the shape.*a run of the same back-end"):
        fit(lcnn, *caches, tmp_path / "second", FitOptions(init=tmp_path / "first"))
    assert not (tmp_path / "second").exists()


def test_interrupted_in_its_first_epoch_it_starts_from_the_same_weights_again(
    experiment, caches, tmp_path, monkeypatch
):
    def die(*_):
        raise KeyboardInterrupt

    fit(experiment(), *caches, tmp_path / "first")
    with monkeypatch.context() as patch:
        patch.setattr("spoofcache.engine.snapshots.save_last", die)
        with pytest.raises(KeyboardInterrupt):
            fit(experiment(*SLOW), *caches, tmp_path / "second", FitOptions(init=tmp_path / "first"))
    expected = weights(tmp_path / "first")
    shutil.rmtree(tmp_path / "first")
    fit(experiment(*SLOW), *caches, tmp_path / "second", FitOptions(resume=True))
    assert_close(weights(tmp_path / "second"), expected)


@pytest.mark.parametrize("average", ["swa", "ema", "best"])
def test_a_finished_run_that_is_continued_equals_one_that_was_begun_for_longer(experiment, caches, tmp_path, average):
    short, long = (experiment(f"train.average={average}", f"train.epochs={epochs}") for epochs in (2, 4))
    fit(short, *caches, tmp_path / "run")
    fit(long, *caches, tmp_path / "run", FitOptions(resume=True))
    fit(long, *caches, tmp_path / "whole")
    assert (tmp_path / "run/config.toml").read_text() == (tmp_path / "whole/config.toml").read_text()
    for which in ("best", "last", "average"):
        found, expected = (load_model(tmp_path / name, which)[0].state_dict() for name in ("run", "whole"))
        assert all(torch.equal(found[name], expected[name]) for name in expected), which
    assert load_last(tmp_path / "run")["epoch"] == 3


@pytest.mark.parametrize(
    ("overrides", "epochs", "sentence"),
    [
        ((), 1, r"begun with train\.epochs 2, more than 1; --resume expects the same number or a larger one"),
        (
            ("schedule.name=cosine_per_step",),
            3,
            r"cannot be continued to 3, since the learning rates of cosine_per_step",
        ),
    ],
)
def test_a_length_that_the_run_could_not_have_had_is_refused(experiment, caches, tmp_path, overrides, epochs, sentence):
    fit(experiment(*overrides, "train.epochs=2"), *caches, tmp_path / "run")
    before = (tmp_path / "run/config.toml").read_bytes()
    with pytest.raises(RunError, match=sentence):
        fit(experiment(*overrides, f"train.epochs={epochs}"), *caches, tmp_path / "run", FitOptions(resume=True))
    assert (tmp_path / "run/config.toml").read_bytes() == before

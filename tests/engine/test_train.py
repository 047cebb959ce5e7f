import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine import checkpoint
from engine.checkpoint import RunError, load_last, load_model
from engine.config import ClassWeights, ScheduleConfig
from engine.train import Listener, _by_index, _lr_factor, fit
from features.commit import exclusive
from features.dataset import CachedFeatures
from features.plan import Identity, ShardMismatch
from tests.corpora import IDENTITY, make_trials, separable_rows, write_cache

CPU = torch.device("cpu")


def metrics(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def last_weights(run):
    return load_last(run)["model"]


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_learns_what_can_be_learnt_and_leaves_a_run_folder(experiment, caches, tmp_path):
    run = tmp_path / "run"
    best = fit(experiment("train.epochs=6"), *caches, run, CPU)
    assert best.dev_eer < 0.05
    assert [line["epoch"] for line in metrics(run)] == [0, 1, 2, 3, 4, 5]
    assert metrics(run)[-1]["train_loss"] < metrics(run)[0]["train_loss"]
    names = {path.name.split(".")[0] for path in run.iterdir()}
    assert names == {"config", "metrics", "events", "model", "last"}


def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not(experiment, caches, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        fit(experiment("train.epochs=2", f"train.seed={seed}"), *caches, tmp_path / name, CPU)
    assert_same_weights(last_weights(tmp_path / "a"), last_weights(tmp_path / "b"))
    assert not torch.equal(last_weights(tmp_path / "a")["fc_mu.weight"], last_weights(tmp_path / "c")["fc_mu.weight"])


@pytest.mark.parametrize("utterances", [20, 48 + 30 + 5, 3 * (48 + 30) - 1])
def test_an_interrupted_training_resumes_to_the_weights_of_an_uninterrupted_one(
    experiment, caches, tmp_path, utterances
):
    fit(experiment(), *caches, tmp_path / "whole", CPU)
    interrupted, seen = tmp_path / "interrupted", 0

    def interrupt(n):
        nonlocal seen
        seen += n
        if seen >= utterances:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(experiment(), *caches, interrupted, CPU, listener=Listener(advance=interrupt))
    fit(experiment(), *caches, interrupted, CPU, resume=True)
    assert_same_weights(last_weights(tmp_path / "whole"), last_weights(interrupted))
    assert_same_weights(load_file(tmp_path / "whole/model.safetensors"), load_file(interrupted / "model.safetensors"))
    without_time = [[{k: v for k, v in line.items() if k != "seconds"} for line in metrics(r)] for r in
                    (tmp_path / "whole", interrupted)]  # fmt: skip
    assert without_time[0] == without_time[1]


def test_killed_before_it_wrote_the_best_weights_a_resumed_run_writes_them(experiment, caches, tmp_path, monkeypatch):
    def die(*args):
        raise KeyboardInterrupt

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("engine.train.save_best", die)
        with pytest.raises(KeyboardInterrupt):
            fit(experiment("train.epochs=1"), *caches, run, CPU)
    assert not (run / "model.safetensors").exists()
    fit(experiment("train.epochs=1"), *caches, run, CPU, resume=True)
    assert load_model(run, "best")[1] == load_model(run, "last")[1]


def test_killed_between_the_metrics_and_the_checkpoint_an_epoch_is_repeated(experiment, caches, tmp_path, monkeypatch):
    run, saves = tmp_path / "run", []

    def die(*args):
        saves.append(args)
        if len(saves) == 2:
            raise KeyboardInterrupt
        checkpoint.save_last(*args)

    with monkeypatch.context() as patch:
        patch.setattr("engine.train.save_last", die)
        with pytest.raises(KeyboardInterrupt):
            fit(experiment(), *caches, run, CPU)
    assert len(metrics(run)) == 2
    assert load_last(run)["epoch"] == 0
    fit(experiment(), *caches, run, CPU, resume=True)
    assert [line["epoch"] for line in metrics(run)] == [0, 1, 2, 3]


def test_a_finished_run_that_is_resumed_stays_as_it_is(experiment, caches, tmp_path):
    run = tmp_path / "run"
    best = fit(experiment(), *caches, run, CPU)
    before = (run / "last.ckpt").read_bytes()
    assert fit(experiment(), *caches, run, CPU, resume=True) == best
    assert (run / "last.ckpt").read_bytes() == before


@pytest.mark.parametrize("select", ["dev_eer", "dev_loss"])
def test_the_best_epoch_is_the_one_the_config_asks_for(experiment, caches, tmp_path, select):
    run = tmp_path / "run"
    best = fit(experiment(f"train.select={select}"), *caches, run, CPU)
    rank = {"dev_eer": lambda line: (line["dev_eer"], line["dev_loss"]), "dev_loss": lambda line: line["dev_loss"]}
    assert best.epoch == min(metrics(run), key=rank[select])["epoch"]
    assert json.loads((run / "model.json").read_text())["epoch"] == best.epoch


def test_class_weights_go_to_the_class_they_name():
    assert _by_index(ClassWeights(bonafide=10, spoof=1)).tolist() == [1.0, 10.0]  # index 0 is spoof


def test_the_learning_rate_halves_every_ten_epochs():
    schedule = ScheduleConfig("halve_every", 10)
    assert [_lr_factor(schedule, epoch) for epoch in (0, 9, 10, 19, 20)] == [1, 1, 0.5, 0.5, 0.25]


@pytest.mark.parametrize("batch_size", [7, 30])
def test_dev_loss_is_the_weighted_mean_over_utterances_whatever_the_batch(experiment, caches, tmp_path, batch_size):
    fit(experiment("train.epochs=1", f"train.batch_size={batch_size}"), *caches, tmp_path / "run", CPU)
    model, about = load_model(tmp_path / "run", "last")
    loss = weight = 0.0
    for features, label, _ in caches[1]:
        spoof, bonafide = model(features[None].float()).logits[0].tolist()
        own, other = (bonafide, spoof) if label == 1 else (spoof, bonafide)
        w = 2.0 if label == 1 else 1.0  # the class weights of the experiment
        loss, weight = loss + w * np.log1p(np.exp(other - own)), weight + w
    assert about.dev_loss == pytest.approx(loss / weight, rel=1e-5)


def test_sixteen_bit_training_runs(experiment, caches, tmp_path):
    best = fit(experiment("train.precision=bfloat16", "train.channels_last=true"), *caches, tmp_path / "run", CPU)
    assert np.isfinite(best.dev_loss)


def test_a_loss_that_is_not_a_number_stops_with_a_sentence(experiment, caches, tmp_path):
    with pytest.raises(RunError, match=r"epoch 0, step \d+: the loss is (nan|inf); expected a number"):
        fit(experiment("optimizer.lr=1e30"), *caches, tmp_path / "run", CPU)


def test_an_existing_run_folder_is_never_overwritten(experiment, caches, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(RunError, match="exists; expected a new folder, or --resume"):
        fit(experiment(), *caches, run, CPU)


def test_another_experiment_does_not_resume_a_run(experiment, caches, tmp_path):
    fit(experiment("train.epochs=1"), *caches, tmp_path / "run", CPU)
    with pytest.raises(RunError, match=r"config\.toml: another experiment in optimizer\.lr; --resume"):
        fit(experiment("train.epochs=1", "optimizer.lr=1e-4"), *caches, tmp_path / "run", CPU, resume=True)


def test_other_data_does_not_resume_a_run(experiment, caches, tmp_path):
    train, dev = caches
    fit(experiment("train.epochs=1"), train, dev, tmp_path / "run", CPU)
    with pytest.raises(RunError, match="begun with another train cache, dev cache; --resume"):
        fit(experiment("train.epochs=1"), dev, train, tmp_path / "run", CPU, resume=True)


def test_another_precision_does_not_resume_a_run(experiment, caches, tmp_path, monkeypatch):
    fit(experiment("train.epochs=1"), *caches, tmp_path / "run", CPU)
    monkeypatch.setattr("engine.train._precision", lambda name, device: torch.bfloat16)
    with pytest.raises(RunError, match="begun with another precision"):
        fit(experiment("train.epochs=1"), *caches, tmp_path / "run", CPU, resume=True)


def test_a_folder_that_is_no_run_folder_is_not_resumed(experiment, caches, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match=r"not empty and without config\.toml"):
        fit(experiment(), *caches, tmp_path, CPU, resume=True)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".toml"] == ["thesis.txt"]


def test_a_network_that_cannot_be_built_leaves_no_run_folder(experiment, caches, tmp_path):
    with pytest.raises(RunError, match=r"dropout 2; expected 0 ≤ dropout < 1"):
        fit(experiment("backend.settings.dropout=2"), *caches, tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


def test_dev_utterances_that_were_trained_on_are_refused(experiment, caches, tmp_path):
    with pytest.raises(RunError, match=r"share 48 utterances, train_0000 among them; expected none"):
        fit(experiment(), caches[0], caches[0], tmp_path / "run", CPU)


def test_two_processes_do_not_train_in_one_folder(experiment, caches, tmp_path):
    run = tmp_path / "run"
    fit(experiment("train.epochs=1"), *caches, run, CPU)
    with exclusive(run), pytest.raises(RunError, match="another process is training there"):
        fit(experiment("train.epochs=1"), *caches, run, CPU, resume=True)


def test_a_single_class_is_refused(experiment, caches, tmp_path):
    trials = [trial for trial in make_trials(30) if trial.key == "spoof"]
    spoof_only = CachedFeatures(write_cache(tmp_path / "train", trials, separable_rows(trials)))
    with pytest.raises(RunError, match="all utterances are spoof; expected both bonafide and spoof"):
        fit(experiment(), spoof_only, caches[1], tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


def test_features_of_two_kinds_are_refused(experiment, caches, tmp_path):
    trials = make_trials(30)
    zero = Identity({**IDENTITY.settings, "fit": "zero"})
    other = CachedFeatures(write_cache(tmp_path / "dev", trials, separable_rows(trials), zero))
    with pytest.raises(ShardMismatch, match="fit is 'zero', expected 'repeat'"):
        fit(experiment(), caches[0], other, tmp_path / "run", CPU)


def test_features_that_the_config_does_not_ask_for_are_refused(experiment, caches, tmp_path):
    with pytest.raises(ShardMismatch, match=r"front_end\.name is 'test', expected 'xls-r-300m'"):
        fit(replace(experiment(), features={"front_end": {"name": "xls-r-300m"}}), *caches, tmp_path / "run", CPU)


def test_features_that_the_back_end_cannot_take_are_refused(experiment, tmp_path):
    trials = make_trials(30)
    short = CachedFeatures(write_cache(tmp_path / "short", trials, separable_rows(trials, shape=(8, 8))))
    others = make_trials(30, "other")
    dev = CachedFeatures(write_cache(tmp_path / "dev", others, separable_rows(others, shape=(8, 8))))
    with pytest.raises(RunError, match=r"shape \(8, 8\); expected \(T, D\)"):
        fit(experiment(), short, dev, tmp_path / "run", CPU)

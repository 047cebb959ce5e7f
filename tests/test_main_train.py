"""What the training command prints and writes; test_road.py runs all commands in sequence."""

import json
import statistics
import tomllib

import pytest
import torch
from click.testing import CliRunner

from spoofcache import main_train
from spoofcache.evaluation.runs import read_runs
from tests.corpora import make_trials, separable_rows, write_cache

CONFIG = """
[backend]
name = "pooled_linear"

[train]
epochs = 3
"""


@pytest.fixture
def train(tmp_path):
    """`train("train.average=swa")`: the command on small caches, with overrides."""
    (tmp_path / "config.toml").write_text(CONFIG)
    data = []
    for name in ("train", "dev"):
        trials = make_trials(12, name)
        data += [f"--{name}", write_cache(tmp_path / name, trials, separable_rows(trials))]

    def run(*overrides, options=()):
        sets = [option for override in overrides for option in ("--set", override)]
        options = ["--config", tmp_path / "config.toml", *data, "--out", tmp_path / "run", *sets, *options]
        return CliRunner().invoke(main_train.main, [str(option) for option in options])

    return run


def test_the_average_is_reported_after_the_epochs_and_before_the_best(train, tmp_path):
    result = train("train.average=swa")
    assert result.exit_code == 0, result.output
    told = [line for line in result.stderr.splitlines() if not line.startswith("training ")]
    assert [line.split(":")[0] for line in told] == ["features", "epoch 0", "network", "epoch 1", "epoch 2", "average"]
    assert result.stdout.splitlines()[1] == str(tmp_path / "run")
    assert (tmp_path / "run/average.safetensors").exists()


def test_training_reports_where_features_are_kept_and_whether_the_network_is_compiled(train):
    said = train("train.features=device", "train.batch_size=4", "train.compile=off").stderr.splitlines()
    assert said[0] == "features: train 12 rows, 0.00 GB, in memory; dev 12 rows, 0.00 GB, in memory"
    assert said[1] == "network: eager, as train.compile asks"


def test_patience_ends_a_training_early(train):
    result = train("train.patience=1", "optimizer.lr=1e-30")
    assert result.exit_code == 0, result.output
    assert "epoch 1:" in result.stderr
    assert "epoch 2:" not in result.stderr


def test_an_unknown_setting_of_a_loss_is_refused_in_a_sentence(train):
    result = train("loss.name=focal", "loss.settings.gamma=-1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: focal with gamma -1; expected at least 0" in result.stderr


def test_seeds_become_sibling_runs_with_a_mean_over_them(train, tmp_path):
    result = train("train.seed=7", "optimizer.lr=0.1", options=["--seeds", 3])
    assert result.exit_code == 0, result.output
    runs = [tmp_path / f"run-seed{seed}" for seed in (7, 8, 9)]
    assert [line for line in result.stdout.splitlines() if line.startswith("/")] == [str(run) for run in runs]
    assert [tomllib.loads((run / "config.toml").read_text())["train"]["seed"] for run in runs] == [7, 8, 9]
    eers = [json.loads((run / "model.json").read_text())["dev_eer"] for run in runs]
    half = 4.302653 * statistics.stdev(eers) / 3**0.5  # Student's t, two degrees of freedom
    assert f"3 seeds: dev EER {statistics.mean(eers):.2%} ± {half:.2%}" in result.stdout
    (experiment,) = {run.experiment.name for run in read_runs([str(run) for run in runs])}
    assert experiment == "run"


def written(path):
    """Which file it is and when it was written; reading it changes neither."""
    return path.stat().st_ino, path.stat().st_mtime_ns


def test_a_run_that_is_not_there_is_not_resumed(train, tmp_path):
    result = train(options=["--resume"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith("run: no such folder; --resume expects the run that it continues\n")
    assert not (tmp_path / "run").exists()


def test_a_run_is_continued_for_longer_or_starts_from_another(train, tmp_path):
    assert train().exit_code == 0
    result = train("train.epochs=5", options=["--resume"])
    assert result.exit_code == 0, result.output
    assert [line.split(":")[0] for line in result.stderr.splitlines() if line.startswith("epoch")] == [
        "epoch 3",
        "epoch 4",
    ]
    result = train(options=["--init", tmp_path / "run", "--out", tmp_path / "tuned"])
    assert result.exit_code == 0, result.output
    assert f"initial weights: 2 of 2 tensors from {tmp_path / 'run'} (SHA-256 " in result.stderr
    both = train(options=["--init", tmp_path / "run", "--resume"])
    assert both.exit_code == 2
    assert "--init starts a new run, and --resume continues one" in both.stderr


def test_seeds_resume_where_they_were_interrupted(train, tmp_path):
    assert train("train.seed=0").exit_code == 0
    (tmp_path / "run").rename(tmp_path / "run-seed0")
    finished = written(tmp_path / "run-seed0/last.ckpt")
    again = train(options=["--seeds", 2])
    assert (again.exit_code, again.stdout) == (2, "")
    assert "run-seed0 exists; expected a new folder, or --resume" in again.stderr
    resumed = train(options=["--seeds", 2, "--resume"])
    assert resumed.exit_code == 0, resumed.output
    assert written(tmp_path / "run-seed0/last.ckpt") == finished
    assert (tmp_path / "run-seed1/model.json").exists()


@pytest.mark.parametrize("make", [lambda: torch.empty(2**60), lambda: bytes(2**62)], ids=["torch", "Python"])
def test_full_memory_gets_a_sentence(train, monkeypatch, make):
    monkeypatch.setattr("spoofcache.engine.train.fit", lambda *_: make())
    result = train()
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: out of memory; a smaller batch size")

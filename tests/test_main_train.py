"""What the training command says beside its run folder; the road of all commands is in test_road.py."""

import pytest
from click.testing import CliRunner

import main_train
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

    def run(*overrides):
        sets = [option for override in overrides for option in ("--set", override)]
        options = ["--config", tmp_path / "config.toml", *data, "--out", tmp_path / "run", *sets]
        return CliRunner().invoke(main_train.main, [str(option) for option in options])

    return run


def test_the_average_is_told_after_the_epochs_and_before_the_best(train, tmp_path):
    result = train("train.average=swa")
    assert result.exit_code == 0, result.output
    told = [line for line in result.stderr.splitlines() if not line.startswith("training:")]
    assert [line.split(":")[0] for line in told] == ["epoch 0", "epoch 1", "epoch 2", "average"]
    assert result.stdout.splitlines()[1] == str(tmp_path / "run")
    assert (tmp_path / "run/average.safetensors").exists()


def test_patience_ends_it_early(train):
    result = train("train.patience=1", "optimizer.lr=1e-30")
    assert result.exit_code == 0, result.output
    assert "epoch 1:" in result.stderr
    assert "epoch 2:" not in result.stderr


def test_a_setting_that_the_loss_does_not_take_gets_a_sentence(train):
    result = train("loss.name=focal", "loss.settings.gamma=-1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: focal with gamma -1; expected at least 0" in result.stderr

"""A dry run says what a training takes, and leaves nothing behind."""

from click.testing import CliRunner

from spoofcache import main_train
from spoofcache.engine.dry_run import forecast
from spoofcache.engine.processes import ALONE
from spoofcache.engine.training_set import TrainingSet


def test_it_counts_parameters_and_measures_a_step(experiment, caches):
    train, dev = caches
    found = forecast(experiment(), TrainingSet([train], experiment()), dev, ALONE)
    assert (found.trainable, found.frozen, found.batch_size) == (2 * 20 + 2, 0, 8)
    assert found.peak_bytes > 0
    assert found.epoch_seconds > found.step_seconds * 6  # 48 utterances in batches of 8, and dev
    assert "42 trainable, 0 frozen" in str(found)


def test_the_command_writes_nothing_and_needs_no_folder(experiment, caches, tmp_path):
    experiment()
    before = sorted(tmp_path.rglob("*"))
    where = ["--train", str(caches[0].folder), "--dev", str(caches[1].folder)]
    done = CliRunner().invoke(
        main_train.main,
        ["--config", str(tmp_path / "experiment.toml"), *where, "--dry-run"],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["parameters", "memory", "time"]
    assert sorted(tmp_path.rglob("*")) == before


def test_without_it_a_run_folder_is_required(caches, tmp_path, experiment):
    experiment()
    where = ["--train", str(caches[0].folder), "--dev", str(caches[1].folder)]
    done = CliRunner().invoke(main_train.main, ["--config", str(tmp_path / "experiment.toml"), *where])
    assert done.exit_code == 2
    assert "--out" in done.stderr

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from spoofcache.common.files import exclusive
from spoofcache.engine import checkpoint
from spoofcache.engine.about import RunError
from spoofcache.engine.calibration_file import CALIBRATION, read_decision
from spoofcache.engine.checkpoint import MODEL, load_last, load_model
from spoofcache.engine.config import ClassWeights
from spoofcache.engine.optim import OPTIMIZERS, SCHEDULES, Updater
from spoofcache.engine.processes import ALONE, Processes
from spoofcache.engine.score import run_network, score_partition
from spoofcache.engine.train import FitOptions, Listener, fit, utterances_seen
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.feed import Feed
from spoofcache.features.plan import Identity, ShardMismatch, keep_weights_folder, weights_folder
from spoofcache.metrics.det import equal_error_rate
from spoofcache.models.losses import LOSSES
from tests.corpora import IDENTITY, make_trials, separable_rows, write_cache
from tests.engine.conftest import LCNN

CPU = torch.device("cpu")


def metrics(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def last_weights(run):
    return load_last(run)["model"]


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_training_learns_separable_data_and_writes_a_run_folder(experiment, caches, tmp_path):
    run = tmp_path / "run"
    best = fit(experiment("train.epochs=6"), *caches, run)
    assert best.dev_eer < 0.05
    assert [line["epoch"] for line in metrics(run)] == [0, 1, 2, 3, 4, 5]
    assert metrics(run)[-1]["train_loss"] < metrics(run)[0]["train_loss"]
    names = {path.name.split(".")[0] for path in run.iterdir()}
    assert names == {"config", "trained_on", "metrics", "events", "model", "last", "calibration"}


@pytest.mark.parametrize("average", ["none", "swa"])
def test_a_run_knows_the_threshold_and_the_calibration_of_its_scores_on_dev(experiment, caches, tmp_path, average):
    counted = []
    config = experiment("train.epochs=2", f"train.average={average}")
    fit(config, *caches, tmp_path / "run", FitOptions(listener=Listener(counted.append)))
    passes_over_train = 2 if average == "none" else 3  # the average passes over it once more if it has batch norms
    assert utterances_seen(config, *caches) - sum(counted) == (passes_over_train - 2) * len(caches[0])
    for which in ["best", "average"] if average == "swa" else ["best"]:
        model, about = load_model(tmp_path / "run", which)
        decision = read_decision(tmp_path / "run", which, about.weights_sha256)
        scores = score_partition(model, caches[1], 8, CPU)
        bonafide, spoof = scores.scores[scores.is_bonafide], scores.scores[~scores.is_bonafide]
        rejected = equal_error_rate(bonafide, spoof).threshold
        assert decision.eer == equal_error_rate(bonafide, spoof).rate
        assert decision.threshold == np.nextafter(rejected, np.inf)
        assert decision.eer == about.dev_eer
        assert decision.fitted_on == "test/dev"
        assert (decision.n_bonafide, decision.n_spoof) == (bonafide.size, spoof.size)


def test_a_resumed_run_fits_only_what_is_missing(experiment, caches, tmp_path, monkeypatch):
    run, config = tmp_path / "run", experiment("train.epochs=1")
    fit(config, *caches, run)
    kept = (run / CALIBRATION).read_bytes()
    (run / CALIBRATION).unlink()  # as in a run of an earlier version
    fit(config, *caches, run, FitOptions(resume=True))
    assert (run / CALIBRATION).read_bytes() == kept
    monkeypatch.setattr("spoofcache.engine.calibrating.score_partition", lambda *given: pytest.fail("scored again"))
    fit(config, *caches, run, FitOptions(resume=True))


def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not(experiment, caches, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        fit(experiment(*LCNN, "train.epochs=1", f"train.seed={seed}"), *caches, tmp_path / name)
    assert_same_weights(last_weights(tmp_path / "a"), last_weights(tmp_path / "b"))
    assert not torch.equal(last_weights(tmp_path / "a")["fc_mu.weight"], last_weights(tmp_path / "c")["fc_mu.weight"])


EPOCH = 48 + 30  # utterances


def interrupt_after(utterances):
    """A listener that ends the training as Ctrl-C does."""
    seen = 0

    def interrupt(n):
        nonlocal seen
        seen += n
        if seen >= utterances:
            raise KeyboardInterrupt

    return Listener(advance=interrupt)


def assert_resumes(config, caches, folder, utterances, processes=ALONE):
    """Interrupted after so many utterances and resumed, a training ends as one that is not."""
    whole, interrupted = folder / "whole", folder / "interrupted"
    fit(config, *caches, whole, FitOptions(processes=processes))
    with pytest.raises(KeyboardInterrupt):
        fit(config, *caches, interrupted, FitOptions(listener=interrupt_after(utterances), processes=processes))
    fit(config, *caches, interrupted, FitOptions(resume=True, processes=processes))
    assert_same_weights(last_weights(whole), last_weights(interrupted))
    for name in ("model", "average"):
        if (whole / f"{name}.json").exists():
            assert (whole / f"{name}.json").read_text() == (interrupted / f"{name}.json").read_text()
            weights = (load_file(run / f"{name}.safetensors") for run in (whole, interrupted))
            assert_same_weights(*weights)
    without_time = [[{k: v for k, v in line.items() if k != "seconds"} for line in metrics(r)] for r in
                    (whole, interrupted)]  # fmt: skip
    assert without_time[0] == without_time[1]


@pytest.mark.parametrize("utterances", [20, EPOCH + 5, 3 * EPOCH - 1])
def test_an_interrupted_training_resumes_to_the_weights_of_an_uninterrupted_one(
    experiment, caches, tmp_path, utterances
):
    assert_resumes(experiment(), caches, tmp_path, utterances)


RESUMED = [
    *(f"optimizer.name={name}" for name in OPTIMIZERS),
    *(f"schedule.name={name} schedule.epochs=2 schedule.milestones=[1,3]" for name in SCHEDULES),
    "schedule.warmup_steps=21",
    *(f"loss.name={name}" for name in LOSSES),
    "loss.name=cross_entropy_to_focal loss.settings.eer_threshold=1.0 loss.settings.transition_epochs=3",
    "train.average=swa train.average_from=1",
    "train.average=ema train.ema_decay=0.9",
    "train.average=best train.average_count=2",
    "train.average=ema loss.name=am_softmax optimizer.clip_norm=0.1",
    "train.micro_batch=3",
    "train.balanced=true",
    "train.patience=1 optimizer.lr=1e-30 train.average=swa",
    "train.precision=float16 optimizer.clip_norm=0.1",
]


@pytest.mark.parametrize("overrides", RESUMED)
def test_a_training_with_any_recipe_resumes_bit_for_bit(experiment, caches, tmp_path, overrides):
    epochs_done = 1 if "patience" in overrides else 3  # it is interrupted in its last one
    assert_resumes(experiment(*overrides.split()), caches, tmp_path, epochs_done * EPOCH + 20)


def test_dropout_and_batch_norms_resume_bit_for_bit(experiment, caches, tmp_path):
    config = experiment(*LCNN, "train.epochs=2", "train.average=ema", "train.balanced=true", "train.micro_batch=4")
    assert_resumes(config, caches, tmp_path, EPOCH + 20)


def test_a_training_on_a_gpu_resumes_bit_for_bit(experiment, caches, tmp_path, gpu):
    config = experiment(*LCNN, "train.epochs=2", "train.average=ema", "optimizer.clip_norm=1", "train.precision=auto")
    if torch.cuda.get_device_name() != "pretended GPU":
        pytest.skip("the kernels of a GPU add in any order")
    assert_resumes(config, caches, tmp_path, EPOCH + 20, Processes(gpu))


def test_killed_before_it_wrote_the_best_weights_a_resumed_run_writes_them(experiment, caches, tmp_path, monkeypatch):
    def die(*args):
        raise KeyboardInterrupt

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("spoofcache.engine.snapshots.save_best", die)
        with pytest.raises(KeyboardInterrupt):
            fit(experiment("train.epochs=1"), *caches, run)
    assert not (run / "model.safetensors").exists()
    fit(experiment("train.epochs=1"), *caches, run, FitOptions(resume=True))
    assert load_model(run, "best")[1] == load_model(run, "last")[1]


def test_killed_between_the_metrics_and_the_checkpoint_an_epoch_is_repeated(experiment, caches, tmp_path, monkeypatch):
    run, saves = tmp_path / "run", []

    def die(*args):
        saves.append(args)
        if len(saves) == 2:
            raise KeyboardInterrupt
        checkpoint.save_last(*args)

    with monkeypatch.context() as patch:
        patch.setattr("spoofcache.engine.snapshots.save_last", die)
        with pytest.raises(KeyboardInterrupt):
            fit(experiment(), *caches, run)
    assert len(metrics(run)) == 2
    assert load_last(run)["epoch"] == 0
    fit(experiment(), *caches, run, FitOptions(resume=True))
    assert [line["epoch"] for line in metrics(run)] == [0, 1, 2, 3]


def test_a_finished_run_that_is_resumed_stays_as_it_is(experiment, caches, tmp_path):
    run = tmp_path / "run"
    best = fit(experiment(), *caches, run)
    before = (run / "last.ckpt").read_bytes()
    assert fit(experiment(), *caches, run, FitOptions(resume=True)) == best
    assert (run / "last.ckpt").read_bytes() == before


@pytest.mark.parametrize("select", ["dev_eer", "dev_loss"])
def test_the_best_epoch_is_the_one_that_train_select_prefers(experiment, caches, tmp_path, select):
    run = tmp_path / "run"
    best = fit(experiment(f"train.select={select}"), *caches, run)
    rank = {"dev_eer": lambda line: (line["dev_eer"], line["dev_loss"]), "dev_loss": lambda line: line["dev_loss"]}
    assert best.epoch == min(metrics(run), key=rank[select])["epoch"]
    assert json.loads((run / "model.json").read_text())["epoch"] == best.epoch


def test_class_weights_apply_to_the_class_that_they_name():
    assert ClassWeights(bonafide=10, spoof=1).by_index() == [1.0, 10.0]  # index 0 is spoof


@pytest.mark.parametrize("batch_size", [7, 30])
def test_dev_loss_is_the_weighted_mean_over_utterances_whatever_the_batch(experiment, caches, tmp_path, batch_size):
    fit(experiment("train.epochs=1", f"train.batch_size={batch_size}"), *caches, tmp_path / "run")
    model, about = load_model(tmp_path / "run", "last")
    loss = weight = 0.0
    for features, label, _ in caches[1]:
        spoof, bonafide = model(features[None].float()).logits[0].tolist()
        own, other = (bonafide, spoof) if label == 1 else (spoof, bonafide)
        w = 2.0 if label == 1 else 1.0  # the class weights of the experiment
        loss, weight = loss + w * np.log1p(np.exp(other - own)), weight + w
    assert about.dev_loss == pytest.approx(loss / weight, rel=1e-5)


def test_sixteen_bit_training_runs(experiment, caches, tmp_path):
    config = experiment(*LCNN, "train.epochs=1", "train.precision=bfloat16")
    assert np.isfinite(fit(config, *caches, tmp_path / "run").dev_loss)


def test_a_loss_that_is_not_a_number_stops_with_a_sentence(experiment, caches, tmp_path):
    with pytest.raises(RunError, match=r"epoch 0, step \d+: the loss is (nan|inf); expected a finite number"):
        fit(experiment(*LCNN, "optimizer.lr=1e30"), *caches, tmp_path / "run")


def test_an_existing_run_folder_is_never_overwritten(experiment, caches, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(RunError, match="exists; expected a new folder, or --resume"):
        fit(experiment(), *caches, run)


def test_another_experiment_does_not_resume_a_run(experiment, caches, tmp_path):
    fit(experiment("train.epochs=1"), *caches, tmp_path / "run")
    with pytest.raises(RunError, match=r"config\.toml: the run was begun with another optimizer\.lr; --resume"):
        fit(experiment("train.epochs=1", "optimizer.lr=1e-4"), *caches, tmp_path / "run", FitOptions(resume=True))


def test_other_data_does_not_resume_a_run(experiment, caches, tmp_path):
    train, dev = caches
    fit(experiment("train.epochs=1"), train, dev, tmp_path / "run")
    with pytest.raises(RunError, match="begun with another train cache, dev cache, content of the train cache, "):
        fit(experiment("train.epochs=1"), dev, train, tmp_path / "run", FitOptions(resume=True))


def test_another_precision_does_not_resume_a_run(experiment, caches, tmp_path, monkeypatch):
    fit(experiment("train.epochs=1"), *caches, tmp_path / "run")
    monkeypatch.setattr("spoofcache.engine.optim._precision", lambda name, device: torch.bfloat16)
    with pytest.raises(RunError, match="begun with another precision"):
        fit(experiment("train.epochs=1"), *caches, tmp_path / "run", FitOptions(resume=True))


def test_a_folder_other_than_a_run_folder_is_not_resumed(experiment, caches, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match=r"not empty and without config\.toml"):
        fit(experiment(), *caches, tmp_path, FitOptions(resume=True))
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".toml"] == ["thesis.txt"]


def test_a_network_that_cannot_be_built_leaves_no_run_folder(experiment, caches, tmp_path):
    with pytest.raises(RunError, match=r"dropout 2; expected 0 ≤ dropout < 1"):
        fit(experiment(*LCNN, "backend.settings.dropout=2"), *caches, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_dev_utterances_that_were_trained_on_are_refused(experiment, caches, tmp_path):
    with pytest.raises(RunError, match=r"share 48 utterances, train_0000 among them; expected none"):
        fit(experiment(), caches[0], caches[0], tmp_path / "run")


def test_two_processes_do_not_train_in_one_folder(experiment, caches, tmp_path):
    run = tmp_path / "run"
    fit(experiment("train.epochs=1"), *caches, run)
    with exclusive(run), pytest.raises(RunError, match="in use by another process"):
        fit(experiment("train.epochs=1"), *caches, run, FitOptions(resume=True))


def test_a_single_class_is_refused(experiment, caches, tmp_path):
    trials = [trial for trial in make_trials(30) if trial.key == "spoof"]
    spoof_only = CachedFeatures(write_cache(tmp_path / "train", trials, separable_rows(trials)))
    with pytest.raises(RunError, match="all utterances are spoof; expected both bonafide and spoof"):
        fit(experiment(), spoof_only, caches[1], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_features_of_two_kinds_are_refused(experiment, caches, tmp_path):
    trials = make_trials(30)
    zero = Identity({**IDENTITY.settings, "fit": "zero"})
    other = CachedFeatures(write_cache(tmp_path / "dev", trials, separable_rows(trials), zero))
    with pytest.raises(ShardMismatch, match="fit is 'zero', expected 'repeat'"):
        fit(experiment(), caches[0], other, tmp_path / "run")


def test_features_that_the_config_does_not_ask_for_are_refused(experiment, caches, tmp_path):
    with pytest.raises(ShardMismatch, match=r"front_end\.name is 'test', expected 'xls-r-300m'"):
        fit(replace(experiment(), features={"front_end": {"name": "xls-r-300m"}}), *caches, tmp_path / "run")


def test_features_that_the_back_end_cannot_take_are_refused(experiment, tmp_path):
    trials = make_trials(30)
    short = CachedFeatures(write_cache(tmp_path / "short", trials, separable_rows(trials, shape=(8, 8))))
    others = make_trials(30, "other")
    dev = CachedFeatures(write_cache(tmp_path / "dev", others, separable_rows(others, shape=(8, 8))))
    with pytest.raises(RunError, match=r"shape \(8, 8\); expected \(T, D\)"):
        fit(experiment(*LCNN), short, dev, tmp_path / "run")


def test_a_loss_with_a_wrong_setting_leaves_no_run_folder(experiment, caches, tmp_path):
    for override, sentence in (
        ("loss.settings.gamma=-1", "focal with gamma -1; expected at least 0"),
        ("loss.settings.gamma=high", r"loss focal with settings \{'gamma': 'high'\}: "),
    ):
        with pytest.raises(RunError, match=sentence):
            fit(experiment("loss.name=focal", override), *caches, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_reported_learning_rate_is_that_of_the_last_update(experiment, caches, tmp_path):
    fit(experiment("schedule.name=cosine_per_step"), *caches, tmp_path / "run")
    # four epochs of six updates: the last ones are 5, 11, 17 and 23 of 24
    expected = [1e-2 * 0.5 * (1 + np.cos(np.pi * step / 24)) for step in (5, 11, 17, 23)]
    assert [line["lr"] for line in metrics(tmp_path / "run")] == pytest.approx(expected)


@pytest.mark.parametrize("patience", [1, 2])
def test_training_ends_after_consecutive_epochs_without_improvement(experiment, caches, tmp_path, patience):
    run, config = tmp_path / "run", experiment("optimizer.lr=1e-30", f"train.patience={patience}")
    best = fit(config, *caches, run)  # weights that do not move: no epoch is better than the first
    assert (best.epoch, len(metrics(run))) == (0, 1 + patience)
    before = (run / "last.ckpt").read_bytes()
    assert fit(config, *caches, run, FitOptions(resume=True)) == best
    assert (run / "last.ckpt").read_bytes() == before


def test_patience_counts_from_the_best_epoch(experiment, caches, tmp_path):
    config = experiment("train.epochs=30", "train.patience=2", "train.select=dev_loss", "optimizer.lr=2.0")
    best = fit(config, *caches, tmp_path / "run")
    assert 0 < best.epoch < 27
    assert [line["epoch"] for line in metrics(tmp_path / "run")] == list(range(best.epoch + 3))


def test_the_loss_receives_the_lowest_dev_eer_so_far(experiment, caches, tmp_path, monkeypatch):
    heard, run, config = [], tmp_path / "run", experiment("train.select=dev_loss", "optimizer.lr=1.0")
    monkeypatch.setattr(LOSSES["cross_entropy"], "begin_epoch", lambda self, *progress: heard.append(progress))
    with pytest.raises(KeyboardInterrupt):
        fit(config, *caches, run, FitOptions(listener=interrupt_after(2 * EPOCH + 5)))
    fit(config, *caches, run, FitOptions(resume=True))
    eers = [line["dev_eer"] for line in metrics(run)]
    assert heard == [(0, None), *((epoch, min(eers[:epoch])) for epoch in (1, 2, 2, 3))]


def test_updates_are_counted_from_the_first_epoch_to_the_last(experiment, caches, tmp_path, monkeypatch):
    steps = []
    monkeypatch.setattr(Updater, "update", lambda self, step, features, labels: steps.append(step) or 1.0)
    fit(experiment(), *caches, tmp_path / "run")
    assert steps == list(range(4 * 6))  # 48 utterances in batches of 8


def test_balanced_epochs_draw_both_classes_equally_often(experiment, caches, tmp_path, monkeypatch):
    def draws(name, *overrides):
        drawn = []
        with monkeypatch.context() as patch:
            patch.setattr(Updater, "update", lambda self, step, features, labels: drawn.append(labels) or 1.0)
            fit(experiment("train.epochs=20", *overrides), *caches, tmp_path / name)
        return torch.cat(drawn).reshape(20, len(caches[0])).float()

    plain, balanced = draws("plain"), draws("balanced", "train.balanced=true")
    assert (plain.mean(dim=1) == 1 / 3).all()
    assert balanced.mean().item() == pytest.approx(0.5, abs=0.05)  # three standard deviations of 960 draws
    assert torch.equal(balanced, draws("again", "train.balanced=true"))
    assert not torch.equal(balanced[0], balanced[1])


def weights_by_epoch(config, caches, run):
    """Weights of a pooled linear network after every epoch, as `last.ckpt` has them."""
    seen = []
    fit(
        config,
        *caches,
        run,
        FitOptions(listener=Listener(epoch=lambda _: seen.append(last_weights(run)["linear.weight"]))),
    )
    return seen, load_file(run / "average.safetensors")["linear.weight"]


def test_swa_is_the_mean_after_the_epochs_from_the_first_one_on(experiment, caches, tmp_path):
    config = experiment("train.average=swa", "train.average_from=1")
    seen, average = weights_by_epoch(config, caches, tmp_path / "run")
    torch.testing.assert_close(average, sum(seen[1:]) / 3, rtol=1e-5, atol=1e-7)


def test_ema_moves_after_every_update(experiment, caches, tmp_path):
    # one update in an epoch, so that the weights after the epochs are those after the updates
    config = experiment("train.average=ema", "train.ema_decay=0.6", "train.batch_size=48")
    seen, average = weights_by_epoch(config, caches, tmp_path / "run")
    by_hand = 0.6**3 * seen[0] + 0.4 * 0.6**2 * seen[1] + 0.4 * 0.6 * seen[2] + 0.4 * seen[3]
    torch.testing.assert_close(average, by_hand, rtol=1e-5, atol=1e-7)


def test_the_best_epochs_are_averaged(experiment, caches, tmp_path):
    config = experiment("train.average=best", "train.average_count=2", "optimizer.lr=1.0", "train.select=dev_loss")
    seen, average = weights_by_epoch(config, caches, tmp_path / "run")
    first, second = sorted(range(4), key=lambda epoch: metrics(tmp_path / "run")[epoch]["dev_loss"])[:2]
    torch.testing.assert_close(average, (seen[first] + seen[second]) / 2, rtol=1e-5, atol=1e-7)


def test_the_average_is_evaluated_on_dev_and_reported(experiment, caches, tmp_path):
    run, heard = tmp_path / "run", []
    fit(experiment("train.average=swa"), *caches, run, FitOptions(listener=Listener(average=heard.append)))
    model, about = load_model(run, "average")
    scores = score_partition(model, caches[1], 7, CPU)
    assert about.epoch == 3
    assert heard == [(about.dev_loss, about.dev_eer)]
    assert about.dev_eer == equal_error_rate(scores.bonafide, scores.spoof).rate
    # cross-entropy of two classes is log(1 + exp(∓ log-odds)); the experiment weighs bona fide twice
    losses = np.log1p(np.exp(np.where(scores.is_bonafide, -1, 1) * scores.scores))
    assert about.dev_loss == pytest.approx(np.average(losses, weights=1 + scores.is_bonafide), rel=1e-5)


def test_batch_norms_of_the_average_are_estimated_anew_on_train(experiment, caches, tmp_path):
    fit(experiment(*LCNN, "train.epochs=1", "train.batch_size=48", "train.average=swa"), *caches, tmp_path / "run")
    model, _ = load_model(tmp_path / "run", "average")
    seen = []
    model.backend.conv2[-1].register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    list(run_network(model, Feed([caches[0]], CPU), 48, CPU))  # its first batch norm has only fixed layers before it
    norm = model.backend.conv2[-1]
    torch.testing.assert_close(norm.running_mean, seen[0].mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, seen[0].var(dim=(0, 2, 3)), rtol=1e-4, atol=1e-5)
    assert not torch.equal(norm.running_mean, last_weights(tmp_path / "run")["conv2.2.running_mean"])


@pytest.mark.parametrize("name", ["append_line", "save_average"])
def test_killed_at_its_end_a_resumed_run_makes_the_average(experiment, caches, tmp_path, monkeypatch, name):
    def die(*args):
        raise KeyboardInterrupt

    config = experiment("train.average=ema", "train.epochs=1")
    fit(config, *caches, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(f"spoofcache.engine.snapshots.{name}", die)
        with pytest.raises(KeyboardInterrupt):
            fit(config, *caches, tmp_path / "run")
    assert not (tmp_path / "run/average.json").exists()
    fit(config, *caches, tmp_path / "run", FitOptions(resume=True))
    for file in ("average.safetensors", "average.json"):
        assert (tmp_path / "run" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_a_finished_average_stays_as_it_is(experiment, caches, tmp_path):
    run, heard = tmp_path / "run", []
    fit(experiment("train.average=swa"), *caches, run)
    before = (run / "average.json").stat()
    fit(experiment("train.average=swa"), *caches, run, FitOptions(resume=True, listener=Listener(average=heard.append)))
    assert (run / "average.json").stat() == before
    assert not heard


@pytest.mark.parametrize("loss", ["oc_softmax", "aam_softmax"])
def test_dev_is_evaluated_with_the_score_of_the_loss(experiment, caches, tmp_path, loss):
    fit(experiment(f"loss.name={loss}", "train.epochs=1"), *caches, tmp_path / "run")
    model, about = load_model(tmp_path / "run", "last")
    scores = score_partition(model, caches[1], 7, CPU)
    assert about.dev_eer == equal_error_rate(scores.bonafide, scores.spoof).rate
    output = model(torch.stack([item.features.float() for item in caches[1]]))
    labels = torch.tensor([item.label for item in caches[1]])
    per_utterance = model.objective.per_utterance(output, labels).tolist()
    assert about.dev_loss == pytest.approx(np.average(per_utterance, weights=1 + labels.numpy()), rel=1e-5)


@pytest.mark.parametrize("sizes", [["train.batch_size=47"], ["train.batch_size=24", "train.micro_batch=1"]])  # of 48
def test_a_batch_of_one_utterance_that_batch_norms_cannot_take_is_refused_before_the_run_folder_is_made(
    experiment, caches, tmp_path, sizes
):
    config = experiment("backend.name=ecapa_w2v", *sizes)
    with pytest.raises(RunError, match=r"leave a batch of one utterance, .* another train.batch_size"):
        fit(config, *caches, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_looking_for_a_batch_of_one_changes_no_random_number(experiment, caches, tmp_path, monkeypatch):
    config = experiment("train.batch_size=47", "train.epochs=1", "train.average=none")
    fit(config, *caches, tmp_path / "looked")
    monkeypatch.setattr("spoofcache.engine.training_setup.require_statistics", lambda *_: None)
    fit(config, *caches, tmp_path / "not_looked")
    assert (tmp_path / "looked" / MODEL).read_bytes() == (tmp_path / "not_looked" / MODEL).read_bytes()


@pytest.mark.parametrize("average", ["none", "swa", "best"])
def test_a_disk_without_room_for_the_checkpoints_is_known_before_training(
    experiment, caches, tmp_path, monkeypatch, average
):
    config = experiment("train.epochs=1", f"train.average={average}")
    fit(config, *caches, tmp_path / "run")
    weights = 4 * sum(tensor.numel() for tensor in load_file(tmp_path / "run" / MODEL).values())
    # twice the weights with the two numbers of Adam for each (`last.ckpt` while it is replaced), and the best weights
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=7 * weights - 1))
    with pytest.raises(RunError, match=r"other/run: the checkpoints of this training need [\d,]+ MB .*; expected more"):
        fit(config, *caches, tmp_path / "other" / "run")
    assert not (tmp_path / "other").exists()


def test_a_training_whose_features_were_changed_under_the_same_names_is_not_resumed(experiment, caches, tmp_path):
    folders = [Path(shutil.copytree(cache.folder, tmp_path / cache.folder.name)) for cache in caches]
    fit(experiment("train.epochs=1"), *map(CachedFeatures, folders), tmp_path / "run")
    trials = caches[0].trials
    shutil.rmtree(folders[0])
    write_cache(folders[0], trials, separable_rows(trials, seed=9))
    with pytest.raises(RunError, match=r"begun with another content of the train cache; --resume expects the same"):
        fit(experiment("train.epochs=1"), *map(CachedFeatures, folders), tmp_path / "run", FitOptions(resume=True))


def test_a_run_remembers_the_folder_of_the_speech_model(experiment, caches, tmp_path):
    train = Path(shutil.copytree(caches[0].folder, tmp_path / "train"))
    (tmp_path / "speech_model").mkdir()
    keep_weights_folder(train, tmp_path / "speech_model")
    fit(experiment("train.epochs=1"), CachedFeatures(train), caches[1], tmp_path / "run")
    assert weights_folder(tmp_path / "run") == tmp_path / "speech_model"

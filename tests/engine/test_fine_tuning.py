"""Fine-tuning above a cache: it continues where extraction ended, learns, and its runs are resumed and loaded."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from spoofcache import detect, evaluate, generate_score, main_train
from spoofcache.engine.about import RunError
from spoofcache.engine.checkpoint import load_last, load_model
from spoofcache.engine.config_file import ConfigError, load_config
from spoofcache.engine.loaded_run import load_run
from spoofcache.engine.score import score_partition
from spoofcache.engine.train import FitOptions, Listener, fit
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.encoder import EncoderSpec, open_checkpoint, rebuild_encoder
from spoofcache.features.extract import make_identity
from spoofcache.features.extract_options import ExtractOptions
from spoofcache.features.frontends import make_frontend
from spoofcache.features.frontends.base import FrontEndError, FrontEndOptions
from spoofcache.features.frontends.ssl import HiddenStates
from spoofcache.features.plan import keep_weights_folder
from spoofcache.tools.make_random_ssl import write_checkpoint
from tests.corpora import make_trials, write_cache
from tests.engine.test_processes import torchrun
from tests.features.frontends.conftest import TINY

SAMPLES = 4_000
DEPTH = 24
BOUNDARIES = (0, 12, 22, 24, "waveform")
CPU = torch.device("cpu")
CONFIG = """
[backend]
name = "pooled_linear"

[optimizer]
lr = 1e-2

[train]
epochs = 3
batch_size = 8
seed = 1
"""
ENCODER = ("encoder.trainable_from=22", "encoder.lr=1e-3")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A narrow model of XLS-R's family with 24 blocks and random weights."""
    folder = tmp_path_factory.mktemp("xls-r")
    write_checkpoint(folder, "xls-r-300m", layers=DEPTH, **TINY)
    return folder


@pytest.fixture(scope="module")
def caches(tmp_path_factory, weights):
    """`caches(22)`: train and dev, in float32, of a layer or of the `waveform`. The classes differ in their noise."""
    root, made = tmp_path_factory.mktemp("caches"), {}

    def waveforms(trials, seed):
        noise = 0.1 * np.random.default_rng(seed).standard_normal((len(trials), SAMPLES))
        for row, trial in zip(noise, trials, strict=True):
            if trial.key == "bonafide":
                row[:] = np.convolve(row, np.ones(3) / 3, "same")
        return torch.from_numpy(noise.astype(np.float32))

    def make(boundary):
        if boundary not in made:
            if boundary == "waveform":
                front_end = make_frontend("raw", FrontEndOptions())
            else:
                front_end = HiddenStates("xls-r-300m", FrontEndOptions(layers=(str(boundary),), weights=weights))
            identity = make_identity(front_end, ExtractOptions(n_samples=SAMPLES, dtype="float32"))
            pair = []
            for seed, (name, n) in enumerate({"train": 24, "dev": 15}.items()):
                trials = make_trials(n, name)
                rows = front_end.extract(waveforms(trials, seed)).numpy()
                folder = write_cache(root / f"{boundary}" / name, trials, rows, identity)
                keep_weights_folder(folder, weights)
                pair.append(CachedFeatures(folder))
            made[boundary] = tuple(pair)
        return made[boundary]

    return make


@pytest.fixture
def experiment(tmp_path):
    path = tmp_path / "experiment.toml"
    path.write_text(CONFIG)
    return lambda *overrides: load_config(path, overrides)


def scores(run, cache, which="best"):
    return score_partition(load_model(run, which)[0], cache, 16, CPU).scores


def losses(run):
    return [json.loads(line)["train_loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def call(command, *arguments):
    """Standard output of a command that must succeed."""
    done = CliRunner().invoke(command, [str(each) for each in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


class TestBoundary:
    @pytest.mark.parametrize("mode", ["full", "lora"])
    @pytest.mark.parametrize("boundary", BOUNDARIES)
    @torch.no_grad()
    def test_without_an_update_it_ends_where_extraction_of_the_last_layer_ends(self, weights, caches, boundary, mode):
        if (boundary, mode) == (DEPTH, "lora"):
            return  # refused, see below
        opened = open_checkpoint("", weights, None, {"trainable_from": boundary, "mode": mode})
        start, end = caches(boundary)[1], caches("last")[1]
        rows = torch.stack([start[index].features for index in range(len(start))])
        expected = torch.stack([end[index].features for index in range(len(end))])
        found = opened.encoder().eval()(rows)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
        assert found.shape[1:] == opened.spec.output_shape(rows.shape[1:])

    def test_lora_above_all_blocks_is_refused(self, weights):
        with pytest.raises(FrontEndError, match="no block of the speech model is above"):
            open_checkpoint("", weights, None, {"trainable_from": DEPTH, "mode": "lora"})

    def test_scores_through_blocks_equal_those_of_the_last_layer(self, weights, caches, experiment, tmp_path):
        """The head of a frozen training scores the same behind untrained blocks."""
        fit(experiment(), *caches("last"), tmp_path / "frozen")
        model, about = load_model(tmp_path / "frozen", "best")
        expected = score_partition(model, caches("last")[1], 16, CPU).scores
        for boundary in BOUNDARIES:
            opened = open_checkpoint("", weights, None, {"trainable_from": boundary})
            model.speech_model = opened.encoder().eval()
            found = score_partition(model, caches(boundary)[1], 16, CPU).scores
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
        assert not about.speech_model


class TestTraining:
    def test_two_blocks_learn_more_than_the_frozen_head_from_the_same_start(self, caches, experiment, tmp_path):
        fit(experiment(), *caches("last"), tmp_path / "frozen")
        fit(experiment(*ENCODER), *caches(22), tmp_path / "tuned")
        frozen, tuned = losses(tmp_path / "frozen"), losses(tmp_path / "tuned")
        assert tuned[-1] < frozen[-1]

    @pytest.mark.parametrize("mode", ["full", "lora"])
    def test_interrupted_and_resumed_equals_uninterrupted(self, caches, experiment, tmp_path, mode):
        config = experiment(*ENCODER, f"encoder.mode={mode}", "encoder.dropout=0.1", "train.average=ema")

        def stop(line):
            raise KeyboardInterrupt

        fit(config, *caches(22), tmp_path / "whole")
        with pytest.raises(KeyboardInterrupt):
            fit(config, *caches(22), tmp_path / "cut", FitOptions(listener=Listener(epoch=stop)))
        fit(config, *caches(22), tmp_path / "cut", FitOptions(resume=True))
        for name in ("model.safetensors", "average.safetensors"):
            one, other = (load_file(tmp_path / run / name) for run in ("whole", "cut"))
            assert one.keys() == other.keys()
            assert all(torch.equal(one[key], other[key]) for key in one)

    @pytest.mark.parametrize("mode", ["full", "lora"])
    def test_a_run_is_loaded_again_to_equal_scores(self, caches, weights, experiment, tmp_path, mode):
        dev = caches(22)[1]
        fit(experiment(*ENCODER, f"encoder.mode={mode}"), *caches(22), tmp_path / "run")
        one, two = (scores(tmp_path / "run", dev, "last") for _ in range(2))
        assert np.array_equal(one, two)
        state = load_file(tmp_path / "run/model.safetensors")
        upper = [name for name in state if name.startswith("speech_model.")]
        assert upper
        assert all("lora_" in name for name in upper) == (mode == "lora")
        assert json.loads((tmp_path / "run/model.json").read_text())["identity"] == dev.plan.identity.settings

    @pytest.mark.parametrize("mode", ["full", "lora"])
    def test_recordings_go_through_lower_blocks_trained_ones_and_head(self, caches, experiment, tmp_path, mode):
        fit(experiment(*ENCODER, f"encoder.mode={mode}"), *caches(22), tmp_path / "run")
        waves = [caches("waveform")[1][index].features.numpy() for index in range(3)]
        found = load_run(tmp_path / "run").score_waveforms(waves)
        np.testing.assert_allclose(found, scores(tmp_path / "run", caches(22)[1])[:3], atol=1e-5)

    @pytest.mark.parametrize("mode", ["full", "lora"])
    def test_the_whole_model_is_trained_from_waveforms(self, caches, weights, experiment, tmp_path, mode):
        settings = ("encoder.trainable_from=waveform", f"encoder.weights={weights}", f"encoder.mode={mode}")
        fit(experiment(*settings, "encoder.lr=1e-3", "train.epochs=2"), *caches("waveform"), tmp_path / "run")
        waves = [caches("waveform")[1][index].features.numpy() for index in range(3)]
        found = load_run(tmp_path / "run").score_waveforms(waves)
        np.testing.assert_allclose(found, scores(tmp_path / "run", caches("waveform")[1])[:3], atol=1e-5)

    def test_the_encoder_has_rates_of_its_own(self, caches, experiment, tmp_path):
        config = experiment(*ENCODER, "encoder.weight_decay=0.5", "train.epochs=1")
        fit(config, *caches(22), tmp_path / "run")
        state = load_last(tmp_path / "run")
        assert state is not None
        head, upper = state["optimizer"]["param_groups"]
        assert (head["lr"], head["weight_decay"]) == (1e-2, 0)
        assert (upper["lr"], upper["weight_decay"]) == (pytest.approx(1e-3), 0.5)

    def test_several_states_are_added_with_learnt_weights_or_stacked(self, weights, caches):
        rows = torch.stack([caches(22)[1][index].features for index in range(2)])
        three = {"trainable_from": 22, "layers_out": ("22", "24", "last")}
        stacked = open_checkpoint("", weights, None, {**three, "combine": "stack"}).encoder()(rows)
        summed = open_checkpoint("", weights, None, three).encoder()(rows)
        assert stacked.shape == (2, 3, *rows.shape[1:])
        assert torch.equal(stacked[:, 0], rows)
        torch.testing.assert_close(summed, stacked.mean(1))

    def test_checkpointing_changes_no_gradient(self, weights, caches):
        rows = torch.stack([caches(22)[1][index].features for index in range(2)])
        gradients = []
        for on in (False, True):
            settings = {"trainable_from": 22, "gradient_checkpointing": on}
            encoder = open_checkpoint("", weights, None, settings).encoder().train()
            encoder(rows).square().sum().backward()
            gradients.append([each.grad for each in encoder.parameters()])
        assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))

    def test_nothing_is_dropped_or_masked_unless_asked_for(self, weights, caches):
        rows = torch.stack([caches("waveform")[1][index].features for index in range(2)])
        plain = open_checkpoint("", weights, None, {"trainable_from": "waveform"}).encoder()
        assert torch.equal(plain.train()(rows), plain.eval()(rows))
        for setting in ({"layer_drop": 0.5}, {"mask_time": 0.9}, {"dropout": 0.5}):
            torch.manual_seed(0)
            other = open_checkpoint("", weights, None, {"trainable_from": "waveform", **setting}).encoder()
            assert not torch.allclose(other.train()(rows), other.eval()(rows))
            assert torch.equal(other.eval()(rows), plain.eval()(rows))


@pytest.mark.slow
class TestCommands:
    """The same commands as for any run."""

    @pytest.fixture
    def train(self, caches, experiment, tmp_path):
        """`train(out, *options)`: main_train.py on two blocks above the caches."""
        pair = [cache.folder for cache in caches(22)]
        experiment()  # writes the configuration

        def run(out, *options):
            where = ("--config", tmp_path / "experiment.toml", "--train", pair[0], "--dev", pair[1], "--out", out)
            settings = [word for each in (*ENCODER, "train.average=ema") for word in ("--set", each)]
            return call(main_train.main, *where, *settings, *options)

        return run

    def test_seeds_are_trained_compared_and_continued(self, train, caches, tmp_path):
        dev = caches(22)[1].folder
        assert "2 seeds: dev EER" in train(tmp_path / "run", "--seeds", 2)
        seeds = [tmp_path / f"run-seed{seed}" for seed in (1, 2)]
        options = [word for seed in seeds for word in ("--run", seed)]
        call(evaluate.main, *options, "--test", f"dev={dev}", "--json", tmp_path / "figures.json")
        assert (tmp_path / "figures.json").exists()
        train(tmp_path / "again", "--init", seeds[0])
        first, again = (
            load_file(folder / name)
            for folder, name in ((seeds[0], "model.safetensors"), (tmp_path / "again", "initial.safetensors"))
        )
        assert all(torch.equal(again[name], first[name]) for name in first if name.startswith("speech_model."))
        for which in ("best", "average"):
            found = tmp_path / f"{which}.txt"
            call(generate_score.main, "--run", seeds[0], "--features", dev, "--out", found, "--checkpoint", which)
            written = [float(line.split()[-1]) for line in found.read_text().splitlines()]
            np.testing.assert_allclose(written, scores(seeds[0], caches(22)[1], which), atol=1e-5)

    def test_detection_scores_a_file_as_the_cache_does(self, train, caches, tmp_path):
        train(tmp_path / "run")
        wave = caches("waveform")[1][0].features.numpy()
        soundfile.write(tmp_path / "sample.wav", wave, 16_000, subtype="FLOAT")
        printed = call(detect.main, "--run", tmp_path / "run", tmp_path / "sample.wav")
        expected = scores(tmp_path / "run", caches(22)[1])[0]
        assert float(printed.split("\t")[1]) == pytest.approx(expected, abs=1e-4)

    def test_two_processes_train_as_one(self, caches, experiment, tmp_path):
        fit(experiment(*ENCODER), *caches(22), tmp_path / "one")
        pair = [cache.folder for cache in caches(22)]
        settings = [word for each in ENCODER for word in ("--set", each)]
        where = ("--train", pair[0], "--dev", pair[1], "--out", tmp_path / "two", *settings)
        done = torchrun("main_train.py", "--config", tmp_path / "experiment.toml", *where, "--device", "cpu")
        assert done.returncode == 0, done.stderr
        np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-4)


class TestRefusals:
    def test_of_a_cache_of_another_layer(self, caches, experiment, tmp_path):
        with pytest.raises(RunError, match="expects a cache of a speech model with --layer 21 alone"):
            fit(experiment("encoder.trainable_from=21"), *caches(22), tmp_path / "run")

    def test_of_waveforms_without_a_model(self, caches, experiment, tmp_path):
        with pytest.raises(RunError, match=r"encoder\.weights is missing"):
            fit(experiment("encoder.trainable_from=waveform"), *caches("waveform"), tmp_path / "run")

    def test_of_other_weights_than_the_cache_was_made_with(self, caches, experiment, tmp_path):
        write_checkpoint(tmp_path / "other", "xls-r-300m", layers=DEPTH, seed=1, **TINY)
        with pytest.raises(RunError, match="the SHA-256 of its weights is"):
            fit(experiment(*ENCODER, f"encoder.weights={tmp_path / 'other'}"), *caches(22), tmp_path / "run")
        spec = open_checkpoint("", tmp_path / "other", None, {"trainable_from": 22, "mode": "lora"}).spec
        with pytest.raises(FrontEndError, match="the run was fine-tuned from"):
            rebuild_encoder(EncoderSpec.from_mapping(asdict(spec) | {"weights_sha256": "0" * 64}), tmp_path / "other")

    def test_of_a_boundary_above_the_model(self, weights):
        with pytest.raises(FrontEndError, match="of at most 24, not 25"):
            open_checkpoint("", weights, None, {"trainable_from": 25})

    @pytest.mark.parametrize(
        ("architecture", "family"),
        [("wavlm-base", "wavlm"), ("wav2vec2-conformer-large", "wav2vec2-conformer")],
    )
    def test_of_a_family_whose_blocks_depend_on_each_other(self, architecture, family, tmp_path):
        write_checkpoint(tmp_path / "theirs", architecture, layers=2, **TINY)
        sentence = f"a {family} model cannot be fine-tuned here; expected one of wav2vec2, .* can still be trained on"
        with pytest.raises(FrontEndError, match=sentence):
            open_checkpoint("", tmp_path / "theirs", None, {"trainable_from": 1})

    @pytest.mark.parametrize(
        ("override", "expected"),
        [
            ("encoder.trainable_from=2.5", "expected waveform or a whole number"),
            ("encoder.trainable_from=-1", "expected at least 0"),
            ("encoder.mask_time=0.1", "trainable_from = .waveform. with it"),
            ('encoder.layers_out=["23","23"]', "different hidden states"),
            ("encoder.learning_rate=1", r"expected encoder\.lr"),
        ],
    )
    def test_of_keys_and_values(self, experiment, override, expected):
        with pytest.raises(ConfigError, match=expected):
            experiment("encoder.trainable_from=22", override)

    def test_of_lora_without_peft(self, weights, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "peft", None)
        with pytest.raises(FrontEndError, match=r"pip install -r requirements-finetune\.txt"):
            open_checkpoint("", weights, None, {"trainable_from": 22, "mode": "lora"}).encoder()

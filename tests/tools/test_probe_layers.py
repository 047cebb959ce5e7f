"""The command: which layer it names, what it prints, and whether that runs."""

import json
import shlex
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from spoofcache import preprocess
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.frontends.ssl import HiddenStates
from spoofcache.features.waveform import fit_length, load_waveform
from spoofcache.protocols import Location, load_trials
from spoofcache.tools import probe_layers
from spoofcache.tools.make_random_ssl import write_checkpoint
from tests.corpora import make_trials
from tests.features.frontends.conftest import TINY

PLANTED, DEPTH, LENGTH = 5, 8, 4_000


def run(command, *options):
    """Exit status, standard output and standard error."""
    result = CliRunner().invoke(command, [str(option) for option in options])
    return result.exit_code, result.stdout, " ".join(result.stderr.split())


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("spoofcache.features.estimate.SECONDS", 0.0)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ssl")
    write_checkpoint(folder, "xls-r-300m", layers=DEPTH, **TINY)
    return folder


def noise_corpus(folder, n):
    """A protocol and FLACs of white noise, the same for both classes."""
    import soundfile

    random, lines = np.random.default_rng(n), []
    (folder / "flac").mkdir(parents=True)
    for trial in make_trials(n, folder.name):
        soundfile.write(folder / "flac" / f"{trial.utt_id}.flac", random.uniform(-0.5, 0.5, LENGTH), 16_000)
        lines.append(f"{trial.speaker} {trial.utt_id} - {trial.attack} {trial.key}\n")
    (folder / "protocol.txt").write_text("".join(lines))
    return folder / "protocol.txt", folder / "flac"


def plant(monkeypatch, corpora):
    """Add a signature to the output of one block, and only for bona fide utterances of these corpora.

    Each utterance has a deviation of its own from the signature, so that the classes overlap.
    """
    signatures = {}
    for protocol, audio_dir in corpora:
        for trial in load_trials("asvspoof19_style", Location(protocol=protocol, audio_dir=audio_dir), "all"):
            waveform = fit_length(load_waveform(trial.path), LENGTH, "repeat")
            deviation = np.random.default_rng(zlib.crc32(waveform.tobytes())).normal(0, 0.4)
            signatures[zlib.crc32(waveform.tobytes())] = 8 * (trial.label + deviation)
    original = HiddenStates.extract

    def extract(self, waveforms):
        features = original(self, waveforms).clone()
        names = self.settings()["layers"]
        if str(PLANTED) in names:
            added = torch.tensor([signatures.get(zlib.crc32(w.numpy().tobytes()), 0.0) for w in waveforms])
            planted = features[:, names.index(str(PLANTED))] if len(names) > 1 else features
            planted[..., 3] += added.float()[:, None]
        return features

    monkeypatch.setattr(HiddenStates, "extract", extract)


def corpus_options(corpora):
    for option, partition, (protocol, audio_dir) in zip(
        ("--train", "--dev", "--test"), ("train", "dev", "eval"), corpora, strict=False
    ):
        words = ["--corpus", "asvspoof19_style", "--protocol", protocol, "--audio-dir", audio_dir]
        text = shlex.join(map(str, [*words, "--partition", partition, "--name", "mini"]))
        yield from (option, text if option != "--test" else f"noise={text}")


def study(corpora, weights, tmp_path, *more):
    return run(
        probe_layers.main,
        *corpus_options(corpora),
        *("--frontend", "xls-r-300m", "--weights", weights, "--out", tmp_path / "cache", "--device", "cpu"),
        *("--preprocess", f"--length {LENGTH}", "--bootstrap", 200, "--json", tmp_path / "study.json", *more),
    )


def assert_named(record, sets):
    """The planted layer is the best one, and its figure lies in the interval on every set."""
    assert record["ranking"][0] == str(PLANTED)
    assert len(record["ranking"]) == DEPTH + 1
    best = record["recommendations"][0]
    assert best["layers"] == [str(PLANTED)]
    assert (best["blocks_run"], best["blocks"]) == (PLANTED, DEPTH)
    assert best["bytes"] > 0
    assert best["seconds"] > 0
    assert set(best["eer"]) == sets
    for figure in best["eer"].values():
        assert figure["low"] <= figure["value"] <= figure["high"]
        assert figure["value"] < 0.3


def assert_runs(record, out):
    """Each printed command caches the frames of the recommended layer in the cache that it names."""
    for command in record["recommendations"][0]["commands"]:
        python, script, *words = shlex.split(command)
        assert (python, script) == ("python", "preprocess.py")
        status, folders, error = run(preprocess.main, *words, "--device", "cpu")
        assert status == 0, error
        for folder in folders.split():
            data = CachedFeatures(Path(folder))
            assert data.plan.identity.settings["front_end"]["layers"] == [str(PLANTED)]
            assert data.plan.identity.pool is None
            assert Path(folder).is_relative_to(out)


def test_the_planted_layer_is_named_and_the_printed_command_runs(weights, tmp_path, monkeypatch):
    corpora = [noise_corpus(tmp_path / name, n) for name, n in (("train", 90), ("dev", 75), ("eval", 60))]
    plant(monkeypatch, corpora)
    status, told, error = study(corpora, weights, tmp_path, "--picture", tmp_path / "study.png")
    assert status == 0, error
    record = json.loads((tmp_path / "study.json").read_text())
    assert_named(record, {"mini/dev", "noise"})
    assert f"Best layer: {PLANTED} ({PLANTED} of {DEPTH} blocks run" in told
    for command in record["recommendations"][0]["commands"]:
        assert f"  {command}\n" in told
    assert (tmp_path / "study.png").read_bytes()[:4] == b"\x89PNG"
    assert_runs(record, tmp_path / "cache")


def test_the_statistics_are_those_of_preprocess_and_are_computed_once(weights, tmp_path, monkeypatch):
    """So a study of the caches says the same as one of the corpora, and recommends the same commands."""
    corpora = [noise_corpus(tmp_path / name, n) for name, n in (("train", 40), ("dev", 30))]
    plant(monkeypatch, corpora)
    folders = []
    for text in list(corpus_options(corpora))[1::2]:
        how = ("--frontend", "xls-r-300m", "--weights", weights, "--layer", "all", "--pool", "mean+std")
        where = ("--out", tmp_path / "cache", "--length", LENGTH, "--device", "cpu")
        folders.append(run(preprocess.main, *shlex.split(text), *how, *where)[1].strip())
    status, _, error = study(corpora, weights, tmp_path)
    assert status == 0, error
    assert error.count("0 shards written, 1 already complete") == 2
    of_corpora = json.loads((tmp_path / "study.json").read_text())
    options = ("--train", folders[0], "--dev", f"{Path(folders[1]).parents[1]}/*/dev", "--bootstrap", 200)
    status, _, error = run(probe_layers.main, *options, "--json", tmp_path / "again.json", "--device", "cpu")
    assert status == 0, error
    of_caches = json.loads((tmp_path / "again.json").read_text())
    for record in (of_corpora, of_caches):
        for one in record["recommendations"]:
            del one["seconds"]
    assert of_caches == of_corpora


def test_a_subset_alone_is_extracted_and_the_commands_are_for_all(weights, tmp_path):
    corpora = [noise_corpus(tmp_path / name, n) for name, n in (("train", 60), ("dev", 45))]
    status, told, error = study(
        corpora, weights, tmp_path, "--subset", 30, "--seed", 7, "--layer", 0, "--layer", "last"
    )
    assert status == 0, error
    (train,) = (tmp_path / "cache/mini").glob("*/train-subset30-seed7")
    assert len(CachedFeatures(train)) == 30
    record = json.loads((tmp_path / "study.json").read_text())
    assert record["layers"] == ["0", "last"]
    assert record["test_sets"][0]["n_bonafide"] + record["test_sets"][0]["n_spoof"] == 30
    best = record["recommendations"][0]
    assert "--partition train " in told
    assert best["bytes"] == (60 + 45) * 12 * 32 * 2
    assert best["blocks_run"] == {"0": 0, "last": DEPTH}[best["layers"][0]]


def test_a_cache_whose_origin_is_unknown_gets_a_command_with_gaps(weights, tmp_path):
    corpora = [noise_corpus(tmp_path / name, n) for name, n in (("train", 40), ("dev", 30))]
    assert study(corpora, weights, tmp_path)[0] == 0
    for record in (tmp_path / "cache").rglob("preprocess_options.json"):
        record.unlink()
    options = ("--train", f"{tmp_path}/cache/mini/*/train", "--dev", f"{tmp_path}/cache/mini/*/dev", "--device", "cpu")
    status, told, error = run(probe_layers.main, *options, "--bootstrap", 0)
    assert status == 0, error
    assert f"preprocess.py --corpus mini --root CORPUS_FOLDER --frontend xls-r-300m --weights {weights}" in told
    assert "How some of the caches were made is not recorded beside them" in told


def test_a_front_end_without_layers_is_its_only_layer(tmp_path):
    corpora = [noise_corpus(tmp_path / name, n) for name, n in (("train", 40), ("dev", 30))]
    options = ("--frontend", "lfcc", "--out", tmp_path / "cache", "--device", "cpu", "--bootstrap", 0)
    status, told, error = run(probe_layers.main, *corpus_options(corpora), *options)
    assert status == 0, error
    assert "Best layer: lfcc (" in told
    assert "--layer" not in told


def test_a_model_that_cannot_be_loaded_costs_the_estimate_and_not_the_study(weights, tmp_path, monkeypatch):
    corpora = [noise_corpus(tmp_path / name, n) for name, n in (("train", 40), ("dev", 30))]
    for words in corpus_options(corpora):
        if words.startswith("--corpus"):
            how = (
                "--frontend",
                "owner/name",
                "--weights",
                weights,
                "--layer",
                "all",
                "--pool",
                "mean",
                "--length",
                LENGTH,
            )
            assert (
                run(preprocess.main, *shlex.split(words), *how, "--out", tmp_path / "cache", "--device", "cpu")[0] == 0
            )
    for hint in (tmp_path / "cache").rglob("weights_folder.txt"):
        hint.unlink()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    options = ("--train", f"{tmp_path}/cache/mini/*/train", "--dev", f"{tmp_path}/cache/mini/*/dev", "--device", "cpu")
    status, told, error = run(probe_layers.main, *options, "--bootstrap", 0)
    assert status == 0, error
    assert "(size unknown, time unknown)" in told
    assert "The cost is unknown: owner/name: the hub cannot be reached" in told


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--train", "nowhere", "--dev", "nowhere"), "--train nowhere: 0 caches of statistics over time; expected the"),
        (("--train", "--corpus csv", "--dev", "x"), "--frontend is missing; expected it to extract a corpus"),
        (("--train", "--corpus csv", "--dev", "x", "--frontend", "lfcc"), "--out is missing; expected it to extract"),
        (("--train", "x", "--dev", "x", "--out", "cache"), "--out applies to corpora only"),
        (("--train", "x", "--dev", "x", "--layer", "3"), "--layer applies to corpora only"),
        (
            ("--train", "--corpus nosuch", "--dev", "x", "--frontend", "lfcc", "--out", "cache"),
            "--train --corpus nosuch: Invalid value for '--corpus': 'nosuch' is not one of",
        ),
        (
            ("--train", "--corpus csv", "--dev", "x", "--frontend", "lfcc", "--out", "cache"),
            "--train --corpus csv: expected --corpus and one --partition",
        ),
        (
            ("--train", "--corpus csv --partition a --limit 3", "--dev", "x", "--frontend", "lfcc", "--out", "cache"),
            "--limit has no place there; expected options that name one partition of a corpus",
        ),
        (
            ("--train", "--corpus csv --partition a --frontend raw", "--dev", "x", "--frontend", "lfcc", "--out", "c"),
            "--frontend has no place there",
        ),
        (
            ("--train", "--corpus csv --partition a --nosuch", "--dev", "x", "--frontend", "lfcc", "--out", "cache"),
            "No such option",
        ),
        (("--train", "--corpus 'csv", "--dev", "x", "--frontend", "lfcc", "--out", "c"), "No closing quotation"),
        (("--train", "x"), "Missing option '--dev'"),
        (("--train", "x", "--dev", "x", "--json", "a", "--html", "a"), "a: named twice"),
    ],
)
def test_wrong_input_gets_a_sentence(options, sentence):
    status, _, error = run(probe_layers.main, *options)
    assert status == 2
    assert sentence in error


def test_help_has_examples():
    assert "python tools/probe_layers.py --frontend xls-r-300m" in run(probe_layers.main, "--help")[1]


@pytest.mark.slow
@pytest.mark.corpus
def test_the_planted_layer_is_named_on_real_speech(weights, tmp_path, monkeypatch, shared):
    folder = shared / "data/minicorpus"
    protocols = ("MC.cm.train.trn.txt", "MC.cm.dev.trl.txt")
    corpora = [(folder / "protocols" / protocol, folder / "flac") for protocol in protocols]
    plant(monkeypatch, corpora)
    status, _, error = study(corpora, weights, tmp_path)
    assert status == 0, error
    record = json.loads((tmp_path / "study.json").read_text())
    assert_named(record, {"mini/dev"})
    assert_runs(record, tmp_path / "cache")

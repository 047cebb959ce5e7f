"""The command that makes a run folder of a published checkpoint."""

import json

import pytest
import torch
from click.testing import CliRunner

from spoofcache.engine.checkpoint import load_model
from spoofcache.features.plan import keep_weights_folder, weights_folder
from spoofcache.models import BACKENDS
from spoofcache.tools.import_checkpoint import main
from tests.corpora import make_trials, separable_rows, write_cache


def run(*options):
    return CliRunner().invoke(main, [str(option) for option in options])


def refusal(*options):
    """The one sentence of a command that must refuse."""
    result = run(*options)
    assert (result.exit_code, result.stdout) == (2, "")
    (sentence,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    return sentence


class Calling:
    """An object whose pickle calls a function."""

    def __reduce__(self):
        return print, ("called",)


@pytest.fixture
def theirs(tmp_path):
    """Options that name a checkpoint of a pooled linear network on 32×20 and a run folder."""
    torch.manual_seed(0)
    torch.save(BACKENDS["pooled_linear"]((32, 20)).state_dict(), tmp_path / "theirs.pth")
    return ("--backend", "pooled_linear", "--in", tmp_path / "theirs.pth", "--out", tmp_path / "runs/theirs")


@pytest.fixture
def cache(tmp_path):
    trials = make_trials(4)
    return write_cache(tmp_path / "eval", trials, separable_rows(trials))


def test_a_cache_determines_the_features_of_the_network(theirs, cache, tmp_path):
    result = run(*theirs, "--features", cache, "--bonafide-index", 0)
    assert (result.exit_code, result.output) == (0, f"{tmp_path / 'runs/theirs'}\n")
    model, about = load_model(tmp_path / "runs/theirs", "best")
    assert about.feature_shape == (32, 20)
    assert about.identity["front_end"] == {"name": "test"}
    source = torch.load(tmp_path / "theirs.pth", weights_only=True)
    assert torch.equal(model.backend.linear.bias, source["linear.bias"][[1, 0]])
    assert sorted(path.name for path in (tmp_path / "runs/theirs").iterdir()) == ["model.json", "model.safetensors"]


def test_a_front_end_determines_the_features_without_a_cache(theirs, tmp_path):
    torch.save(BACKENDS["pooled_linear"]((51, 60), deviation=True).state_dict(), tmp_path / "theirs.pth")
    options = ("--frontend", "lfcc", "--length", 8_000, "--fit", "zero", "--set", "deviation=true")
    assert run(*theirs, *options).exit_code == 0
    about = json.loads((tmp_path / "runs/theirs/model.json").read_text())
    assert about["feature_shape"] == [51, 60]
    assert about["settings"] == {"deviation": True}
    assert {name: about["identity"][name] for name in ("n_samples", "fit", "dtype")} == {
        "n_samples": 8_000,
        "fit": "zero",
        "dtype": "float16",
    }


def test_aasist_takes_waveforms_without_an_option(tmp_path):
    torch.save(BACKENDS["aasist_l"]((64_600,)).state_dict(), tmp_path / "theirs.pth")
    out = tmp_path / "run"
    assert run("--backend", "aasist_l", "--in", tmp_path / "theirs.pth", "--out", out).exit_code == 0
    about = json.loads((out / "model.json").read_text())
    assert about["identity"] == {
        "format_version": 1,
        "front_end": {"name": "raw"},
        "sample_rate": 16_000,
        "n_samples": 64_600,
        "fit": "repeat",
        "dtype": "float32",
    }


def test_an_existing_folder_is_kept(theirs, cache, tmp_path):
    (tmp_path / "runs/theirs").mkdir(parents=True)
    assert refusal(*theirs, "--features", cache).endswith("runs/theirs exists already; expected a new folder")
    assert not list((tmp_path / "runs/theirs").iterdir())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            (),
            "no speech model in it, and a back-end alone takes the features of a front-end; expected --features or ",
        ),
        (("--frontend", "raw"), "PooledLinear on features of shape (64600,); expected (T, D)"),
        (("--frontend", "lfcc"), "1 of another shape (linear.weight (2, 20) instead of (2, 60))"),
        (("--frontend", "lfc"), "front-end 'lfc'; expected one of"),
        (("--frontend", "lfcc", "--layer", "5"), "front-end lfcc has no layers"),
        (("--frontend", "lfcc", "--set", "deviation"), "--set 'deviation'; expected key=value"),
        (("--frontend", "lfcc", "--set", "width=wide"), "with settings {'width': 'wide'}"),
        (("--frontend", "lfcc", "--prefix", "net."), "no name begins with 'net.'"),
        (("--frontend", "lfcc", "--in", "."), "File '.' is a directory"),
        (("--frontend", "lfcc", "--in", "none.pth"), "File 'none.pth' does not exist"),
        (("--features", "."), "no manifest.json; expected a complete cache"),
        (("--features", ".", "--fit", "zero"), "--features already decides --fit; expected only one of the two"),
    ],
)
def test_wrong_usage_gets_a_sentence_and_leaves_nothing(theirs, tmp_path, monkeypatch, options, sentence):
    monkeypatch.chdir(tmp_path)
    assert sentence in refusal(*theirs, *options)
    assert [path.name for path in tmp_path.iterdir()] == ["theirs.pth"]


def test_a_pickled_module_and_a_damaged_file_get_a_sentence(theirs, cache, tmp_path):
    path = tmp_path / "theirs.pth"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert "theirs.pth: truncated; expected a file that torch.save" in refusal(*theirs, "--features", cache)
    torch.save(torch.nn.Linear(2, 2), path)
    assert "not the weights of pooled_linear: 2 missing (linear.weight" in refusal(*theirs, "--features", cache)
    torch.save({"hook": Calling()}, path)
    assert "unpickling it would call builtins.print, which may run any code" in refusal(*theirs, "--features", cache)
    assert not (tmp_path / "runs").exists()


def test_ignored_entries_are_listed_and_a_fine_tuned_speech_model_is_not(theirs, cache, tmp_path):
    state = torch.load(tmp_path / "theirs.pth", weights_only=True)
    torch.save(
        state | {"ssl_model.encoder.weight": torch.ones(1), "feature.lfcc_fb": torch.ones(1)}, tmp_path / "theirs.pth"
    )
    assert "1 unexpected (ssl_model.encoder.weight)" in refusal(*theirs, "--features", cache)
    result = run(*theirs, "--features", cache, "--drop", "ssl_model.")
    assert result.exit_code == 0
    beginning = "Ignored 2 entries of the checkpoint outside the network"
    assert result.stderr.splitlines() == [f"{beginning}: ssl_model.encoder.weight, feature.lfcc_fb"]


def test_the_folder_of_the_speech_model_is_remembered(theirs, cache, tmp_path):
    (tmp_path / "speech_model").mkdir()
    keep_weights_folder(cache, tmp_path / "speech_model")
    assert run(*theirs, "--features", cache).exit_code == 0
    assert weights_folder(tmp_path / "runs/theirs") == tmp_path / "speech_model"


def test_help_shows_an_example():
    result = run("--help")
    assert result.exit_code == 0
    assert (
        "python tools/import_checkpoint.py --backend aasist --in AASIST.pth --out runs/aasist_official" in result.output
    )

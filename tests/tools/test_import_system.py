"""Published systems with their fine-tuned speech model: imported, detected with, and refused.

Each is assembled in plain PyTorch from a model of fairseq's form (tests/fairseq_model.py) and the back-end, whose
equality with the published one is shown in tests/models.
"""

import json
import warnings

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from spoofcache import detect, generate_score
from spoofcache.engine.checkpoint import load_model
from spoofcache.features.fairseq import library_name
from spoofcache.features.frontends.geometry import configuration
from spoofcache.features.plan import Identity
from spoofcache.models import BACKENDS
from spoofcache.tools.import_checkpoint import main
from tests.corpora import make_trials, write_cache
from tests.fairseq_model import FairseqModel
from tests.features.frontends.conftest import TINY

DEPTH, SAMPLES = 3, 9_600
HEADS = {"ssl_aasist": "", "sls": "", "nes2net_x": "Nested_Res2Net_TDNN.", "conformer_tcm": ""}
"""Back-end → what the names of its weights begin with in the published checkpoint."""
SPEECH = "ssl_model.model."
WIDTH = 64
FRAMES = 29
"""Of 9,600 samples."""


class Assembly(torch.nn.Module):
    """Waveforms [B, n] → outputs [B, 2] of a published system, by the names in its checkpoint."""

    def __init__(self, backend, old_form=True):
        super().__init__()
        torch.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the earlier weight normalisation is what is published
            self.speech = FairseqModel(old_form=old_form, width=WIDTH)
        self.takes_blocks = backend == "sls"
        self.head = BACKENDS[backend]((DEPTH, FRAMES, WIDTH) if self.takes_blocks else (FRAMES, WIDTH))
        self.prefix = HEADS[backend]
        for name, buffer in self.head.named_buffers():  # trained batch norms are not the identity
            if "running" in name:
                buffer.copy_(torch.rand_like(buffer) + 0.5)

    def forward(self, waveforms):
        states, last = self.speech(waveforms)
        return self.head(torch.stack(states, 1) if self.takes_blocks else last).logits

    def published(self):
        """The state dict as the authors' code saves it."""
        speech = {f"{SPEECH}{name}": each for name, each in self.speech.state_dict().items()}
        return speech | {f"{self.prefix}{name}": each for name, each in self.head.state_dict().items()}


@pytest.fixture(scope="module")
def geometry(tmp_path_factory):
    """A folder with the configuration of the narrow speech model."""
    folder = tmp_path_factory.mktemp("geometry")
    configuration("xls-r-300m", num_hidden_layers=DEPTH, **{**TINY, "hidden_size": WIDTH}).save_pretrained(folder)
    return folder


@pytest.fixture
def load(geometry, tmp_path):
    """`load(backend, state)`: the result of the command on a checkpoint with that content, and the run folder."""

    def run(backend, state, *options):
        torch.save(state, tmp_path / "theirs.pth")
        paths = ("--in", tmp_path / "theirs.pth", "--out", tmp_path / "run", "--speech-model", geometry)
        arguments = ("--backend", backend, *paths, "--length", SAMPLES, *options)
        return CliRunner().invoke(main, [str(each) for each in arguments]), tmp_path / "run"

    return run


def refusal(result):
    """The one sentence of a command that refuses."""
    assert (result.exit_code, result.stdout) == (2, "")
    (sentence,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    return sentence


@pytest.mark.parametrize(("wrapper", "old_form"), [("", True), ("module.", False)], ids=["plain", "DataParallel"])
@pytest.mark.parametrize("backend", HEADS)
def test_detection_equals_the_plain_assembly_of_the_same_weights(backend, wrapper, old_form, load, tmp_path):
    system = Assembly(backend, old_form).eval()
    result, run = load(backend, {f"{wrapper}{name}": each for name, each in system.published().items()})
    assert result.exit_code == 0, result.output
    noise = 0.1 * np.random.default_rng(0).standard_normal(12_000)
    scores, expected = {}, {}
    for name, n in {"short": 4_000, "long": 12_000}.items():
        soundfile.write(tmp_path / f"{name}.flac", noise[:n], 16_000, subtype="PCM_16")
        samples, _ = soundfile.read(tmp_path / f"{name}.flac", dtype="float32")
        with torch.no_grad():
            expected[name] = system(torch.from_numpy(np.tile(samples, 3)[:SAMPLES])[None])[0, 1].item()
        found = CliRunner().invoke(detect.main, ["--run", str(run), str(tmp_path / f"{name}.flac")])
        assert found.exit_code == 0, found.output
        scores[name] = float(found.stdout.split("\t")[1])
    assert scores == pytest.approx(expected, abs=1e-4, rel=0)


def test_what_the_published_scorer_does_is_written_into_the_run(geometry, tmp_path):
    for backend, n_samples in {"ssl_aasist": 64_600, "conformer_tcm": 66_800}.items():
        torch.save(Assembly(backend).published(), tmp_path / "theirs.pth")
        paths = ("--in", tmp_path / "theirs.pth", "--out", tmp_path / backend, "--speech-model", geometry)
        result = CliRunner().invoke(main, [str(each) for each in ("--backend", backend, *paths)])
        assert result.exit_code == 0, result.output
        about = json.loads((tmp_path / backend / "model.json").read_text())
        assert about["identity"] == {
            "format_version": 1,
            "front_end": {"name": "raw"},
            "sample_rate": 16_000,
            "n_samples": n_samples,
            "fit": "repeat",
            "dtype": "float32",
        }
        assert about["loss_settings"] == {"score": "bonafide-logit"}
        assert about["class_index"] == {"spoof": 0, "bonafide": 1}
        assert (about["speech_model"]["normalize"], about["speech_model"]["layers_out"]) == ("none", ["last"])


def test_a_cache_of_waveforms_is_scored(load, tmp_path):
    system = Assembly("nes2net_x").eval()
    result, run = load("nes2net_x", system.published())
    assert result.exit_code == 0, result.output
    trials, (_, about) = make_trials(5), load_model(run, "best")
    rows = 0.1 * np.random.default_rng(0).standard_normal((5, SAMPLES)).astype(np.float32)
    cache = write_cache(tmp_path / "eval", trials, rows, Identity(about.identity))
    options = ("--run", run, "--features", cache, "--out", tmp_path / "scores.txt")
    assert CliRunner().invoke(generate_score.main, [str(each) for each in options]).exit_code == 0
    found = [float(line.split()[-1]) for line in (tmp_path / "scores.txt").read_text().splitlines()]
    with torch.no_grad():
        np.testing.assert_allclose(found, system(torch.from_numpy(rows))[:, 1].numpy(), atol=1e-4)


def test_pre_training_tensors_are_ignored_and_listed(load):
    result, _ = load("sls", Assembly("sls").published())
    assert result.exit_code == 0
    listed = result.stderr.strip().partition("outside the network: ")[2].split(", ")
    pretraining = ("mask_emb", "project_q.weight", "project_q.bias", "final_proj.weight", "final_proj.bias")
    not_used_by_sls = ("encoder.layer_norm.weight", "encoder.layer_norm.bias")
    assert sorted(listed) == sorted(f"{SPEECH}{each}" for each in (*pretraining, "quantizer.vars", *not_used_by_sls))


BLOCK = f"{SPEECH}encoder.layers.1."


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda state: state.pop(f"{BLOCK}fc1.weight"), f"1 missing ({BLOCK}fc1.weight)"),
        (
            lambda state: state.pop(f"{SPEECH}encoder.pos_conv.0.weight_g"),
            f"1 missing ({SPEECH}encoder.pos_conv.0.weight_g)",
        ),
        (lambda state: state.pop(f"{SPEECH}layer_norm.bias"), f"1 missing ({SPEECH}layer_norm.bias)"),
        (lambda state: state.pop("LL.bias"), "1 missing (LL.bias)"),
        (
            lambda state: state.update({f"{SPEECH}encoder.layers.3.fc1.bias": torch.ones(48)}),
            f"1 unexpected ({SPEECH}encoder.layers.3.fc1.bias)",
        ),
        (lambda state: state.update({"second_head.weight": torch.ones(2)}), "1 unexpected (second_head.weight)"),
        (
            lambda state: state.update({f"{BLOCK}self_attn.v_proj.weight": torch.ones(64, 32)}),
            f"1 of another shape ({BLOCK}self_attn.v_proj.weight (64, 32) instead of (64, 64))",
        ),
        (
            lambda state: state.update({f"{BLOCK}fc2.bias": torch.full((64,), torch.nan)}),
            f"1 not finite ({BLOCK}fc2.bias)",
        ),
        (lambda state: state.update({"out_layer.weight": torch.ones(3, 160)}), "out_layer.weight (3, 160) instead of"),
    ],
)  # fmt: skip
def test_missing_extra_and_misshapen_tensors_are_refused_by_name(load, spoil, sentence):
    state = Assembly("ssl_aasist").published()
    spoil(state)
    result, run = load("ssl_aasist", {f"module.{name}": each for name, each in state.items()})
    assert sentence.replace(SPEECH, f"module.{SPEECH}") in refusal(result)
    assert not run.exists()


def test_of_a_nested_head_a_missing_tensor_is_the_only_one_named(load):
    state = Assembly("nes2net_x").published()
    del state["Nested_Res2Net_TDNN.bn.bias"]
    result, _ = load("nes2net_x", state)
    assert refusal(result).endswith("not the weights of nes2net_x with its speech model: 1 missing (bn.bias)")


def test_a_checkpoint_without_a_speech_model_is_refused(load):
    result, _ = load("ssl_aasist", Assembly("ssl_aasist").head.state_dict())
    assert "no speech model in it, and a back-end alone takes the features of a front-end" in refusal(result)


def test_of_two_systems_the_prefix_chooses(load):
    state = Assembly("ssl_aasist").published()
    two = {f"{prefix}{name}": each for prefix in ("student.", "teacher.") for name, each in state.items()}
    result, _ = load("ssl_aasist", two)
    assert "holds several speech models; expected --prefix student.ssl_model.model. or" in refusal(result)
    result, run = load("ssl_aasist", two, "--prefix", "student.", "--drop", "teacher.")
    assert result.exit_code == 0, result.output
    assert torch.equal(load_model(run, "best")[0].backend.LL.bias, state["LL.bias"])


def test_names_of_transformers_are_read_too(load):
    result, first = load("nes2net_x", Assembly("nes2net_x").published())
    assert result.exit_code == 0
    model, _ = load_model(first, "best")
    state = Assembly("nes2net_x").published()
    theirs = {
        f"front.{library_name(name.removeprefix(SPEECH))}" if name.startswith(SPEECH) else name: each
        for name, each in state.items()
    }
    first.rename(first.with_name("first"))
    result, second = load("nes2net_x", theirs)
    assert result.exit_code == 0, result.output
    again, _ = load_model(second, "best")
    assert all(torch.equal(each, model.state_dict()[name]) for name, each in again.state_dict().items())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--layer", "4"), "encoder.layers_out has 4; the speech model"),
        (
            ("--speech-model", "xls-r-3m"),
            "speech model 'xls-r-3m'; expected a folder with a config.json, or xls-r-300m",
        ),
        (("--frontend", "raw"), "--speech-model with --frontend; expected only one of the two"),
        (("--weights", "."), "--weights without --frontend; expected both, or --speech-model"),
        (("--speech-model", "."), "no configuration of a speech model"),
        (("--speech-model", "wavlm-base"), "a wavlm model cannot be fine-tuned here"),
    ],
)
def test_options_that_cannot_be_get_a_sentence(load, tmp_path, monkeypatch, options, sentence):
    monkeypatch.chdir(tmp_path)
    assert sentence in refusal(load("ssl_aasist", {}, *options)[0])


def test_the_score_can_be_chosen(load):
    result, run = load("ssl_aasist", Assembly("ssl_aasist").published(), "--score", "log-odds")
    assert result.exit_code == 0
    assert json.loads((run / "model.json").read_text())["loss_settings"] == {}

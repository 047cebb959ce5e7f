"""Hidden states of Whisper's encoder and of w2v-BERT against the library's own, on checkpoints with random weights."""

import json
import shutil
from itertools import pairwise

import pytest
import torch
from transformers import AutoFeatureExtractor, AutoModel, Wav2Vec2ForSequenceClassification

from spoofcache.features.extract_options import ExtractOptions
from spoofcache.features.frontends import make_for_estimate, make_frontend
from spoofcache.features.frontends.base import FrontEndError, FrontEndOptions
from spoofcache.features.frontends.geometry import ARCHITECTURES, Architecture
from spoofcache.features.frontends.ssl import HiddenStates
from spoofcache.features.online import OnlineFeatures, rebuild_features
from tests.features.frontends.conftest import tiny

DEPTH = 3
SPECTRAL = ["whisper-tiny", "whisper-large-v3", "w2v-bert-2.0"]


def frontend(folder, *layers, **options):
    return HiddenStates("model", FrontEndOptions(layers=layers, weights=folder, **options))


@torch.inference_mode()
def library(folder, waveforms):
    """The library's hidden states 0…DEPTH and its output, all frames, as its documentation computes them."""
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    inputs = extractor(list(waveforms.numpy()), sampling_rate=16_000, return_tensors="pt")
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    model = model.encoder if model.config.model_type == "whisper" else model
    output = model(**inputs, output_hidden_states=True)
    return [*output.hidden_states[:DEPTH], output.last_hidden_state]


def assert_same(ours, theirs):
    """Equal to 1e-5 of the largest value."""
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))


@pytest.fixture
def copy(tmp_path, checkpoint):
    """`copy("whisper-tiny", feature_size=128)`: a copy of a checkpoint with changes to its extractor."""

    def make(architecture, **changes):
        folder = shutil.copytree(checkpoint(architecture), tmp_path / "copy")
        path = folder / "preprocessor_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        return folder

    return make


@pytest.mark.parametrize("architecture", SPECTRAL)
def test_hidden_states_are_those_of_the_library(checkpoint, waveforms, architecture):
    folder = checkpoint(architecture)
    ours = frontend(folder, "0", "1", "2", "last").extract(waveforms)
    theirs = library(folder, waveforms)
    assert ours.shape[:3] == (3, 4, 24 if architecture.startswith("w2v") else 25)
    for index, expected in enumerate(theirs):
        assert_same(ours[:, index], expected[:, : ours.shape[2]])
    differences = [float((one - another).abs().max()) for one, another in pairwise(theirs)]
    assert min(differences) > 0.01  # or the lines above would say nothing


@pytest.mark.parametrize("layer", ["0", "1", str(DEPTH)])
@pytest.mark.parametrize("architecture", ["whisper-tiny", "w2v-bert-2.0"])
def test_a_layer_alone_is_the_one_among_several(checkpoint, waveforms, architecture, layer):
    folder = checkpoint(architecture)
    alone = frontend(folder, layer).extract(waveforms)
    assert_same(alone, frontend(folder, layer, "last").extract(waveforms)[:, 0])


def test_the_highest_layer_of_whisper_becomes_its_output_by_the_final_norm(checkpoint, waveforms):
    folder = checkpoint("whisper-tiny")
    both = frontend(folder, str(DEPTH), "last").extract(waveforms)
    norm = AutoModel.from_pretrained(folder, dtype=torch.float32).encoder.layer_norm
    with torch.inference_mode():
        assert_same(norm(both[:, 0]), both[:, 1])
    assert not torch.allclose(both[:, 0], both[:, 1], atol=0.1)


@pytest.mark.parametrize(
    ("architecture", "n_samples", "n_frames"),
    [
        ("whisper-tiny", 64_600, 201),
        ("whisper-tiny", 64_000, 200),
        ("whisper-tiny", 480_000, 1_500),
        ("w2v-bert-2.0", 64_600, 201),
        ("w2v-bert-2.0", 64_400, 200),  # 401 frames of 10 ms, of which the library fills up the last pair
        ("w2v-bert-2.0", 560, 1),
    ],
)
def test_only_frames_of_the_audio_are_stored(checkpoint, architecture, n_samples, n_frames):
    folder = checkpoint(architecture)
    one = frontend(folder, "1")
    assert one.row_shape(n_samples) == (n_frames, 32)
    waveform = 0.1 * torch.randn(1, n_samples, generator=torch.Generator().manual_seed(1))
    assert_same(one.extract(waveform), library(folder, waveform)[1][:, :n_frames])


def test_the_normalize_option_scales_the_waveform_before_the_spectrum(checkpoint, waveforms):
    folder = checkpoint("whisper-tiny")
    assert frontend(folder).settings()["normalize"] == "none"
    scaled = frontend(folder, normalize="zero-mean-unit-variance").extract(waveforms)
    by_hand = (waveforms - waveforms.mean(1, keepdim=True)) / waveforms.std(1, correction=0, keepdim=True)
    torch.testing.assert_close(scaled, frontend(folder).extract(by_hand), rtol=0, atol=1e-3)
    assert not torch.allclose(scaled, frontend(folder).extract(waveforms), atol=1e-3)


def test_rate_padding_and_cut_are_in_the_identity(checkpoint):
    assert frontend(checkpoint("whisper-tiny")).settings()["input"] == {
        "extractor": "whisper",
        "n_mels": 80,
        "n_fft": 400,
        "sample_rate": 16_000,
        "padded_to": 480_000,
        "padding_value": 0.0,
        "samples_per_frame": 320,
        "frames": "of the audio",
    }
    assert frontend(checkpoint("w2v-bert-2.0")).settings()["input"]["samples_per_frame"] == 320
    assert "input" not in frontend(checkpoint("xls-r-300m")).settings()  # caches of before keep their identity


def test_the_activation_of_whisper_changes_its_identity(copy, checkpoint):
    changed = copy("whisper-tiny")
    path = changed / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"activation_function": "relu"}))
    assert frontend(changed).settings() != frontend(checkpoint("whisper-tiny")).settings()


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
@pytest.mark.parametrize("architecture", ["whisper-tiny", "w2v-bert-2.0"])
def test_lower_precision_gives_roughly_the_same(checkpoint, waveforms, architecture, precision):
    folder = checkpoint(architecture)
    exact = frontend(folder).extract(waveforms)
    rough = frontend(folder, precision=precision).extract(waveforms)
    assert rough.dtype == torch.float32
    assert 1e-5 < float((rough - exact).square().mean().sqrt() / exact.std()) < 0.3


class TestRefusals:
    def test_more_than_thirty_seconds_for_whisper(self, checkpoint):
        one = frontend(checkpoint("whisper-tiny"))
        for call in (lambda: one.row_shape(480_001), lambda: one.extract(torch.zeros(1, 480_001))):
            with pytest.raises(FrontEndError, match=r"480001 samples; expected at most 480000 \(30 s\)"):
                call()

    def test_fewer_samples_than_a_frame_of_w2v_bert(self, checkpoint):
        one = frontend(checkpoint("w2v-bert-2.0"))
        with pytest.raises(FrontEndError, match="559 samples; expected at least 560"):
            one.row_shape(559)

    @pytest.mark.parametrize(
        ("architecture", "changes", "sentence"),
        [
            (
                "whisper-tiny",
                {"feature_size": 128},
                "computes 128 bands and 3000 frames, .*; expected 80, 3000 and 160",
            ),
            ("whisper-tiny", {"chunk_length": 10}, "computes 80 bands and 1000 frames"),
            ("whisper-tiny", {"dither": 0.5}, r"adds noise \(dither 0\.5\); expected 0\.0"),
            ("whisper-tiny", {"sampling_rate": 24_000}, "audio at 24000 Hz .*; expected 16000 Hz"),
            ("w2v-bert-2.0", {"num_mel_bins": 40}, "computes 80 numbers a frame, .*; expected 160 and 2"),
            ("w2v-bert-2.0", {"stride": 1}, "computes 80 numbers a frame, .*; expected 160 and 2"),
        ],
    )
    def test_an_extractor_that_does_not_fit(self, copy, architecture, changes, sentence):
        with pytest.raises(FrontEndError, match=sentence):
            frontend(copy(architecture, **changes))

    @pytest.mark.parametrize("architecture", ["whisper-tiny", "w2v-bert-2.0"])
    def test_no_extractor(self, copy, architecture):
        folder = copy(architecture)
        (folder / "preprocessor_config.json").unlink()
        with pytest.raises(FrontEndError, match=r"no readable preprocessor_config\.json, which says what spectrum"):
            frontend(folder, normalize="none")

    @pytest.mark.parametrize(
        ("name", "architecture", "sentence"),
        [
            ("w2v-bert-2.0", "whisper-tiny", "a whisper model; w2v-bert-2.0 expects one of wav2vec2-bert"),
            ("whisper-small", "w2v-bert-2.0", "a wav2vec2-bert model; whisper-small expects one of whisper"),
            ("mms-1b", "hubert-base", "a hubert model; mms-1b expects one of wav2vec2"),
        ],
    )
    def test_a_checkpoint_of_another_family(self, checkpoint, name, architecture, sentence):
        with pytest.raises(FrontEndError, match=sentence):
            make_frontend(name, FrontEndOptions(weights=checkpoint(architecture)))


@pytest.mark.parametrize("name", ["whisper-tiny", "w2v-bert-2.0", "mms-300m"])
def test_an_estimate_without_the_checkpoint_has_the_right_shape(monkeypatch, waveforms, name):
    model_type, settings = ARCHITECTURES[name]
    depth = ("encoder_layers", "decoder_layers") if model_type == "whisper" else ("num_hidden_layers",)
    small = Architecture(model_type, {**settings, **tiny(name), **dict.fromkeys(depth, 2)})
    monkeypatch.setitem(ARCHITECTURES, name, small)
    monkeypatch.setattr("spoofcache.features.frontends.is_downloaded", lambda repository: False)
    estimate = make_for_estimate(name, FrontEndOptions(layers=("1", "last"), pool="mean"))
    assert estimate.is_stand_in
    assert estimate.row_shape(8_000) == (2, 32)
    assert estimate.extract(waveforms).shape == (3, 2, 32)


@pytest.mark.parametrize("name", ["whisper-tiny", "w2v-bert-2.0"])
@pytest.mark.parametrize("pool", [None, "mean+std"])
def test_features_of_a_run_are_rebuilt_from_their_identity(checkpoint, waveforms, name, pool):
    folder = checkpoint(name)
    made = make_frontend(name, FrontEndOptions(layers=("2",), weights=folder, pool=pool))
    online = OnlineFeatures(made, ExtractOptions(n_samples=8_000))
    again = rebuild_features(online.identity, folder, torch.device("cpu"))
    some = list(waveforms.numpy())
    assert torch.equal(again.extract(some, "a"), online.extract(some, "a"))


def test_a_countermeasure_that_was_trained_on_a_speech_model_gives_its_encoder(tmp_path, checkpoint, waveforms):
    base = AutoModel.from_pretrained(checkpoint("mms-300m"))
    detector = Wav2Vec2ForSequenceClassification(base.config)
    detector.wav2vec2.load_state_dict(base.state_dict())
    folder = shutil.copytree(checkpoint("mms-300m"), tmp_path / "detector")
    detector.save_pretrained(folder)
    assert torch.equal(frontend(folder).extract(waveforms), frontend(checkpoint("mms-300m")).extract(waveforms))

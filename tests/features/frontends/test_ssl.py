"""Hidden states against the library's own, on checkpoints with random weights."""

import json
import shutil
from contextlib import contextmanager

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.modules.module import register_module_forward_hook
from transformers import AutoModel, Wav2Vec2FeatureExtractor

from spoofcache.features.frontends.base import FrontEndError, FrontEndOptions
from spoofcache.features.frontends.ssl import HiddenStates, zero_mean_unit_variance
from spoofcache.features.frontends.statements import FAMILIES
from tests.recipe import wave

PRE_LN = ["xls-r-300m", "hubert-large", "wavlm-large"]
POST_LN = ["wav2vec2-base", "hubert-base", "wavlm-base"]
RELATIVES = ["data2vec-audio-base", "unispeech-large", "unispeech-sat-base", "wav2vec2-conformer-large"]
DEPTH = 3


def states(folder, waveforms, *layers, **options):
    """What our front-end makes of the waveforms."""
    return HiddenStates("model", FrontEndOptions(layers=layers, weights=folder, **options)).extract(waveforms)


def identity(folder, *layers, **options):
    return HiddenStates("model", FrontEndOptions(layers=layers, weights=folder, **options)).settings()


@torch.inference_mode()
def library(folder, waveforms):
    """What the library makes of them, prepared by the checkpoint's own feature extractor."""
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(folder)
    prepared = extractor(list(waveforms.numpy()), sampling_rate=16_000, return_tensors="pt").input_values
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    return model(prepared, output_hidden_states=True)


@contextmanager
def calls(kind=torch.nn.Module, note=lambda: None):
    """The modules of that kind that are called in the block, in order; `note` is called with each."""
    modules = []

    def hook(module, args, output):
        if isinstance(module, kind):
            modules.append(module)
            note()

    handle = register_module_forward_hook(hook)
    yield modules
    handle.remove()


def assert_same(ours, theirs):
    """Equal to 1e-5 of the largest value."""
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))


@pytest.fixture
def copy(tmp_path, checkpoint):
    """`copy("config.json", hidden_act="relu")`: a copy of a checkpoint with fields of a JSON file changed."""

    def make(name="config.json", source=None, **changes):
        folder = tmp_path / "copy"
        shutil.copytree(source or checkpoint("xls-r-300m"), folder)
        if changes:
            fields = json.loads((folder / name).read_text())
            (folder / name).write_text(json.dumps(fields | changes))
        return folder

    return make


class TestLayers:
    @pytest.mark.parametrize("architecture", PRE_LN + POST_LN)
    def test_last_is_the_librarys_last_hidden_state(self, checkpoint, waveforms, architecture):
        folder = checkpoint(architecture)
        assert_same(states(folder, waveforms), library(folder, waveforms).last_hidden_state)

    @pytest.mark.parametrize("k", range(DEPTH + 1))
    @pytest.mark.parametrize("architecture", PRE_LN + POST_LN)
    def test_layer_k_is_the_librarys_hidden_state_k(self, checkpoint, waveforms, architecture, k):
        folder = checkpoint(architecture)
        theirs = library(folder, waveforms).hidden_states
        assert len(theirs) == DEPTH + 1
        assert_same(states(folder, waveforms, str(k)), theirs[k])
        others = [float((theirs[k] - other).abs().max()) for j, other in enumerate(theirs) if j != k]
        assert min(others) > 0.01  # or the line above would say nothing

    @pytest.mark.parametrize("architecture", RELATIVES)
    def test_the_relatives_give_the_librarys_numbers(self, checkpoint, waveforms, architecture):
        folder = checkpoint(architecture)
        theirs = library(folder, waveforms)
        assert_same(states(folder, waveforms), theirs.last_hidden_state)
        for k in range(DEPTH):
            assert_same(states(folder, waveforms, str(k)), theirs.hidden_states[k])

    @pytest.mark.parametrize("architecture", PRE_LN)
    def test_before_its_layer_norm_the_highest_layer_is_raw(self, checkpoint, waveforms, architecture):
        folder = checkpoint(architecture)
        raw, last = states(folder, waveforms, str(DEPTH)), states(folder, waveforms, "last")
        assert not torch.allclose(raw, last, atol=0.1)
        with torch.inference_mode():
            norm = AutoModel.from_pretrained(folder, dtype=torch.float32).encoder.layer_norm
            assert_same(last, norm(raw))

    @pytest.mark.parametrize("architecture", POST_LN)
    def test_in_base_models_the_highest_layer_is_last(self, checkpoint, waveforms, architecture):
        folder = checkpoint(architecture)
        assert torch.equal(states(folder, waveforms, str(DEPTH)), states(folder, waveforms, "last"))

    def test_several_layers_stand_in_the_order_asked_for(self, checkpoint, waveforms):
        folder = checkpoint("xls-r-300m")
        several = states(folder, waveforms, "2", "last", "0")
        assert several.shape == (3, 3, 24, 32)
        for index, layer in enumerate(("2", "last", "0")):
            assert_same(several[:, index], states(folder, waveforms, layer))

    @pytest.mark.parametrize(
        ("layers", "run"), [(("last",), 3), (("3",), 3), (("2",), 2), (("0", "1"), 1), (("0",), 0), (("1", "last"), 3)]
    )
    @pytest.mark.parametrize("architecture", ["xls-r-300m", "wavlm-base"])
    def test_blocks_above_the_highest_layer_do_not_run(self, checkpoint, waveforms, architecture, layers, run):
        frontend = HiddenStates("model", FrontEndOptions(layers=layers, weights=checkpoint(architecture)))
        frontend.extract(waveforms)  # by our network and by the library's model
        with calls() as modules:
            frontend.extract(waveforms)
        assert sum(type(module).__name__ in ("Block", "WavLMEncoderLayer") for module in modules) == run

    def test_a_batch_changes_nothing(self, checkpoint, waveforms):
        frontend = HiddenStates("model", FrontEndOptions(layers=("1", "last"), weights=checkpoint("xls-r-300m")))
        alone = torch.cat([frontend.extract(waveform[None]) for waveform in waveforms])
        assert_same(frontend.extract(waveforms), alone)
        assert_same(frontend.extract(waveforms.flip(0)).flip(0), alone)

    @pytest.mark.parametrize(
        ("layers", "sentence"),
        [
            (("4",), "layer '4' of model; expected last or 0…3"),
            (("-1",), "layer '-1' of model; expected last or 0…3"),
            (("last", "final"), "layer 'final' of model; expected last or 0…3"),
            (("1", "2", "1"), "layers 1 2 1; expected each one once"),
        ],
    )
    def test_a_layer_that_is_not_there_is_refused(self, checkpoint, layers, sentence):
        with pytest.raises(FrontEndError) as refusal:
            identity(checkpoint("xls-r-300m"), *layers)
        assert str(refusal.value) == sentence

    def test_the_slug_names_the_layers(self, checkpoint):
        weights = checkpoint("xls-r-300m")
        assert HiddenStates("xls-r-300m", FrontEndOptions(weights=weights)).slug == "xls-r-300m-last"
        assert (
            HiddenStates("owner/name", FrontEndOptions(layers=("2", "3"), weights=weights)).slug == "owner-name-l2-l3"
        )


def test_the_full_width_of_xls_r_on_four_seconds(checkpoint):
    folder = checkpoint(
        "xls-r-300m",
        layers=2,
        hidden_size=1024,
        num_attention_heads=16,
        intermediate_size=4096,
        conv_dim=(512,) * 7,
        num_conv_pos_embeddings=128,
        num_conv_pos_embedding_groups=16,
        initializer_range=0.02,
    )
    frontend = HiddenStates("xls-r-300m", FrontEndOptions(layers=("2", "last"), weights=folder))
    ours, theirs = frontend.extract(wave()), library(folder, wave())
    assert ours.shape == (2, 2, 201, 1024)
    assert_same(ours[:, 1], theirs.last_hidden_state)
    assert_same(ours[:, 0], theirs.hidden_states[2])
    assert_same(frontend.extract(wave()[1:]), ours[1:])


class TestNormalisation:
    def test_it_is_that_of_the_librarys_feature_extractor(self, waveforms):
        extractor = Wav2Vec2FeatureExtractor(do_normalize=True)
        theirs = extractor(list(waveforms.numpy()), sampling_rate=16_000, return_tensors="pt").input_values
        assert_same(zero_mean_unit_variance(waveforms), theirs)

    @pytest.mark.parametrize(
        ("architecture", "normalize"), [("xls-r-300m", "zero-mean-unit-variance"), ("wav2vec2-base", "none")]
    )
    def test_the_checkpoint_decides_on_the_normalisation(self, checkpoint, architecture, normalize):
        assert identity(checkpoint(architecture))["normalize"] == normalize

    @pytest.mark.parametrize("normalises", [True, False])
    def test_its_preprocessor_config_decides(self, copy, waveforms, normalises):
        folder = copy("preprocessor_config.json", do_normalize=normalises)
        assert_same(states(folder, waveforms), library(folder, waveforms).last_hidden_state)

    def test_the_normalize_option_overrides_the_checkpoint(self, copy, checkpoint, waveforms):
        plain = copy("preprocessor_config.json", do_normalize=False)
        asked = states(checkpoint("xls-r-300m"), waveforms, normalize="none")
        assert_same(asked, library(plain, waveforms).last_hidden_state)

    def test_without_preprocessor_config_the_normalisation_must_be_stated(self, copy, waveforms):
        folder = copy()
        expected = states(folder, waveforms)
        (folder / "preprocessor_config.json").unlink()
        with pytest.raises(FrontEndError, match=r"/copy: no preprocessor_config\.json, which says .* --normalize"):
            identity(folder)
        assert torch.equal(states(folder, waveforms, normalize="zero-mean-unit-variance"), expected)


class TestIdentity:
    def test_the_old_form_of_a_checkpoint_has_the_same_identity_and_numbers(self, checkpoint, waveforms):
        new, old = checkpoint("xls-r-300m"), checkpoint("xls-r-300m", old_form=True)
        assert (old / "pytorch_model.bin").is_file()
        assert not (old / "model.safetensors").exists()
        assert any(name.endswith("weight_g") for name in torch.load(old / "pytorch_model.bin", weights_only=True))
        assert identity(old) == identity(new)
        assert torch.equal(states(old, waveforms), states(new, waveforms))

    def test_the_folder_does_not_matter(self, copy, checkpoint):
        assert identity(copy()) == identity(checkpoint("xls-r-300m"))

    def test_every_option_changes_it(self, checkpoint):
        folder = checkpoint("xls-r-300m")
        identities = [
            identity(folder),
            identity(folder, "2"),
            identity(folder, "2", "3"),
            identity(folder, "3", "2"),
            identity(folder, normalize="none"),
            identity(folder, precision="bfloat16"),
            identity(checkpoint("xls-r-300m", seed=1)),
            identity(checkpoint("wav2vec2-base")),
        ]
        assert len({json.dumps(settings) for settings in identities}) == len(identities)

    @pytest.mark.parametrize(
        "changes",
        [
            {"layer_norm_eps": 1e-3},
            {"hidden_act": "relu"},
            {"num_attention_heads": 8},
            {"feat_extract_activation": "relu"},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    def test_settings_that_no_weight_shows_change_it(self, copy, checkpoint, waveforms, changes):
        folder = copy(**changes)
        assert identity(folder) != identity(checkpoint("xls-r-300m"))
        assert not torch.equal(states(folder, waveforms), states(checkpoint("xls-r-300m"), waveforms))

    def test_the_reach_of_wavlms_positions_changes_it(self, copy, checkpoint, waveforms):
        wavlm = checkpoint("wavlm-base")
        folder = copy(source=wavlm, max_bucket_distance=200)
        assert identity(folder) != identity(wavlm)

    def test_a_weight_of_pretraining_only_does_not(self, copy, checkpoint):
        folder = copy()
        weights = load_file(folder / "model.safetensors")
        del weights["masked_spec_embed"]
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        assert identity(folder) == identity(checkpoint("xls-r-300m"))


class TestPrecision:
    def test_a_checkpoint_stored_in_half_precision_computes_in_single(self, copy, waveforms):
        folder = copy(dtype="float16")
        weights = {name: tensor.half() for name, tensor in load_file(folder / "model.safetensors").items()}
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        assert_same(states(folder, waveforms), library(folder, waveforms).last_hidden_state)

    def test_the_type_that_a_checkpoint_is_stored_in_does_not_change_its_identity(self, copy):
        folder = copy()
        config = json.loads((folder / "config.json").read_text())
        weights = {name: tensor.half() for name, tensor in load_file(folder / "model.safetensors").items()}
        identities = []
        for dtype in ("float16", "float32"):
            (folder / "config.json").write_text(json.dumps(config | {"dtype": dtype}))
            stored = {name: tensor.to(getattr(torch, dtype)) for name, tensor in weights.items()}
            save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
            identities.append(identity(folder))
        assert identities[0] == identities[1]

    @pytest.mark.parametrize("architecture", ["xls-r-300m", "wavlm-base"])
    def test_lower_precision_gives_roughly_the_same_in_float32(self, checkpoint, waveforms, architecture):
        folder = checkpoint(architecture)
        exact, rough = states(folder, waveforms), states(folder, waveforms, precision="bfloat16")
        assert rough.dtype == torch.float32
        assert 1e-4 < float((rough - exact).square().mean().sqrt() / exact.std()) < 0.5

    def test_by_default_it_is_single_on_a_cpu_and_half_on_a_gpu(self, checkpoint, monkeypatch):
        folder = checkpoint("xls-r-300m")
        assert identity(folder) == identity(folder, precision="float32")
        monkeypatch.setattr("spoofcache.features.frontends.ssl.CheckedNetwork", lambda *_: None)  # no GPU at hand
        assert identity(folder, device=torch.device("cuda")) == identity(folder, precision="float16")

    @pytest.mark.parametrize("architecture", ["xls-r-300m", "wavlm-base"])
    def test_single_precision_on_a_gpu_is_not_tf32(self, checkpoint, waveforms, architecture):
        allowed = []
        before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        with calls(torch.nn.Conv1d, lambda: allowed.append(torch.backends.cudnn.allow_tf32)):
            states(checkpoint(architecture), waveforms)
        assert set(allowed) == {False}
        assert before == (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)
        assert before[1] is False  # our network's convolutions are matrix products


class TestRefusals:
    def refused(self, folder):
        with pytest.raises(FrontEndError) as refusal:
            identity(folder)
        sentence = str(refusal.value)
        assert sentence.startswith(f"{folder}: ")
        assert "\n" not in sentence
        return sentence.removeprefix(f"{folder}: ")

    def test_a_folder_that_is_not_there(self, tmp_path):
        assert self.refused(tmp_path / "no") == "no such folder; expected a checkpoint in the hub's format"

    def test_the_error_for_a_file_of_fairseq_explains_how_to_convert_it(self, tmp_path):
        (tmp_path / "xlsr2_300m.pt").write_bytes(b"PK")
        sentence = self.refused(tmp_path / "xlsr2_300m.pt")
        assert sentence.startswith(
            "a file; expected the folder of a checkpoint in the hub's format. A checkpoint of fai"
        )
        assert "convert_wav2vec2_original_pytorch_checkpoint_to_pytorch.py" in sentence

    @pytest.mark.parametrize("rate", [8_000, 24_000])
    @pytest.mark.parametrize("normalize", [None, "none"])
    def test_a_model_of_another_sample_rate(self, copy, rate, normalize):
        folder = copy("preprocessor_config.json", sampling_rate=rate)
        with pytest.raises(
            FrontEndError, match=rf"^{folder}: the model was made for audio at {rate} Hz .*; expected 16000 Hz$"
        ):
            identity(folder, normalize=normalize)

    def test_a_model_with_code_of_its_own(self, copy, monkeypatch):
        monkeypatch.setattr("builtins.input", lambda *question: pytest.fail("asked whether to run it"))
        folder = copy(model_type="mert_model", auto_map={"AutoConfig": "code.Config", "AutoModel": "code.Model"})
        (folder / "code.py").write_text("raise SystemExit('was run')")
        expected = "a mert_model model that needs program code from the checkpoint, which is never run; expected one of"
        assert self.refused(folder).startswith(expected)

    def test_code_beside_a_model_of_a_known_family_is_not_run(self, copy, waveforms):
        folder = copy(auto_map={"AutoConfig": "code.Config", "AutoModel": "code.Model"})
        (folder / "code.py").write_text("raise SystemExit('was run')")
        assert states(folder, waveforms).shape == (3, 24, 32)

    def test_an_adapter_of_another_frame_rate(self, checkpoint):
        folder = checkpoint("xls-r-300m", add_adapter=True, num_adapter_layers=2, adapter_stride=2)
        assert self.refused(folder).startswith(
            "an adapter behind its blocks merges 4 frames into one; expected a checkpoint"
        )

    def test_a_folder_without_a_checkpoint(self, tmp_path):
        assert self.refused(tmp_path).startswith("cannot be loaded (")

    def test_a_model_of_another_family(self, copy):
        assert self.refused(copy(model_type="bert")) == f"a bert model; expected one of {', '.join(FAMILIES)}"

    def test_missing_weights_which_the_library_would_make_up(self, copy):
        folder = copy()
        weights = load_file(folder / "model.safetensors")
        missing = sorted(name for name in weights if ".layers.1.attention" in name)
        save_file(
            {k: v for k, v in weights.items() if k not in missing}, folder / "model.safetensors", {"format": "pt"}
        )
        assert self.refused(folder) == f"8 weights are missing ({', '.join(missing[:3])} …); expected all"

    @pytest.mark.parametrize(
        "changes",
        [
            {"hidden_size": 64},
            {"hidden_size": "wide"},
            {"num_attention_heads": 5},
            {"hidden_act": "?"},
        ],
        ids=lambda changes: " ".join(map(str, *changes.items())),
    )
    def test_a_configuration_that_does_not_fit(self, copy, changes):
        assert self.refused(copy(**changes)).startswith("cannot be loaded (")

    @pytest.mark.parametrize("damage", [lambda data: data[:-100], lambda data: b"", lambda data: b"x" * 500])
    @pytest.mark.parametrize("old_form", [False, True])
    def test_damaged_weights(self, copy, checkpoint, old_form, damage):
        folder = copy(source=checkpoint("xls-r-300m", old_form=old_form))
        path = folder / ("pytorch_model.bin" if old_form else "model.safetensors")
        path.write_bytes(damage(path.read_bytes()))
        assert self.refused(folder).startswith("cannot be loaded (")

    @pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
    def test_a_broken_json_file(self, copy, name):
        folder = copy()
        (folder / name).write_text("{")
        assert "expected" in self.refused(folder)

    def test_a_hub_that_cannot_be_reached(self, monkeypatch):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(
            FrontEndError, match=r"nothing: the hub cannot be reached \(HF_HUB_OFFLINE.* with --weights$"
        ):
            HiddenStates("nobody/nothing", FrontEndOptions())

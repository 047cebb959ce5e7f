"""Our network against the library's models: every form of the family, every geometry of the convolutions."""

import pytest
import torch
from torch.nn.utils.parametrize import remove_parametrizations
from transformers import AutoModel

from spoofcache.features.frontends import wav2vec2
from spoofcache.features.frontends.wav2vec2 import PositionalConvolution, Wav2Vec2, unknown_part

FORMS = ["xls-r-300m", "hubert-large", "wav2vec2-base", "hubert-base"]
"""Normalising first with and without bias in the convolutions, and last with group normalisation."""


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def load(folder):
    return AutoModel.from_pretrained(folder, dtype=torch.float32).eval().requires_grad_(False)


def assert_same(ours, theirs):
    """Equal to 1e-5 of the largest value."""
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))


@pytest.fixture(params=[1, 8], ids=["one", "all"])
def _at_once(request, monkeypatch):
    """One utterance at a time through the convolutions, as on a CPU, or all, as on a GPU."""
    monkeypatch.setattr(wav2vec2, "AT_ONCE_ON_CPU", request.param)


@pytest.mark.usefixtures("_at_once")
@pytest.mark.parametrize("n_samples", [400, 719, 720, 7_999, 8_000, 10_241])
@pytest.mark.parametrize("form", FORMS)
def test_every_hidden_state_is_the_librarys(checkpoint, form, n_samples):
    model, waveforms = load(checkpoint(form)), torch.randn(2, n_samples)
    theirs = model(waveforms, output_hidden_states=True)
    ours = Wav2Vec2(model, ("2", "last", "0"))(waveforms)
    assert_same(ours[:, 0], theirs.hidden_states[2])
    assert_same(ours[:, 1], theirs.last_hidden_state)
    assert_same(ours[:, 2], theirs.hidden_states[0])


@pytest.mark.usefixtures("_at_once")
@pytest.mark.parametrize(
    ("widths", "strides"),
    [((5, 4, 3), (2, 2, 3)), ((7, 2, 6), (3, 2, 2)), ((10, 1, 1), (5, 1, 1)), ((9, 2, 3), (4, 3, 1))],
    ids=str,
)
def test_any_width_and_stride(checkpoint, widths, strides):
    geometry = {"num_feat_extract_layers": 3, "conv_dim": (16, 8, 16), "conv_kernel": widths, "conv_stride": strides}
    model = load(checkpoint("xls-r-300m", layers=1, **geometry))
    for n_samples in (399, 400, 401):
        waveforms = torch.randn(2, n_samples)
        assert_same(Wav2Vec2(model, ("last",))(waveforms)[:, 0], model(waveforms).last_hidden_state)


@pytest.mark.parametrize("width", [1, 15, 16])
@pytest.mark.parametrize("length", [1, 4, 9])
def test_the_positional_convolution_at_every_parity(checkpoint, width, length):
    model = load(checkpoint("xls-r-300m", layers=1, num_conv_pos_embeddings=width))
    theirs = model.encoder.pos_conv_embed
    frames = torch.randn(2, length, 32)
    torch.testing.assert_close(PositionalConvolution(theirs)(frames), theirs(frames))


@pytest.mark.usefixtures("_at_once")
@pytest.mark.parametrize("form", ["xls-r-300m", "wav2vec2-base"])
def test_an_utterance_does_not_depend_on_its_neighbours(checkpoint, form):
    network, waveforms = Wav2Vec2(load(checkpoint(form)), ("last",)), torch.randn(3, 8_000)
    alone = network(waveforms[1:2])
    waveforms[0], waveforms[2] = torch.inf, torch.nan
    assert_same(network(waveforms)[1:2], alone)


def test_the_weights_are_the_librarys_own(checkpoint):
    model, waveforms = load(checkpoint("xls-r-300m")), torch.randn(1, 8_000)
    before = model(waveforms).last_hidden_state
    network, attention = Wav2Vec2(model, ("last",)), model.encoder.layers[0].attention
    joined = network.blocks[0].query_key_value
    assert attention.q_proj.weight.data_ptr() == joined.weight.data_ptr()
    assert attention.v_proj.bias.data_ptr() == joined.bias[64:].data_ptr()
    assert network.blocks[0].widen.weight is model.encoder.layers[0].feed_forward.intermediate_dense.weight
    assert torch.equal(model(waveforms).last_hidden_state, before)


@pytest.mark.parametrize(("precision", "far"), [(torch.float16, 0.004), (torch.bfloat16, 0.03)])
def test_in_16_bits_it_stays_near_single_precision(checkpoint, precision, far):
    model, waveforms = load(checkpoint("xls-r-300m")), torch.randn(2, 8_000)
    exact = model(waveforms).last_hidden_state
    remove_parametrizations(model.encoder.pos_conv_embed.conv, "weight")  # in 16 bits its norm would be rounded
    ours = Wav2Vec2(model.to(precision), ("last",))(waveforms)[:, 0]
    assert ours.dtype == precision
    assert far / 100 < (ours.float() - exact).norm() / exact.norm() < far


@pytest.mark.parametrize(
    ("form", "changes", "part"),
    [
        ("wavlm-base", {}, "its architecture wavlm"),
        ("xls-r-300m", {"add_adapter": True}, "its adapters"),
        ("xls-r-300m", {"adapter_attn_dim": 8}, "its adapters"),
        ("hubert-base", {"conv_pos_batch_norm": True}, "its positional batch normalisation"),
        ("hubert-base", {"feat_proj_layer_norm": False}, "its projection without normalisation"),
        ("hubert-large", {}, None),
        ("wav2vec2-base", {}, None),
    ],
)
def test_an_unsupported_part_of_the_model_is_named(checkpoint, form, changes, part):
    assert unknown_part(load(checkpoint(form, **changes))) == part

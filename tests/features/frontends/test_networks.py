"""Who computes hidden states: decided by the first batch, said where it is not our network."""

import gc
import weakref
from functools import partialmethod

import pytest
import torch
from transformers import AutoModel

from spoofcache.features.frontends import networks
from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.features.frontends.networks import CheckedNetwork, LibraryNetwork, distance
from spoofcache.features.frontends.wav2vec2 import Wav2Vec2

pytestmark = pytest.mark.usefixtures("_inference")


@pytest.fixture
def _inference():
    with torch.inference_mode():
        yield


@pytest.fixture
def said():
    return []


@pytest.fixture
def make(checkpoint, said):
    """`make("wavlm-base", ("1",), check=True)`: a network whose sentences go to `said`."""

    def network(architecture="xls-r-300m", layers=("last",), dtype=torch.float32, **options):
        return CheckedNetwork(load(checkpoint(architecture)), layers, dtype, FrontEndOptions(**options), said.append)

    return network


@pytest.fixture
def compiling(monkeypatch):
    """`compiling(backend)`: compile on the CPU too, by that backend."""

    def by(backend):
        torch._dynamo.reset()
        monkeypatch.setattr(networks, "COMPILED_ON", ("cpu",))
        monkeypatch.setattr(Wav2Vec2, "compile_parts", partialmethod(Wav2Vec2.compile_parts, backend=backend))

    yield by
    torch._dynamo.reset()


def load(folder):
    return AutoModel.from_pretrained(folder, dtype=torch.float32)


def library(folder, waveforms):
    """[B, 1, T, D], as ours."""
    return load(folder).eval()(waveforms).last_hidden_state.unsqueeze(1)


def assert_same(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))


class TestChoice:
    @pytest.mark.parametrize("architecture", ["xls-r-300m", "hubert-large", "wav2vec2-base", "hubert-base"])
    def test_our_network_computes_where_it_is_equal_without_a_message(self, make, said, waveforms, architecture):
        network = make(architecture)
        network(waveforms)
        assert isinstance(network._network, Wav2Vec2)
        assert said == []

    def test_the_librarys_model_is_gone_after_the_first_batch(self, checkpoint, said, waveforms):
        model = load(checkpoint("xls-r-300m"))
        network = CheckedNetwork(model, ("last",), torch.float32, FrontEndOptions(check=True), said.append)
        there = weakref.ref(model)
        del model
        network(waveforms)
        gc.collect()
        assert there() is None

    def test_an_unknown_architecture_is_computed_by_the_library_and_reported(self, make, said, checkpoint, waveforms):
        network = make("wavlm-base")
        for _ in range(2):
            assert_same(network(waveforms), library(checkpoint("wavlm-base"), waveforms))
        assert said == [
            "transformers computes the hidden states, more slowly: our network does not support its architecture wavlm"
        ]

    @pytest.mark.parametrize("factor", [1 + 1e-3, 0.0, torch.nan])
    def test_a_network_that_differs_does_not_compute(self, make, said, checkpoint, waveforms, monkeypatch, factor):
        forward = Wav2Vec2.forward
        monkeypatch.setattr(Wav2Vec2, "forward", lambda self, batch: factor * forward(self, batch))
        assert_same(make()(waveforms), library(checkpoint("xls-r-300m"), waveforms))
        assert len(said) == 1
        assert said[0].startswith(
            "transformers computes the hidden states, more slowly: on the first batch our network differs from it by "
        )
        assert said[0].endswith(", expected 1e-04 at most")

    def test_a_single_wrong_utterance_makes_the_library_compute(self, make, said, waveforms, monkeypatch):
        forward = Wav2Vec2.forward
        factors = torch.tensor([1.0, 1.0, 1.01]).view(-1, 1, 1, 1)
        monkeypatch.setattr(Wav2Vec2, "forward", lambda self, batch: factors * forward(self, batch))
        make()(waveforms)
        assert "our network differs from it by 1.0e-02" in said[0]

    def test_the_shape_of_a_row_does_not_affect_the_choice_of_the_network(self, make, waveforms, said):
        network = make(layers=("1", "last"))
        assert network.row_shape(8_000) == (2, 24, 32)
        assert network._network is None
        network(waveforms)
        assert network.row_shape(8_000) == (2, 24, 32)

    def test_a_silent_first_batch_is_not_a_reason_to_use_the_library(self, make, said):
        make()(torch.zeros(2, 8_000))
        assert said == []


class TestCheck:
    @pytest.mark.parametrize(
        ("dtype", "least", "most"),
        [(torch.float32, 0, 1e-5), (torch.float16, 1e-4, 5e-3), (torch.bfloat16, 2e-3, 4e-2)],
    )
    def test_the_difference_of_the_network_from_float32_is_reported(self, make, said, waveforms, dtype, least, most):
        network = make(dtype=dtype, check=True)
        network(waveforms)
        assert isinstance(network._network, Wav2Vec2)
        (sentence,) = said
        words = sentence.split()
        assert words[:6] == ["the", "hidden", "states", "of", "3", "utterances"]
        assert least <= float(words[7]) < most
        assert 0.999 < float(words[-1]) <= 1

    def test_distance_is_that_of_the_worst_row(self):
        theirs = torch.ones(2, 2, 3, 4)
        ours = theirs.clone()
        ours[1, 0] *= 1.5
        assert distance(ours, theirs) == pytest.approx(0.5)
        assert distance(theirs, theirs) == 0
        assert distance(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)) == 0


class TestCompiled:
    def test_batches_of_any_size_are_computed_by_one_compiled_form(self, make, said, compiling, checkpoint):
        compiling("eager")
        network, waveforms = (
            make(compiled_batch_size=3),
            torch.randn(7, 8_000, generator=torch.Generator().manual_seed(0)),
        )
        network(waveforms[:3])
        with torch._dynamo.config.patch(error_on_recompile=True):
            parts = [network(waveforms[first:last]) for first, last in [(0, 3), (3, 4), (4, 7)]]
            assert_same(network(waveforms), torch.cat(parts))
        assert_same(torch.cat(parts), library(checkpoint("xls-r-300m"), waveforms))
        assert said == []

    @pytest.mark.parametrize("architecture", ["xls-r-300m", "wav2vec2-base"])
    def test_every_block_shares_one_compiled_form(self, make, said, compiling, waveforms, architecture):
        graphs = []

        def count(graph, inputs):
            graphs.append(graph)
            return graph.forward

        compiling(count)
        make(architecture, compiled_batch_size=3)(waveforms)
        assert len(graphs) == 4  # after the first convolution, after all others; the embedding, the blocks
        assert said == []

    def test_the_graphs_that_a_compiler_gets_give_the_same(self, make, said, compiling, checkpoint, waveforms):
        compiling("aot_eager")
        network = make(compiled_batch_size=3)
        assert_same(network(waveforms), library(checkpoint("xls-r-300m"), waveforms))
        assert said == []

    def test_without_a_compiler_it_computes_uncompiled_and_says_so(self, make, said, compiling, checkpoint, waveforms):
        def broken(graph, inputs):
            raise RuntimeError("no compiler found")

        compiling(broken)
        assert_same(make(compiled_batch_size=3)(waveforms), library(checkpoint("xls-r-300m"), waveforms))
        assert said == ["runs uncompiled and therefore more slowly: no compiler found"]

    @pytest.mark.parametrize("batch_size", [None, 3])
    def test_on_a_cpu_or_with_little_to_do_nothing_is_compiled(
        self, make, waveforms, compiling, monkeypatch, batch_size
    ):
        if batch_size is None:
            compiling("eager")
        monkeypatch.setattr(Wav2Vec2, "compile_parts", lambda self: pytest.fail("compiled"))
        make(compiled_batch_size=batch_size)(waveforms)

    @pytest.mark.parametrize(
        ("n_rows", "compiled_seconds", "is_compiled"),
        [(2_000, 0.1, False), (20_000, 0.1, True), (20_000, 0.5, False), (None, 0.5, True)],
    )
    def test_it_is_compiled_if_the_measured_times_make_it_worthwhile(
        self, make, said, compiling, waveforms, monkeypatch, n_rows, compiled_seconds, is_compiled
    ):
        compiling("eager")
        times = {Wav2Vec2: 0.3, networks.FixedBatch: compiled_seconds}  # seconds of a batch of 3
        monkeypatch.setattr(networks, "_seconds", lambda network, waveforms: times[type(network)])
        network = make(compiled_batch_size=3, n_rows=n_rows)
        network(waveforms)
        assert isinstance(network._network, networks.FixedBatch) == is_compiled
        slower = ["runs uncompiled: a batch takes 0.500 s compiled and 0.300 s uncompiled"]
        assert said == (slower if n_rows == 20_000 and not is_compiled else [])


def test_the_librarys_model_is_left_as_it_was(checkpoint, waveforms):
    model = load(checkpoint("xls-r-300m")).eval()
    states = LibraryNetwork(model, ("0", "1"))(waveforms)
    assert states.shape == (3, 2, 24, 32)
    assert not any(module._forward_hooks for module in model.modules())

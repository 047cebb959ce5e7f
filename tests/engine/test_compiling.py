"""When a training is compiled, and that it resumes as it began. The network that is compiled here is linear."""

import pytest
import torch

from spoofcache.engine import compiling
from spoofcache.engine.about import RunError
from spoofcache.engine.checkpoint import load_last
from spoofcache.engine.countermeasure import Countermeasure
from spoofcache.engine.optim import Forward, Updater
from spoofcache.engine.train import FitOptions, Listener, fit
from spoofcache.models import BACKENDS
from spoofcache.models.losses import LOSSES
from tests.engine.test_train import EPOCH, LCNN, assert_resumes, assert_same_weights, interrupt_after, last_weights
from tests.threads import one_thread

CPU = torch.device("cpu")
SHAPE = (32, 20)
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"),  # torch's own use
]
__all__ = ["one_thread"]


@pytest.fixture(autouse=True)
def forget():
    """Reset the compiler, so that one test does not use up the limit of recompilations of the next."""
    yield
    torch.compiler.reset()


def forward_of(backend):
    torch.manual_seed(0)
    network = BACKENDS[backend](SHAPE if backend != "lcnn_lstm" else (404, 60))
    return Forward(Countermeasure(network, LOSSES["cross_entropy"](torch.ones(2), 8)))


def train(config, caches, run):
    """The note in which a training reports whether its network is compiled."""
    notes = []
    fit(config, *caches, run, FitOptions(listener=Listener(note=notes.append)))
    return notes[-1]


def test_compiled_and_eager_agree_and_only_one_size_is_compiled():
    forward, features = forward_of("pooled_linear"), torch.randn(5, *SHAPE).half()
    expected = forward(features).logits
    forward.compile(4)
    torch.testing.assert_close(forward(features[:4]).logits, expected[:4], rtol=1e-5, atol=1e-6)
    with torch.compiler.set_stance("fail_on_recompile"):
        for size in (4, 5, 3):
            torch.testing.assert_close(forward(features[:size]).logits, expected[:size], rtol=1e-5, atol=1e-6)


def test_a_compiled_training_resumes_bit_for_bit(experiment, caches, tmp_path):
    config = experiment("train.compile=on", "train.epochs=2")
    assert_resumes(config, caches, tmp_path, EPOCH + 20)
    assert load_last(tmp_path / "interrupted")["compiled"]


def test_a_training_that_the_trial_compiled_resumes_compiled_without_one(experiment, caches, tmp_path, monkeypatch):
    monkeypatch.setattr(compiling, "PAYS_FROM", 0)
    monkeypatch.setattr(compiling, "LEAST_GAIN", 0)
    train(experiment("train.epochs=1"), caches, tmp_path / "run")
    assert load_last(tmp_path / "run")["compiled"]
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(RunError, match=r"run: begun with a compiled network, but no C\+\+ compiler"):
        fit(experiment("train.epochs=1"), *caches, tmp_path / "run", FitOptions(resume=True))


def test_a_trial_does_not_change_the_training(experiment, caches, tmp_path, monkeypatch):
    config = experiment(*LCNN, "train.epochs=1", "train.batch_size=16")  # with dropout and batch norms
    assert "too short for compiling to pay" in train(config, caches, tmp_path / "without")
    monkeypatch.setattr(compiling, "PAYS_FROM", 0)
    monkeypatch.setattr(compiling, "LEAST_GAIN", float("inf"))
    monkeypatch.setattr(Forward, "compile", lambda self, batch_size: None)  # the trials only
    assert "eager: compiled is no faster" in train(config, caches, tmp_path / "with")
    assert_same_weights(last_weights(tmp_path / "without"), last_weights(tmp_path / "with"))


def refuse(*args, **options):
    """A compiler that fails when its network is called, as torch.compile does."""

    def refused(features):
        raise RuntimeError("no such operation\nand where")

    return refused


def test_a_network_that_the_compiler_refuses_is_trained_eagerly(experiment, caches, tmp_path, monkeypatch):
    monkeypatch.setattr(compiling, "PAYS_FROM", 0)
    monkeypatch.setattr(torch, "compile", refuse)
    said = train(experiment("train.epochs=1"), caches, tmp_path / "run")
    assert said == "network: eager: the network cannot be compiled (no such operation)"
    assert not load_last(tmp_path / "run")["compiled"]


def test_a_failing_compiler_is_an_error_if_compile_is_on(experiment, caches, tmp_path, monkeypatch):
    config = experiment("train.compile=on", "train.epochs=2")
    with monkeypatch.context() as patch:
        patch.setattr(torch, "compile", refuse)
        with pytest.raises(RunError, match=r"^train.compile is on, but the network cannot be compiled \(no such"):
            train(config, caches, tmp_path / "new")
    with pytest.raises(KeyboardInterrupt):
        fit(config, *caches, tmp_path / "run", FitOptions(listener=interrupt_after(EPOCH + 5)))
    monkeypatch.setattr(torch, "compile", refuse)
    with pytest.raises(RunError, match=r"run: begun with a compiled network, but the network cannot be compiled \(no"):
        fit(config, *caches, tmp_path / "run", FitOptions(resume=True))


def test_without_a_compiler_training_is_eager_and_reports_it(experiment, caches, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    said = train(experiment("train.epochs=1"), caches, tmp_path / "run")
    assert said == "network: eager: no C++ compiler (no-such-compiler) found"
    with pytest.raises(RunError, match=r"train\.compile is on, but no C\+\+ compiler"):
        train(experiment("train.epochs=1", "train.compile=on"), caches, tmp_path / "on")
    assert not (tmp_path / "on").exists()


def test_recurrent_networks_are_not_compiled():
    assert "recurrent" in compiling.obstacle(forward_of("lcnn_lstm").model, CPU)
    assert not compiling.obstacle(forward_of("pooled_linear").model, CPU)


@pytest.mark.parametrize(("micro_batch", "size"), [(0, 8), (3, 3), (4, 4), (5, 4), (100, 8)])
def test_the_network_is_compiled_for_the_largest_part_of_a_batch(
    experiment, caches, tmp_path, monkeypatch, micro_batch, size
):
    sizes = []
    monkeypatch.setattr(Forward, "compile", lambda self, batch_size: sizes.append(batch_size))
    train(
        experiment("train.epochs=1", "train.compile=on", f"train.micro_batch={micro_batch}"), caches, tmp_path / "run"
    )
    assert sizes == [size]


def test_the_first_update_says_nothing_about_how_long_a_training_takes(experiment, caches, tmp_path, monkeypatch):
    # as on a GPU, the first update takes far longer than the others
    seconds, update, clock = [], Updater.update, [0.0]

    def timed(self, step, *batch):
        clock[0] += 100.0 if step == 0 else 1.0
        return update(self, step, *batch)

    def decide(self, features, labels, seconds_per_step):
        seconds.append(seconds_per_step)
        return "eager"

    monkeypatch.setattr(Updater, "update", timed)
    monkeypatch.setattr(compiling.CompileChoice, "decide", decide)
    monkeypatch.setattr("spoofcache.engine.train.time.perf_counter", lambda: clock[0])
    fit(experiment("train.epochs=2"), *caches, tmp_path / "run")
    assert seconds == [1.0]

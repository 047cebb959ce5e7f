"""train.deterministic: which settings of torch hold during a training, and what is said of a network without them."""

import os

import pytest
import torch
from torch import nn

from spoofcache.engine.about import RunError
from spoofcache.engine.determinism import deterministic
from spoofcache.engine.train import FitOptions, Listener, fit


def settings():
    """What makes kernels of a GPU deterministic."""
    return torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic


@pytest.mark.parametrize("wanted", [True, False])
def test_a_training_runs_with_them_if_the_configuration_asks_for_them_and_leaves_torch_as_it_was(
    experiment, caches, tmp_path, monkeypatch, wanted
):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    seen = set()
    listener = Listener(advance=lambda n: seen.add((*settings(), "CUBLAS_WORKSPACE_CONFIG" in os.environ)))
    overrides = ("train.epochs=1", f"train.deterministic={str(wanted).lower()}")
    fit(experiment(*overrides), *caches, tmp_path / "run", FitOptions(listener=listener))
    assert seen == {(wanted, wanted, wanted)}
    assert settings() == (False, False)


def test_an_operator_without_a_deterministic_algorithm_is_named():
    message = "adaptive_max_pool2d_backward_cuda does not have a deterministic implementation, but you set …"
    with pytest.raises(RunError, match=r"train\.deterministic: adaptive_max_pool2d_backward_cuda"), deterministic(True):
        raise RuntimeError(message)  # as a GPU's kernels do; those of the CPU that do are not in any back-end
    assert settings() == (False, False)


def test_an_operator_of_the_cpu_without_one_is_named_too():
    with pytest.raises(RunError, match=r"train\.deterministic: max_unpooling2d"), deterministic(True):
        nn.functional.max_unpool2d(torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1, dtype=torch.long), 2)


def test_other_errors_are_raised_unchanged():
    with pytest.raises(RuntimeError, match="out of memory"), deterministic(True):
        raise RuntimeError("out of memory")

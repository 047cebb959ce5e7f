"""The figures on dev: the same on a GPU as on the CPU, without a wait in every batch."""

import pytest
import torch

from spoofcache.engine.config import BackendConfig, ExperimentConfig
from spoofcache.engine.processes import CPU, Processes
from spoofcache.engine.training_setup import TrainingSetup
from spoofcache.engine.validation import Validator
from tests.pretended_gpu import pretended_gpu

CUDA = torch.device("cuda")
EXPERIMENT = ExperimentConfig(BackendConfig("pooled_linear"))


def figures(caches, device, batch_size=4):
    """The dev figures of a network with random weights."""
    model = TrainingSetup(EXPERIMENT, *caches, Processes(device)).model
    return Validator(caches[1], "auto", batch_size, Processes(device)).run(model, lambda n: None)


@pytest.mark.parametrize("batch_size", [1, 4, 15, 100])  # of 30 utterances: more and fewer than are launched ahead
def test_figures_from_a_gpu_are_those_of_the_cpu(caches, gpu, batch_size):
    expected, found = figures(caches, CPU), figures(caches, gpu, batch_size)
    assert found.eer == expected.eer
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="waits are counted on the pretended GPU")
def test_the_host_waits_once_for_each_batch_and_only_after_the_next_two_are_launched(caches, monkeypatch):
    launched, waited = [], []
    with pretended_gpu() as report:
        validator = Validator(caches[1], "auto", 4, Processes(CUDA))
        model = TrainingSetup(EXPERIMENT, *caches, Processes(CUDA)).model
        model.register_forward_hook(lambda *call: launched.append(len(launched)))
        synchronize = torch.cuda.Event.synchronize

        def wait(event):
            waited.append(len(launched))
            synchronize(event)

        monkeypatch.setattr(torch.cuda.Event, "synchronize", wait)
        before = report.waits.copy()
        validator.run(model, lambda n: None)
    assert report.waits - before == {"synchronize": 8}
    assert waited == [3, 4, 5, 6, 7, 8, 8, 8]

"""Back-ends against their plain forms of benchmarks/plain.py: the same outputs, statistics and gradients."""

import pytest
import torch
from torch import nn

from spoofcache.benchmarks.plain import PLAIN, build
from spoofcache.models.output import BackendOutput

SHAPES = {"lcnn": (53, 70), "aasist": (4_000,), "cnn": (53, 70), "resnet": (33, 41)}
"""Odd in places, where poolings leave a row or a column out."""


@pytest.fixture(params=PLAIN)
def forms(request):
    """Our form and the plain one with the same weights and without chance, and features of four utterances."""
    shape = SHAPES[request.param]
    torch.manual_seed(0)
    ours, plain = (build(request.param, shape, plain) for plain in (False, True))
    plain.load_state_dict(ours.state_dict())
    for network in (ours, plain):
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    return ours, plain, torch.randn(4, *shape)


def outputs(network: nn.Module, features: torch.Tensor) -> BackendOutput:
    torch.manual_seed(0)  # AASIST's functional dropout draws the same
    return network(features)


def test_scores_are_the_plain_forms(forms):
    ours, plain, features = forms
    with torch.no_grad():
        for one, other in zip(ours.eval()(features), plain.eval()(features), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * float(other.abs().max()))


def test_a_training_step_has_the_plain_forms_gradients_and_statistics(forms):
    *networks, features = forms
    for network in networks:  # in float64, for a rounded value can turn AASIST's choice of nodes
        outputs(network.double().train(), features.double()).logits.square().sum().backward()
    ours, plain = networks
    gradients = {name: parameter.grad for name, parameter in plain.named_parameters()}
    largest = max(float(gradient.abs().max()) for gradient in gradients.values() if gradient is not None)
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-7, atol=1e-9 * largest)
    for one, other in zip(ours.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)

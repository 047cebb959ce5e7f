"""Every back-end of the registry keeps the same contract."""

import pytest
import torch

from models import BACKENDS

SHAPES = {"lcnn": [(201, 1024), (404, 60), (17, 33)]}
CASES = [(name, shape) for name in BACKENDS for shape in SHAPES[name]]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{'x'.join(map(str, case[1]))}")
def backend(request):
    name, shape = request.param
    torch.manual_seed(0)
    return BACKENDS[name](shape), torch.randn(3, *shape)


def test_gives_an_embedding_and_two_finite_logits_per_utterance(backend):
    model, features = backend
    output = model.eval()(features)
    assert output.logits.shape == (3, 2)
    assert output.embedding.shape[0] == 3
    assert output.logits.isfinite().all()


def test_an_utterance_does_not_depend_on_its_batch(backend):
    model, features = backend
    model.eval()
    together = model(features).logits
    alone = torch.cat([model(utterance[None]).logits for utterance in features])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_a_gradient_reaches_every_trainable_parameter(backend):
    model, features = backend
    model.train()(features).logits.square().sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without

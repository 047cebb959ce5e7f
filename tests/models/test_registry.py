"""Every back-end of the registry keeps the same contract."""

import pytest
import torch

from spoofcache.models import BACKENDS
from spoofcache.models.checks import ShapeError

FRAMES, LAYERS, SAMPLES = (50, 64), (4, 30, 64), (10_000,)
SHAPES: dict[str, list[tuple[int, ...]]] = {
    **{name: [FRAMES] for name in BACKENDS},
    "lcnn": [(201, 1024), (404, 60), (17, 33)],
    **{name: [SAMPLES] for name in ("aasist", "aasist_l", "rawnet2")},
    **{name: [LAYERS] for name in ("layerwise_ffn", "layerwise_aasist", "sls", "mhfa")},
    **{name: [(20, 128)] for name in ("nes2net", "nes2net_x")},
}
"""Small features that each network takes."""
CASES = [(name, shape) for name in BACKENDS for shape in SHAPES[name]]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{'x'.join(map(str, case[1]))}")
def backend(request):
    name, shape = request.param
    torch.manual_seed(0)
    return BACKENDS[name](shape), torch.randn(3, *shape)


def test_gives_an_embedding_and_two_finite_logits_per_utterance(backend):
    model, features = backend
    with torch.no_grad():
        output = model.eval()(features)
    assert output.logits.shape == (3, 2)
    assert output.embedding.shape[0] == 3
    assert output.embedding.dim() == 2
    assert output.logits.isfinite().all()


def test_an_utterance_does_not_depend_on_its_batch(backend):
    model, features = backend
    model.eval()
    with torch.no_grad():
        together = model(features).logits
        alone = torch.cat([model(utterance[None]).logits for utterance in features])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_a_gradient_reaches_every_trainable_parameter(backend):
    model, features = backend
    torch.nn.functional.cross_entropy(model.train()(features).logits, torch.tensor([0, 1, 1])).backward()
    unused = getattr(model, "UNUSED", ())  # parts of names that the original has in its checkpoints and never uses
    without = [
        name
        for name, parameter in model.named_parameters()
        if (parameter.grad is None or not parameter.grad.any()) and not set(name.split(".")) & set(unused)
    ]
    assert not without


@pytest.mark.parametrize("name", BACKENDS)
def test_a_built_network_refuses_features_of_another_shape(name):
    """Even where its convolutions and poolings would compute something from them."""
    shape = SHAPES[name][0]
    model = BACKENDS[name](shape).eval()
    others = [(2, *shape[:-1], shape[-1] - 1), (2, shape[0] + 1, *shape[1:]), (2, 1, *shape), shape, ()]
    for other in others:
        with pytest.raises(ShapeError, match=r"on features of shape \(.*\); expected \(B, " + str(shape[0])):
            model(torch.zeros(other))
    with pytest.raises(ShapeError, match=r"on features of type ndarray; expected a tensor"):
        model(torch.zeros(2, *shape).numpy())
    with pytest.raises(ShapeError, match=r"on features of type torch\.int64; expected a tensor of floating"):
        model(torch.zeros(2, *shape, dtype=torch.int64))


@pytest.mark.parametrize("shape", [64, None, "64", (64.0, 20), (64, -20), (0, 20), (True, 20)])
def test_a_shape_that_is_none_is_refused(shape):
    with pytest.raises(ShapeError, match=r"LCNN on features of shape .*; expected a tuple of positive whole numbers"):
        BACKENDS["lcnn"](shape)


@pytest.mark.parametrize("name", BACKENDS)
def test_features_of_a_shape_that_it_does_not_take_are_refused_in_a_sentence(name):
    with pytest.raises(ValueError, match=r"on features of shape \(2, 3, 4, 5, 6\); expected"):
        BACKENDS[name]((2, 3, 4, 5, 6))


@pytest.mark.parametrize("name", BACKENDS)
def test_the_embedding_is_what_the_logits_are_made_of(name):
    torch.manual_seed(0)
    model, features = BACKENDS[name](SHAPES[name][0]).eval(), torch.randn(2, *SHAPES[name][0], requires_grad=True)
    output = model(features)
    (gradient,) = torch.autograd.grad(output.logits[:, 1].sum(), output.embedding)
    assert gradient.any()


@pytest.mark.parametrize("is_training", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", BACKENDS)
def test_without_a_recurrent_layer_it_is_one_graph_for_the_compiler(name, is_training):
    torch.manual_seed(0)
    model, features = BACKENDS[name](SHAPES[name][0]), torch.randn(2, *SHAPES[name][0])
    if any(isinstance(module, torch.nn.RNNBase) for module in model.modules()):
        pytest.skip("recurrent layers stay eager")
    compiled = torch.compile(model, fullgraph=True, backend="eager")  # traces it; a graph break is an error
    logits = compiled.train(is_training)(features).logits
    assert logits.shape == (2, 2)
    if not is_training:  # dropout draws in training
        torch.testing.assert_close(logits, model.eval()(features).logits)

import numpy as np
import pytest
import torch
from torch import nn

from spoofcache.models.layerwise import LayerwiseAASIST, LayerwiseFFN, mix_layers
from tests.models.aasist_golden import n_parameters, numbers, original_shapes, shapes, ssl_layers, tolerance
from tests.recipe import fill

HEADS = pytest.mark.parametrize(
    ("head", "name", "parameters"),
    [(LayerwiseFFN, "layerwise_ffn24", 197_578), (LayerwiseAASIST, "layerwise_aasist24", 447_314)],
    ids=["ffn", "aasist"],
)


@HEADS
def test_equals_the_original_network_on_the_recipe_weights(head, name, parameters):
    with torch.no_grad():
        logits = fill(head((24, 201, 1024)))(ssl_layers()).logits
    np.testing.assert_allclose(logits.numpy(), numbers(f"{name}/logits"), rtol=0, atol=tolerance(name))


@HEADS
def test_names_shapes_and_number_of_parameters_are_the_originals(head, name, parameters):
    model = head((24, 201, 1024))
    assert shapes(model) == original_shapes(name)
    assert n_parameters(model) == parameters


class EvenAttention(nn.Module):
    """No attention: every frame weighs the same."""

    def forward(self, frames):
        return torch.full(frames.shape[:2], 1 / frames.shape[1])


def test_the_tolerance_bites_a_head_without_its_attention_fails():
    head = fill(LayerwiseFFN((24, 201, 1024)))
    head.attention_block = EvenAttention()
    with torch.no_grad():
        logits = head(ssl_layers()).logits.numpy()
    off = np.abs(logits - numbers("layerwise_ffn24/logits")).max()
    assert off > tolerance("layerwise_ffn24")
    assert off < 1e-3  # a looser bound would have let it pass


def test_layers_are_mixed_by_the_soft_max_of_their_weights():
    layers = torch.tensor([1.0, 5.0]).reshape(1, 2, 1, 1)
    norm = nn.BatchNorm2d(2, eps=0).eval()
    mixed = mix_layers(layers, norm, torch.tensor([np.log(3.0), 0.0]).float())  # 3/4 and 1/4
    assert mixed.item() == pytest.approx(2.0)


def test_features_of_one_layer_without_its_axis_are_refused():
    with pytest.raises(ValueError, match=r"LayerwiseFFN on features of shape \(201, 1024\); expected \(L, T, D\)"):
        LayerwiseFFN((201, 1024))
    with pytest.raises(ValueError, match=r"LayerwiseAASIST on features of shape \(24, 2, 1024\); .* T at least 3"):
        LayerwiseAASIST((24, 2, 1024))

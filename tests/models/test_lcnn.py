import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from spoofcache.benchmarks.plain import PlainMaxFeatureMap
from spoofcache.models.lcnn import LCNN, MaxFeatureMap
from tests.recipe import fill, ssl_last

GOLDEN = Path(__file__).parent.parent / "golden"


def test_equals_the_original_network_on_the_recipe_weights():
    golden = np.load(GOLDEN / "lcnn.npz")
    with torch.no_grad():
        embedding, logits = fill(LCNN((201, 1024)))(ssl_last())
    np.testing.assert_allclose(embedding.numpy(), golden["embedding"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(logits.numpy(), golden["logits"], rtol=0, atol=1e-4)


def test_state_dict_has_the_original_names_and_shapes():
    expected = json.loads((GOLDEN / "lcnn_state_dict.json").read_text())
    assert {name: list(tensor.shape) for name, tensor in LCNN((201, 1024)).state_dict().items()} == expected


@pytest.mark.parametrize(
    ("feature_shape", "parameters"), [((201, 1024), 4_111_074), ((404, 60), 562_914)], ids=["xls-r", "lfcc"]
)
def test_parameter_count_follows_the_shape_of_the_features(feature_shape, parameters):
    model = LCNN(feature_shape)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == parameters


def test_max_feature_map_compares_channel_c_with_channel_c_plus_half():
    x = torch.tensor([[1.0, -2.0, 3.0, 0.0, 5.0, -1.0]])  # channels 0, 1, 2 | 3, 4, 5
    assert MaxFeatureMap()(x).tolist() == [[1.0, 5.0, 3.0]]


def test_max_feature_map_sends_each_gradient_to_the_larger_value_and_of_equal_ones_to_the_first():
    x = torch.tensor([[1.0, 2.0, 7.0, 3.0, 2.0, -7.0]], requires_grad=True)
    MaxFeatureMap()(x).backward(torch.tensor([[10.0, 20.0, 30.0]]))
    assert x.grad.tolist() == [[0, 20, 30, 10, 0, 0]]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_max_feature_map_is_bitwise_the_plain_one_and_keeps_the_layout(layout):
    torch.manual_seed(0)
    x = torch.randn(2, 6, 5, 7).to(memory_format=layout).requires_grad_()
    cotangent = torch.randn(2, 3, 5, 7).to(memory_format=layout)
    ours, plain = MaxFeatureMap()(x), PlainMaxFeatureMap()(x)
    assert torch.equal(ours, plain)
    assert ours.is_contiguous(memory_format=layout)
    gradients = [torch.autograd.grad(larger, x, cotangent)[0] for larger in (ours, plain)]
    assert torch.equal(*gradients)
    assert gradients[0].is_contiguous(memory_format=layout)


def test_pooling_before_the_max_feature_map_is_bitwise_pooling_behind_it():
    torch.manual_seed(0)
    x = torch.randn(2, 6, 5, 7, requires_grad=True)  # odd sizes: the last row and column are dropped
    cotangent = torch.randn(2, 3, 2, 3)
    before, behind = MaxFeatureMap()(F.max_pool2d(x, 2)), F.max_pool2d(PlainMaxFeatureMap()(x), 2)
    assert torch.equal(before, behind)
    assert torch.equal(*(torch.autograd.grad(pooled, x, cotangent)[0] for pooled in (before, behind)))


def test_features_that_four_poolings_would_empty_are_refused():
    with pytest.raises(ValueError, match=r"shape \(64600,\); expected \(T, D\)"):
        LCNN((64_600,))
    with pytest.raises(ValueError, match="at least 16"):
        LCNN((404, 13))

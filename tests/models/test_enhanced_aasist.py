import numpy as np
import pytest
import torch

from spoofcache.models.enhanced_aasist import EnhancedAASIST
from tests.models.aasist_golden import n_parameters, numbers, original_shapes, shapes, tolerance
from tests.recipe import fill, ssl_last


def test_equals_the_original_network_on_the_recipe_weights():
    with torch.no_grad():
        logits = fill(EnhancedAASIST((201, 1024)))(ssl_last()).logits
    expected = numbers("enhanced_aasist/logits")
    np.testing.assert_allclose(logits.numpy(), expected, rtol=0, atol=tolerance("enhanced_aasist"))


def test_names_shapes_and_number_of_parameters_are_the_originals():
    model = EnhancedAASIST((201, 1024))
    assert shapes(model) == original_shapes("enhanced_aasist")
    assert n_parameters(model) == 576_202


def test_its_pre_activations_are_applied_where_aasist_discards_them():
    torch.manual_seed(0)
    model = EnhancedAASIST((30, 16))
    model(torch.randn(3, 30, 16)).logits.square().sum().backward()
    assert all(model.get_parameter(f"encoder.{block}.bn1.weight").grad.any() for block in range(1, 6))


def test_features_that_the_pooling_would_empty_are_refused():
    with pytest.raises(ValueError, match=r"EnhancedAASIST on features of shape \(2, 1024\); expected \(T, D\), T at"):
        EnhancedAASIST((2, 1024))

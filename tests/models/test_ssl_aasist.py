import numpy as np
import pytest
import torch

from spoofcache.models.ssl_aasist import SSLAASIST, attentive_nodes
from tests.models.aasist_golden import n_parameters, numbers, original_shapes, shapes, tolerance
from tests.recipe import fill, ssl_last


def test_equals_the_original_network_on_the_recipe_weights():
    with torch.no_grad():
        logits = fill(SSLAASIST((201, 1024)))(ssl_last()).logits
    np.testing.assert_allclose(logits.numpy(), numbers("ssl_aasist/logits"), rtol=0, atol=tolerance("ssl_aasist"))


def test_names_shapes_and_number_of_parameters_are_the_originals():
    model = SSLAASIST((201, 1024))
    assert shapes(model) == original_shapes("ssl_aasist")
    assert n_parameters(model) == 447_242


def test_nodes_are_averages_of_the_map_where_the_attention_is_even():
    x = torch.arange(6.0).reshape(1, 1, 2, 3)  # rows 0 1 2 | 3 4 5
    spectral, temporal = attentive_nodes(x, torch.zeros(1, 1, 2, 3))
    torch.testing.assert_close(spectral, torch.tensor([[[1.0], [4.0]]]))
    torch.testing.assert_close(temporal, torch.tensor([[[1.5], [2.5], [3.5]]]))


def test_features_that_the_pooling_would_empty_are_refused():
    with pytest.raises(ValueError, match=r"SSLAASIST on features of shape \(2, 1024\); expected \(T, D\), T at"):
        SSLAASIST((2, 1024))

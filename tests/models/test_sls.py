import numpy as np
import pytest
import torch

from spoofcache.models.sls import SLS
from tests.models.aasist_golden import n_parameters, numbers, original_shapes, shapes, ssl_layers, tolerance
from tests.recipe import fill


@pytest.fixture(scope="module")
def model():
    return fill(SLS((24, 201, 1024)))


def test_equals_the_original_network_on_the_recipe_weights(model):
    with torch.no_grad():
        logits = model(ssl_layers()).logits
    np.testing.assert_allclose(logits.numpy(), numbers("sls/logits"), rtol=0, atol=tolerance("sls"))


def test_names_shapes_and_number_of_parameters_are_the_originals(model):
    assert shapes(model) == original_shapes("sls")
    assert n_parameters(model) == 23_399_429


def test_its_logits_are_logarithms_of_probabilities():
    logits = SLS((3, 6, 9))(torch.randn(4, 3, 6, 9)).logits
    torch.testing.assert_close(logits.exp().sum(1), torch.ones(4))


def test_features_that_the_pooling_would_empty_are_refused():
    with pytest.raises(ValueError, match=r"SLS on features of shape \(24, 201, 2\); .* D at least 3"):
        SLS((24, 201, 2))

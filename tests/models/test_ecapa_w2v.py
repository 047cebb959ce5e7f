import pytest
import torch

from spoofcache.models.ecapa_w2v import ECAPAW2V
from tests.models.reference import assert_equals_original, assert_names_of_original, count_parameters
from tests.recipe import ssl_last


def test_equals_the_original_network_on_the_recipe_weights():
    model = ECAPAW2V((201, 1024))
    assert count_parameters(model) == 8_805_574
    assert_names_of_original("ecapa003", model)
    assert_equals_original("ecapa003", model, ssl_last())


def test_a_batch_of_one_is_a_batch():  # the original squeezed it away
    torch.manual_seed(0)
    model, features = ECAPAW2V((20, 10), channels=16).eval(), torch.randn(2, 20, 10)
    together, alone = model(features), model(features[:1])
    assert alone.embedding.shape == (1, 256)
    torch.testing.assert_close(alone.logits, together.logits[:1])


def test_shapes_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match=r"shape \(1, 10\); expected \(T, D\), T at least 2"):
        ECAPAW2V((1, 10))
    with pytest.raises(ValueError, match="12 channels; expected a multiple of 8"):
        ECAPAW2V((20, 10), channels=12)

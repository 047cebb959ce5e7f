import numpy as np
import pytest
import torch

from spoofcache.models.conformer_tcm import ConformerTCM, positions
from tests.models.reference import GOLDEN, assert_equals_original, assert_names_of_original, count_parameters
from tests.recipe import ssl_last

SHAPE = (201, 1024)
EVEN = {"embedding": 32, "heads": 2, "kernel_size": 16, "blocks": 1}


def test_equals_the_original_network_on_the_recipe_weights():
    model = ConformerTCM(SHAPE)
    assert count_parameters(model) == 2_382_628
    assert_names_of_original("conformer_tcm", model)
    assert_equals_original("conformer_tcm", model, ssl_last())


def test_equals_the_original_with_filters_of_an_even_width():
    model = ConformerTCM(SHAPE, **EVEN)
    assert count_parameters(model) == 62_212
    assert_equals_original("conformer_tcm_even", model, ssl_last())


def test_its_positions_are_those_of_the_original():
    expected = np.load(GOLDEN / "backends.npz")["conformer_tcm_positions/rows"]
    # the original computes angles of up to 10,000 in float32, whose last bit is 0.001
    np.testing.assert_allclose(positions(10_000, 144)[[0, 1, 2, 200]], expected[:4], rtol=0, atol=2e-5)
    np.testing.assert_allclose(positions(10_000, 144)[9_999], expected[4], rtol=0, atol=1e-3)


def test_the_order_of_the_frames_matters():
    torch.manual_seed(0)
    model, features = ConformerTCM((20, 64), **EVEN).eval(), torch.randn(1, 20, 64)
    assert not torch.allclose(model(features).logits, model(features.flip(1)).logits, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "settings", "sentence"),
    [
        ((64_600,), {}, r"ConformerTCM on features of shape \(64600,\); expected \(T, D\)"),
        ((10_001, 8), {}, "on 10001 frames; expected at most 10000"),
        (SHAPE, {"heads": 5}, "with 144 values of an embedding; expected a multiple of 5"),
        (SHAPE, {"blocks": 0}, "blocks 0; expected at least 1 of each"),
        (SHAPE, {"kernel_size": 0}, "kernel_size 0 and blocks 4; expected at least 1"),
    ],
)
def test_features_and_settings_that_cannot_work_are_refused(shape, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        ConformerTCM(shape, **settings)

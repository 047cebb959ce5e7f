import json
from pathlib import Path

import numpy as np
import pytest
import torch

from spoofcache.models.mhfa import MHFA
from tests.models.aasist_golden import n_parameters, shapes, ssl_layers
from tests.recipe import fill
from tests.rounding import network_tolerance

GOLDEN = Path(__file__).parent.parent / "golden"
NUMBERS = np.load(GOLDEN / "mhfa.npz")
TOLERANCE = network_tolerance(NUMBERS["f32_vs_f64"].item())


def test_equals_the_original_network_on_the_recipe_weights():
    with torch.no_grad():
        output = fill(MHFA((24, 201, 1024)))(ssl_layers())
    np.testing.assert_allclose(output.embedding.numpy(), NUMBERS["embedding"], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(output.logits.numpy(), NUMBERS["logits"], rtol=0, atol=TOLERANCE)


def test_the_tolerance_bites_keys_and_values_of_the_same_layers_fail():
    model = fill(MHFA((24, 201, 1024)))
    model.weights_k.data = model.weights_v.data
    with torch.no_grad():
        logits = model(ssl_layers()).logits
    assert np.abs(logits.numpy() - NUMBERS["logits"]).max() > 10 * TOLERANCE


def test_names_shapes_and_number_of_parameters_are_the_originals():
    assert shapes(MHFA((24, 201, 1024))) == json.loads((GOLDEN / "mhfa_state_dict.json").read_text())
    assert n_parameters(MHFA((24, 201, 1024))) == 1_316_434
    assert n_parameters(MHFA((25, 201, 1024))) == 1_316_436


def test_a_frame_that_no_head_attends_to_does_not_count():
    """One coefficient alone decides the weight of a frame: where it is very low, all other values are free."""
    torch.manual_seed(0)
    model = MHFA((2, 6, 4), heads=3, compression=4, embedding=5).eval()
    with torch.no_grad():
        model.cmp_linear_k.weight.copy_(torch.eye(4))
        model.cmp_linear_k.bias.zero_()
        model.att_head.weight.copy_(torch.tensor([[1.0, 0, 0, 0]]).expand(3, 4))
        features = torch.randn(1, 2, 6, 4)
        features[:, :, 3, 0] = -200
        before = model(features).embedding
        features[:, :, 3, 1:] += 100
        torch.testing.assert_close(model(features).embedding, before)


@pytest.mark.parametrize("setting", ["heads", "compression", "embedding"])
def test_a_size_of_nothing_is_refused(setting):
    with pytest.raises(ValueError, match=f"MHFA with {setting} 0; expected at least 1"):
        MHFA((2, 6, 4), **{setting: 0})


def test_one_layer_without_an_axis_of_its_own_is_refused():
    with pytest.raises(ValueError, match=r"MHFA on features of shape \(201, 1024\); expected \(L, T, D\)"):
        MHFA((201, 1024))

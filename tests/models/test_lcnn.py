import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.lcnn import LCNN, MaxFeatureMap
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


def test_features_that_four_poolings_would_empty_are_refused():
    with pytest.raises(ValueError, match=r"shape \(64600,\); expected \(T, D\)"):
        LCNN((64_600,))
    with pytest.raises(ValueError, match="at least 16"):
        LCNN((404, 13))

import pytest
import torch

from spoofcache.models.lcnn_transformer import LCNNTransformer, WindowOfOneAttention
from tests.models.reference import assert_equals_original, assert_names_of_original, count_parameters
from tests.recipe import ssl_last


def test_equals_the_original_network_on_the_recipe_weights():
    model = LCNNTransformer((201, 1024))
    assert count_parameters(model) == 9_625_058
    assert_names_of_original("lcnnsf003", model)
    assert_equals_original("lcnnsf003", model, ssl_last())


def test_a_window_of_one_is_full_attention_that_may_only_look_at_itself():
    torch.manual_seed(0)
    attention, x = WindowOfOneAttention(12), torch.randn(2, 5, 12)
    query, key, value = attention.project_qkv(x).chunk(3, dim=2)
    only_itself = torch.eye(5, dtype=torch.bool)
    mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=only_itself)
    torch.testing.assert_close(attention(x), attention.project_out(mixed))


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match=r"LCNNTransformer on features of shape \(404, 13\).*D at least 16"):
        LCNNTransformer((404, 13))
    with pytest.raises(ValueError, match=r"encoder_dropout 1\.0; expected 0 ≤ encoder_dropout < 1"):
        LCNNTransformer((32, 32), encoder_dropout=1.0)

import pytest
import torch
from torch import nn

from spoofcache.models.nes2net import ColumnBottleneck, Nes2Net, Nes2NetX
from tests.models.reference import assert_equals_original, assert_names_of_original, count_parameters
from tests.recipe import ssl_last

SHAPE = (201, 1024)


@pytest.mark.parametrize(
    ("tag", "build", "parameters"),
    [
        ("nes2net_x_mean", lambda: Nes2NetX(SHAPE), 512_039),
        ("nes2net_x_ASTP", lambda: Nes2NetX(SHAPE, pooling="ASTP"), 777_383),
        ("nes2net_x_selu_mean", lambda: Nes2NetX(SHAPE, activation="selu", n_logits=1), 511_014),
        ("nes2net_base_mean", lambda: Nes2Net(SHAPE), 510_769),
    ],
    ids=["x", "x-astp", "x-selu", "base"],
)
def test_equals_the_original_network_on_the_recipe_weights(tag, build, parameters):
    model = build()
    assert count_parameters(model) == parameters
    assert_names_of_original(tag, model)
    assert_equals_original(tag, model, ssl_last())


def test_one_logit_z_becomes_zero_and_z():
    torch.manual_seed(0)
    model, features = Nes2Net((5, 64)).eval(), torch.randn(3, 5, 64)
    embedding, logits = model(features)
    torch.testing.assert_close(logits, torch.cat([torch.zeros(3, 1), model.fc(embedding)], dim=1))


def test_columns_start_as_the_mean_of_the_last_group_and_those_before():
    # filters that leave a column alone: the stack only grows, and the weights start as 1/columns
    block = ColumnBottleneck(8, 1, nn.Identity(), nn.Identity()).eval()
    for conv, norm in zip(block.convs, block.bns, strict=True):
        nn.init.dirac_(conv.weight)
        nn.init.zeros_(conv.bias)
        norm.eps = 0
    groups = torch.arange(8.0).reshape(8, 1, 1, 1)  # eight groups of one channel, one frame; the last is 7
    with torch.no_grad():
        mixed = block.mix(list(groups[:7, 0, None]), groups[7, 0, None])
    assert [value.item() for value in mixed] == pytest.approx([7 / 2, 8 / 3, 10 / 4, 13 / 5, 17 / 6, 22 / 7, 28 / 8])


def test_features_and_settings_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match=r"Nes2NetX on features of shape \(64600,\); expected \(T, D\)"):
        Nes2NetX((64_600,))
    with pytest.raises(ValueError, match="Nes2Net with 60 coefficients; expected a multiple of 64"):
        Nes2Net((404, 60))
    with pytest.raises(ValueError, match="pooling 'max'; expected one of mean, ASTP"):
        Nes2NetX(SHAPE, pooling="max")
    with pytest.raises(ValueError, match="activation 'gelu'; expected one of relu, selu"):
        Nes2NetX(SHAPE, activation="gelu")
    with pytest.raises(ValueError, match="se_ratio 0; expected one of 1, 2, 4, 8"):
        Nes2NetX(SHAPE, se_ratio=0)

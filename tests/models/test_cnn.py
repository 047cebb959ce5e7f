import pytest
import torch
from torch import nn

from spoofcache.models.cnn import CNN
from tests.models.reference import count_parameters


def test_parameter_count_is_the_sum_of_its_layers():
    convolutions = 9 * (1 * 16 + 16 * 24 + 24 * 32 + 32 * 48 + 48 * 64)
    norms = 2 * (16 + 24 + 32 + 48 + 64)
    linear = (64 * 256 + 256) + (256 * 2 + 2)
    assert count_parameters(CNN((201, 1024))) == convolutions + norms + linear == 69_506


def test_a_stage_keeps_the_largest_of_four_and_a_tenth_of_what_is_negative():
    stage = CNN((32, 32)).stages[0].eval()
    nn.init.dirac_(stage[0].weight)  # channel 0 is the input itself
    stage[1].eps = 0
    image = torch.tensor([[1.0, 2.0, -5.0, -4.0], [3.0, -1.0, -3.0, -2.0]])
    with torch.no_grad():
        torch.testing.assert_close(stage(image[None, None])[0, 0], torch.tensor([[3.0, -0.2]]))


def test_features_that_five_halvings_would_empty_are_refused():
    assert CNN((32, 63)).eval()(torch.randn(1, 32, 63)).embedding.shape == (1, 256)
    with pytest.raises(ValueError, match=r"CNN on features of shape \(404, 20\).*D at least 32"):
        CNN((404, 20))

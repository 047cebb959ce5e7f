import pytest
import torch
from torch import nn

from spoofcache.models.resnet import BasicBlock, ResNet
from tests.models.reference import count_parameters


def test_parameter_count_is_that_of_the_published_resnet_18():
    published = 11_689_512  # three input channels, 1000 classes
    colours, classes = 2 * 64 * 7 * 7, 512 * 1000 + 1000
    ours = (512 * 256 + 256) + (256 * 2 + 2)
    assert count_parameters(ResNet((201, 1024))) == published - colours - classes + ours == 11_302_082


def test_stem_and_layers_halve_the_image_five_times_rounding_up():
    # 201 → 101 → 51 → 51 → 26 → 13 → 7 and 1024 → … → 32
    model = ResNet((201, 1024)).eval()
    with torch.no_grad():
        assert model.layers(model.stem(torch.zeros(1, 1, 201, 1024))).shape == (1, 512, 7, 32)


def test_a_block_whose_convolutions_are_zero_is_its_short_cut():
    block = BasicBlock(3, 3, stride=1).eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(block(x), x.clamp(min=0))


def test_a_waveform_is_refused():
    with pytest.raises(ValueError, match=r"ResNet on features of shape \(64600,\); expected \(T, D\)"):
        ResNet((64_600,))

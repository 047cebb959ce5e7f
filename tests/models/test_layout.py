import pytest
import torch
from torch import nn

from spoofcache.models.layout import as_image

MAPS = {
    "contiguous": torch.arange(2.0 * 3 * 5).view(2, 3, 5),
    "transposed": torch.arange(2.0 * 3 * 5).view(2, 5, 3).mT,
    "one row": torch.arange(5.0).view(1, 1, 5),
}
each_map = pytest.mark.parametrize("maps", MAPS.values(), ids=MAPS)


@each_map
def test_the_values_stay_where_they_were(maps):
    assert torch.equal(as_image(maps), maps[:, None])


@each_map
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_a_convolution_a_pooling_and_a_norm_make_of_it_is_channels_last(maps, dtype):
    layers = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.MaxPool2d(2, ceil_mode=True))
    with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
        made = layers(as_image(maps))
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert made.stride(1) == 1


def test_a_contiguous_map_is_not_copied():
    assert as_image(MAPS["contiguous"]).data_ptr() == MAPS["contiguous"].data_ptr()

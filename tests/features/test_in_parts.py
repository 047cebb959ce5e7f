"""A batch that does not fit into the memory of a GPU is computed in halves of halves, with the same result."""

import numpy as np
import pytest
import torch

from spoofcache.features.device import Device, Pace
from spoofcache.features.in_parts import InParts


class Small:
    """Doubles a batch; like a GPU with little memory, it refuses one of more than `fits` rows."""

    def __init__(self, fits):
        self.fits, self.sizes = fits, []

    def __call__(self, batch):
        self.sizes.append(len(batch))
        if len(batch) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return batch * 2


def test_a_batch_that_fits_is_passed_on_whole():
    small = Small(8)
    in_parts = InParts(small)
    assert in_parts(torch.arange(8)).tolist() == list(range(0, 16, 2))
    assert (small.sizes, in_parts.largest) == ([8], None)


def test_a_batch_that_does_not_is_halved_until_it_does_and_later_ones_begin_with_that_size():
    small = Small(3)
    in_parts = InParts(small)
    assert in_parts(torch.arange(10)).tolist() == list(range(0, 20, 2))
    assert in_parts(torch.arange(4)).tolist() == [0, 2, 4, 6]
    assert in_parts.largest == 3
    assert small.sizes == [10, 5, 3, 3, 3, 1, 3, 1]


def test_a_row_that_alone_does_not_fit_is_an_error():
    with pytest.raises(torch.OutOfMemoryError):
        InParts(Small(0))(torch.arange(10))


def test_an_extraction_continues_in_parts_and_reports_it(gpu):
    waveforms = np.arange(80, dtype=np.float32).reshape(8, 10)
    device = Device(gpu, Small(2), "float32")
    np.testing.assert_array_equal(device.launch(waveforms).wait().rows.numpy(), waveforms * 2)
    assert str(Pace(8, 1.0, largest=device.largest)).endswith(
        "a batch did not fit into the memory of the GPU and was computed in parts; a --batch-size of 2 fits"
    )

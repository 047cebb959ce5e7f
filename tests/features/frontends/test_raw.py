"""The waveform as a front-end."""

import torch

from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.features.frontends.raw import Raw


def test_the_waveform_comes_out_as_it_went_in():
    waveforms = torch.rand(3, 500) - 0.5
    assert torch.equal(Raw(FrontEndOptions()).extract(waveforms), waveforms)


def test_a_row_is_as_long_as_the_waveform():
    assert Raw(FrontEndOptions()).row_shape(64_600) == (64_600,)


def test_it_is_stored_as_float32_or_int16_and_never_float16():
    assert Raw.dtypes == ("float32", "int16")

from pathlib import Path

import numpy as np
import pytest
import torch

from spoofcache.models.sinc import MelSincFilters, mel_band_edges, sinc_filters

GOLDEN = Path(__file__).parent.parent / "golden"


def test_filters_and_edges_are_those_of_the_original():
    golden = np.load(GOLDEN / "sinc_filters.npz")
    np.testing.assert_allclose(mel_band_edges(70).numpy(), golden["mel_edges_hz"], rtol=0, atol=1e-9)
    filters = sinc_filters(70, 129).numpy()
    np.testing.assert_allclose(filters[golden["filter_index"]], golden["filters"], rtol=0, atol=2e-7)


@pytest.mark.parametrize(("n_filters", "kernel"), [(70, 129), (20, 1025)], ids=["aasist", "rawnet2"])
def test_the_bands_together_are_the_waveform_itself(n_filters, kernel):
    # neighbouring bands share an edge and the outer ones are 0 Hz and the Nyquist frequency: the sum is an impulse
    impulse = torch.zeros(kernel)
    impulse[kernel // 2] = 1
    torch.testing.assert_close(sinc_filters(n_filters, kernel).sum(0), impulse, rtol=0, atol=1e-6)


def test_a_tone_passes_the_filter_of_the_band_around_its_frequency():
    tone = torch.sin(2 * torch.pi * 1_000 * torch.arange(16_000) / 16_000)
    bands = MelSincFilters(20, 1025)(tone[None])
    assert bands.shape == (1, 20, 16_000 - 1_024)
    loudest = bands[0].square().mean(1).argmax()
    edges = mel_band_edges(20)
    assert edges[loudest] < 1_000 < edges[loudest + 1]


def test_the_filters_are_neither_trained_nor_stored():
    filters = MelSincFilters(70, 129)
    assert not list(filters.parameters())
    assert not filters.state_dict()


def test_under_autocast_the_filters_are_applied_in_float32():
    filters, quiet = MelSincFilters(20, 1025), 1e-3 * torch.randn(1, 4_000, generator=torch.Generator().manual_seed(0))
    expected = filters(quiet)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(filters(quiet), expected)


def test_an_even_filter_has_no_middle_and_is_refused():
    with pytest.raises(ValueError, match="70 sinc filters of 128 taps; expected at least one, of an odd length"):
        MelSincFilters(70, 128)

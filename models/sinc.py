"""A fixed bank of sinc band-pass filters on the mel scale, the first layer of AASIST and RawNet2.

Source: Ravanelli, Bengio: "Speaker recognition from raw waveform with SincNet", SLT 2018, eq. 4–6, whose cut-off
frequencies are learned. Here they keep their initial values, as in Tak et al., "End-to-end anti-spoofing with RawNet2",
ICASSP 2021, and Jung et al., "AASIST", ICASSP 2022. Band edges and window are those of the public repository
clovaai/aasist (commit a04c986).
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

SAMPLE_RATE = 16_000
"""Hz. All waveforms have this rate; it repeats features/waveform.py, which models must not import."""


def mel_band_edges(n_filters: int) -> torch.Tensor:
    """Return the band edges [n_filters + 1] in Hz (float64): equally spaced from 0 Hz to half the sample rate on the
    mel scale 2595·log10(1 + f/700).
    """
    highest = 2595 * math.log10(1 + SAMPLE_RATE / 2 / 700)
    return 700 * (10 ** (torch.linspace(0, highest, n_filters + 1, dtype=torch.float64) / 2595) - 1)


def sinc_filters(n_filters: int, kernel: int) -> torch.Tensor:
    """Return the impulse responses [n_filters, kernel] in float32, one for each band between neighbouring edges.

    An ideal low-pass filter with cut-off f has the impulse response (2f/R)·sinc(2fn/R), where R is the sample rate and
    sinc(x) = sin(πx)/(πx). A band-pass filter is the difference of two low-pass filters (SincNet, eq. 4). A symmetric
    Hamming window limits it to `kernel` taps (SincNet, eq. 5 and 6).
    """
    n = torch.arange(kernel, dtype=torch.float64) - kernel // 2
    cutoff = 2 * mel_band_edges(n_filters)[:, None] / SAMPLE_RATE
    low_pass = cutoff * torch.sinc(cutoff * n)
    window = torch.hamming_window(kernel, periodic=False, dtype=torch.float64)
    return (window * low_pass.diff(dim=0)).float()


class MelSincFilters(nn.Module):
    """Filter waveforms [B, n] into bands [B, n_filters, n − kernel + 1], with stride 1 and without padding.

    Nothing here is trained. The filters follow from the two arguments, so the state dict does not hold them, as in the
    original networks.

    Args:
        n_filters: The number of bands between 0 Hz and 8 kHz.
        kernel: The number of taps of each filter, an odd number.

    Raises:
        ValueError: `kernel` is even, or there is no filter.
    """

    filters: torch.Tensor

    def __init__(self, n_filters: int, kernel: int) -> None:
        super().__init__()
        if n_filters < 1 or kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"{n_filters} sinc filters of {kernel} taps; expected at least one, of an odd length")
        self.register_buffer("filters", sinc_filters(n_filters, kernel)[:, None], persistent=False)

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        with torch.autocast(
            waveform.device.type, enabled=False
        ):  # rounding to 16 bits would bury quiet speech in noise
            return F.conv1d(waveform.to(self.filters.dtype)[:, None], self.filters)

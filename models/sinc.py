"""A fixed bank of sinc band-pass filters on the mel scale: what AASIST and RawNet2 hear a waveform through.

After Ravanelli, Bengio: "Speaker recognition from raw waveform with SincNet", SLT 2018, eq. 4–6, whose cut-off
frequencies are learned; here they stay where they start, as in Tak et al., "End-to-end anti-spoofing with RawNet2",
ICASSP 2021, and Jung et al., "AASIST", ICASSP 2022 (SPECS.md §2.4).
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

SAMPLE_RATE = 16_000
"""Hz, of every waveform in the house (features/waveform.py, which models do not import)."""


def mel_band_edges(n_filters: int) -> torch.Tensor:
    """Edges [n_filters + 1] in Hz, float64: equally spaced on 2595·log10(1 + f/700), from 0 to half the sample rate."""
    highest = 2595 * math.log10(1 + SAMPLE_RATE / 2 / 700)
    return 700 * (10 ** (torch.linspace(0, highest, n_filters + 1, dtype=torch.float64) / 2595) - 1)


def sinc_filters(n_filters: int, kernel: int) -> torch.Tensor:
    """Impulse responses [n_filters, kernel], float32: the band between neighbouring edges under a Hamming window.

    An ideal low-pass at f has the impulse response (2f/R)·sinc(2fn/R), R the sample rate; a band is the difference of
    two (SincNet, eq. 4).
    """
    n = torch.arange(kernel, dtype=torch.float64) - kernel // 2
    cutoff = 2 * mel_band_edges(n_filters)[:, None] / SAMPLE_RATE
    low_pass = cutoff * torch.sinc(cutoff * n)
    window = torch.hamming_window(kernel, periodic=False, dtype=torch.float64)
    return (window * low_pass.diff(dim=0)).float()


class MelSincFilters(nn.Module):
    """Waveform [B, n] → its bands [B, n_filters, n − kernel + 1]: stride 1, no padding, nothing to train.

    The filters can be made again from their two numbers, so they stay out of the state dict, as in the originals.

    Args:
        n_filters: bands that share 0–8 kHz.
        kernel: taps of each filter, odd.

    Raises:
        ValueError: an even kernel, or no filter.
    """

    filters: torch.Tensor

    def __init__(self, n_filters: int, kernel: int) -> None:
        super().__init__()
        if n_filters < 1 or kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"{n_filters} sinc filters of {kernel} taps; expected at least one, of an odd length")
        self.register_buffer("filters", sinc_filters(n_filters, kernel)[:, None], persistent=False)

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        with torch.autocast(waveform.device.type, enabled=False):  # 16 bits would drown quiet speech in rounding noise
            return F.conv1d(waveform.to(self.filters.dtype)[:, None], self.filters)

"""What the front-ends without a network share: float64 arithmetic, the power spectrum and the cosine transform."""

import math
from abc import abstractmethod

import torch

from spoofcache.features.frontends.base import FrontEnd


class SpectralFrontEnd(FrontEnd):
    """A front-end whose features follow from the short-time power spectrum by a formula.

    It computes in float64. A pure tone puts most bands tens of decibels below the peak, and there the rounding error
    of a float32 FFT is visible and differs between processors; in float64 every processor gives the same float32 result
    but for its last digit. Each utterance is computed on its own: its spectra then fit into the processor's cache,
    which makes up for the wider numbers, and no row can depend on the others of its batch.

    Subclasses set `device` and define `features`.
    """

    device: torch.device

    def extract(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Waveforms [B, n] float32 → features [B, T, D] float32."""
        doubles = waveforms.to(self.device, torch.float64)
        return torch.stack([self.features(waveform) for waveform in doubles]).float()

    @abstractmethod
    def features(self, waveform: torch.Tensor) -> torch.Tensor:
        """One waveform [n] float64 → its features [T, D] float64; the waveform is not modified."""


def power_spectrum(waveform: torch.Tensor, n_fft: int, hop: int, window: torch.Tensor) -> torch.Tensor:
    """[n] → power [T, n_fft // 2 + 1] of frames centred on every hop-th sample, with zeros beyond both ends.

    A window shorter than `n_fft` samples is placed in the middle of the frame. T = 1 + n // hop.
    """
    spectrum = torch.stft(
        waveform, n_fft, hop, len(window), window, center=True, pad_mode="constant", return_complex=True
    )
    return (spectrum.real.square() + spectrum.imag.square()).T


def dct_matrix(n: int) -> torch.Tensor:
    """Orthonormal DCT-II as a matrix to multiply from the right; [n, n] float64."""
    k = torch.arange(n, dtype=torch.float64)
    matrix = torch.cos(math.pi / n * (k[:, None] + 0.5) * k[None, :]) * math.sqrt(2 / n)
    matrix[:, 0] /= math.sqrt(2)
    return matrix

"""Linear-frequency cepstral coefficients, as the ASVspoof baselines compute them.

Source: asvspoof-challenge/2021, LFCC-LCNN baseline, and xieyuankun/ADD-W2V2-LCNN-19LA0.6 (SPECS.md §7.1);
numbers: tests/golden/lfcc_reference.npz. `lfcc-pcdarts` is the input of PC-DARTS (Ge et al., Interspeech 2021;
SPECS.md §5.2); window, full band, floor, DCT and deltas are not in that text but in the defaults of
eurecom-asp/pc-darts-anti-spoofing, commit 72fd013, which were read, not run: there are no numbers of it to hold ours
against.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from spoofcache.features.frontends.base import FrontEnd, FrontEndOptions
from spoofcache.features.waveform import SAMPLE_RATE

LOG_FLOOR = torch.finfo(torch.float32).eps  # 1.19e-7, added before every logarithm


@dataclass(frozen=True)
class Variant:
    """One recipe of LFCC; the fields are its whole difference from the others.

    `n_fft`, `hop` and `window` are in samples, `max_frequency` in Hz. `energy` puts the log energy of the kept
    bins in the place of coefficient 0.
    """

    n_fft: int
    max_frequency: float
    energy: bool
    hop: int = 160
    window: int = 320
    n_filters: int = 20
    n_coefficients: int = 20
    pre_emphasis: float = 0.97


VARIANTS: Mapping[str, Variant] = {
    "lfcc": Variant(n_fft=1024, max_frequency=4_000.0, energy=True),  # ASVspoof 2021 LA and DF baselines
    "lfcc-fullband": Variant(n_fft=1024, max_frequency=8_000.0, energy=True),
    "lfcc-air": Variant(n_fft=512, max_frequency=8_000.0, energy=False),  # the one shipped with seed 003
    "lfcc-pcdarts": Variant(
        n_fft=1024, max_frequency=8_000.0, energy=False, hop=256, window=1024, n_filters=70, pre_emphasis=0.0
    ),  # of 64,000 samples, `--length 64000`: 251×60
}


class LFCC(FrontEnd):
    """Waveform [n] → [T, 3·20]: cepstra, deltas and delta-deltas, T = 1 + n // hop.

    404 frames for 64,600 samples, of `lfcc-pcdarts` 253.
    """

    def __init__(self, name: str, options: FrontEndOptions) -> None:
        options.refuse_network_options(name)
        self.slug = name
        self._variant = variant = VARIANTS[name]
        self._device = options.device
        # half the Nyquist frequency keeps int(0.5 · 513) = 256 bins, the whole of it all 513
        share = variant.max_frequency / (SAMPLE_RATE / 2)
        self._n_bins = int(share * (variant.n_fft // 2 + 1))
        self._window = torch.hamming_window(variant.window, periodic=True, device=self._device)
        self._filters = linear_filters(self._n_bins, variant.n_filters).to(self._device)
        self._dct = dct_matrix(variant.n_filters)[:, : variant.n_coefficients].to(self._device)

    def settings(self) -> Mapping[str, Any]:
        return {"name": self.slug, **asdict(self._variant)}

    def extract(self, waveforms: torch.Tensor) -> torch.Tensor:
        power = self._power(waveforms.to(self._device))
        cepstra = torch.log10(power @ self._filters + LOG_FLOOR) @ self._dct
        if self._variant.energy:
            cepstra[..., 0] = torch.log10(power.sum(-1) / self._variant.n_fft + LOG_FLOOR)
        deltas = _difference(cepstra)
        return torch.cat((cepstra, deltas, _difference(deltas)), dim=-1)

    def _power(self, waveforms: torch.Tensor) -> torch.Tensor:
        """[B, n] → power spectrum of the kept bins [B, T, F]."""
        emphasised = waveforms.clone()
        emphasised[:, 1:] -= self._variant.pre_emphasis * waveforms[:, :-1]
        return power_spectrum(emphasised, self._variant.n_fft, self._variant.hop, self._window)[..., : self._n_bins]


def power_spectrum(waveforms: torch.Tensor, n_fft: int, hop: int, window: torch.Tensor) -> torch.Tensor:
    """[B, n] → power [B, T, n_fft // 2 + 1] of frames centred on every hop-th sample, zeros beyond the ends.

    A window shorter than `n_fft` stands in its middle.
    """
    spectrum = torch.stft(
        waveforms, n_fft, hop, len(window), window, center=True, pad_mode="constant", return_complex=True
    )
    return spectrum.abs().square().transpose(1, 2)


def linear_filters(n_bins: int, n_filters: int) -> torch.Tensor:
    """Triangular filters of unit peak, equally spaced over bins 0 … n_bins − 1; [n_bins, n_filters] float32."""
    edges = torch.linspace(0, n_bins - 1, n_filters + 2, dtype=torch.float64)
    bins = torch.arange(n_bins, dtype=torch.float64)[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    return torch.minimum(rising, falling).clamp(min=0).float()


def dct_matrix(n: int) -> torch.Tensor:
    """Orthonormal DCT-II as a matrix to multiply from the right; [n, n] float32."""
    k = torch.arange(n, dtype=torch.float64)
    matrix = torch.cos(math.pi / n * (k[:, None] + 0.5) * k[None, :]) * math.sqrt(2 / n)
    matrix[:, 0] /= math.sqrt(2)
    return matrix.float()


def _difference(x: torch.Tensor) -> torch.Tensor:
    """x[t+1] − x[t−1] along time [B, T, D], edges repeated, without the usual factor ½."""
    following = torch.cat((x[:, 1:], x[:, -1:]), dim=1)
    preceding = torch.cat((x[:, :1], x[:, :-1]), dim=1)
    return following - preceding

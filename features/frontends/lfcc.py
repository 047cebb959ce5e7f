"""Linear-frequency cepstral coefficients (LFCC), as the ASVspoof baselines compute them.

Sources, all of them public repositories:

* `lfcc`, `lfcc-fullband`: the LFCC-LCNN baseline of asvspoof-challenge/2021 (commit 9b33f5e).
* `lfcc-air`: feature_extraction.py of xieyuankun/ADD-W2V2-LCNN-19LA0.6 (commit c5982b2).
* `lfcc-pcdarts`: the input of PC-DARTS (Ge et al., Interspeech 2021). Window, band, floor, cosine transform and deltas
  follow the defaults of eurecom-asp/pc-darts-anti-spoofing (commit 72fd013). That code was read but not run, so there
  are no reference numbers for this variant.

Reference numbers of the others: tests/golden/lfcc_reference.npz.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.features.frontends.spectral import SpectralFrontEnd, dct_matrix, power_spectrum
from spoofcache.features.waveform import SAMPLE_RATE

LOG_FLOOR = torch.finfo(torch.float32).eps
"""1.19e-7, which the baselines add to every power before they take its logarithm."""


@dataclass(frozen=True)
class Variant:
    """One recipe of LFCC. Its fields are everything in which the recipes differ.

    `n_fft`, `hop` and `window` are in samples, `max_frequency` is in Hz. With `energy`, the log energy of the kept
    bins replaces coefficient 0.
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
    "lfcc": Variant(n_fft=1024, max_frequency=4_000.0, energy=True),
    "lfcc-fullband": Variant(n_fft=1024, max_frequency=8_000.0, energy=True),
    "lfcc-air": Variant(n_fft=512, max_frequency=8_000.0, energy=False),
    "lfcc-pcdarts": Variant(
        n_fft=1024, max_frequency=8_000.0, energy=False, hop=256, window=1024, n_filters=70, pre_emphasis=0.0
    ),  # made for 64,000 samples (`--length 64000`), which give 251×60
}


class LFCC(SpectralFrontEnd):
    """Waveform [n] → [T, 3·20]: cepstra, deltas and delta-deltas, T = 1 + n // hop.

    64,600 samples give 404 frames, or 253 with `lfcc-pcdarts`.
    """

    def __init__(self, name: str, options: FrontEndOptions) -> None:
        options.refuse_network_options(name)
        self.slug = name
        self.device = options.device
        self._variant = variant = VARIANTS[name]
        # half the Nyquist frequency keeps int(0.5 · 513) = 256 bins, the whole of it all 513
        share = variant.max_frequency / (SAMPLE_RATE / 2)
        self._n_bins = int(share * (variant.n_fft // 2 + 1))
        self._window = torch.hamming_window(variant.window, periodic=True, dtype=torch.float64, device=self.device)
        self._filters = linear_filters(self._n_bins, variant.n_filters).to(self.device)
        self._dct = dct_matrix(variant.n_filters)[:, : variant.n_coefficients].to(self.device)

    def settings(self) -> Mapping[str, Any]:
        return {"name": self.slug, **asdict(self._variant)}

    def features(self, waveform: torch.Tensor) -> torch.Tensor:
        power = self._power(waveform)
        cepstra = torch.log10(power @ self._filters + LOG_FLOOR) @ self._dct
        if self._variant.energy:
            cepstra[:, 0] = torch.log10(power.sum(-1) / self._variant.n_fft + LOG_FLOOR)
        deltas = _difference(cepstra)
        return torch.cat((cepstra, deltas, _difference(deltas)), dim=-1)

    def _power(self, waveform: torch.Tensor) -> torch.Tensor:
        """[n] → power spectrum of the kept bins [T, F]."""
        emphasised = waveform.clone()
        emphasised[1:] -= self._variant.pre_emphasis * waveform[:-1]
        return power_spectrum(emphasised, self._variant.n_fft, self._variant.hop, self._window)[:, : self._n_bins]


def linear_filters(n_bins: int, n_filters: int) -> torch.Tensor:
    """Triangular filters of unit peak, equally spaced over bins 0 … n_bins − 1; [n_bins, n_filters] float64."""
    edges = torch.linspace(0, n_bins - 1, n_filters + 2, dtype=torch.float64)
    bins = torch.arange(n_bins, dtype=torch.float64)[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    return torch.minimum(rising, falling).clamp(min=0)


def _difference(x: torch.Tensor) -> torch.Tensor:
    """x[t+1] − x[t−1] along time [T, D], the edges repeated, without the usual factor ½."""
    following = torch.cat((x[1:], x[-1:]))
    preceding = torch.cat((x[:1], x[:-1]))
    return following - preceding

"""Log-mel filter bank energies, as SpeechBrain computes them (`Fbank`, without context and mean subtraction).

Source: speechbrain/speechbrain, commit 9c826ef; reference numbers: tests/golden/mfcc_reference.npz.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.features.frontends.spectral import SpectralFrontEnd, power_spectrum
from spoofcache.features.waveform import SAMPLE_RATE


@dataclass(frozen=True)
class MelSettings:
    """Everything that decides the numbers of a log-mel spectrogram.

    `n_fft`, `hop` and `window` are in samples, `max_frequency` is in Hz. `floor` is the smallest power;
    `dynamic_range` is in dB below the maximum of each utterance.
    """

    n_mels: int = 80
    n_fft: int = 400
    hop: int = 160
    window: int = 400
    max_frequency: float = SAMPLE_RATE / 2
    floor: float = 1e-10
    dynamic_range: float = 80.0


SPEECHBRAIN = MelSettings()


class LogMel(SpectralFrontEnd):
    """Waveform [n] → [T, n_mels] in dB, T = 1 + n // hop (404×80 for 64,600 samples)."""

    slug = "logmel"

    def __init__(self, options: FrontEndOptions, mel_settings: MelSettings = SPEECHBRAIN) -> None:
        options.refuse_network_options(self.slug)
        self._mel_settings = mel_settings
        self.device = options.device
        # with a symmetric window, the result would differ by 0.37
        self._window = torch.hamming_window(mel_settings.window, periodic=True, dtype=torch.float64, device=self.device)
        self._filters = mel_filters(mel_settings).to(self.device)

    def settings(self) -> Mapping[str, Any]:
        return {"name": self.slug, **asdict(self._mel_settings)}

    def features(self, waveform: torch.Tensor) -> torch.Tensor:
        m = self._mel_settings
        power = power_spectrum(waveform, m.n_fft, m.hop, self._window) @ self._filters
        decibels = 10 * torch.log10(power.clamp(min=m.floor))
        return decibels.maximum(decibels.max() - m.dynamic_range)


def mel_filters(mel_settings: MelSettings) -> torch.Tensor:
    """Triangular filters of unit peak, their centres equally spaced in mel; [n_fft // 2 + 1, n_mels] float64.

    Mel = 2595·log10(1 + f/700). Each triangle is symmetric in Hz: SpeechBrain uses the distance to the lower neighbour
    on both sides, whereas librosa's own filters reach up to the upper neighbour (3.5 dB apart on noise).
    """
    from librosa import mel_frequencies  # not at the top: the other front-ends do not need it

    points = torch.from_numpy(
        mel_frequencies(mel_settings.n_mels + 2, fmin=0.0, fmax=mel_settings.max_frequency, htk=True)
    )
    centres, half_widths = points[1:-1], points.diff()[:-1]
    frequencies = torch.linspace(0, SAMPLE_RATE / 2, mel_settings.n_fft // 2 + 1, dtype=torch.float64)[:, None]
    return (1 - (frequencies - centres).abs() / half_widths).clamp(min=0)

"""Additive noise at a signal-to-noise ratio: coloured, or from recordings such as MUSAN."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from spoofcache.features.augment.base import Effect, Range, WholeRange
from spoofcache.features.augment.recordings import Recordings
from spoofcache.features.waveform import Waveform, load_waveform

COLORS: Mapping[str, Range] = {
    "white": Range(0, 0),
    "pink": Range(1, 1),
    "brown": Range(2, 2),
    "blue": Range(-1, -1),
    "violet": Range(-2, -2),
    "random": Range(-2, 2),
}
"""Exponent β of a power spectrum that falls as 1/f^β."""


@dataclass(frozen=True)
class Noise(Effect):
    """Adds Gaussian noise at an SNR of `snr` dB. Its colour is white, pink, brown, blue, violet or random."""

    name: ClassVar[str] = "noise"
    color: str = field(default="random", metadata={"choices": COLORS})
    snr: Range = field(default=Range(3, 20), metadata={"within": Range(-20, 60)})

    def apply(self, waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
        noise = colored_noise(len(waveform), COLORS[self.color].draw(rng), rng)
        return waveform + noise * noise_gain(waveform, noise, self.snr.draw(rng))


@dataclass(frozen=True)
class Background(Effect):
    """Adds recordings from a folder, each at its own SNR of `snr` dB. Several recordings of speech make babble noise.

    The usual recipe with MUSAN takes 1 file of `noise` at 0..15 dB, 1 of `music` at 5..15 dB, or 3..8 of `speech` at
    13..20 dB. Its form in xieyuankun/AT-ADD-Baseline (commit 4e0be2d) adds 1e-4 to both powers; this one does not, so
    that silence remains silent. Long recordings are cut at a random place, and short ones are repeated.
    """

    name: ClassVar[str] = "background"
    folder: Recordings
    snr: Range = field(default=Range(0, 15), metadata={"within": Range(-20, 60)})
    files: WholeRange = field(default=WholeRange(1, 1), metadata={"within": Range(1, 32)})

    def apply(self, waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
        noisy = waveform.astype(np.float64)
        for _ in range(self.files.draw(rng)):
            noise = _excerpt(load_waveform(self.folder.draw(rng), at_least=1), len(waveform), rng)
            noisy += noise * noise_gain(waveform, noise, self.snr.draw(rng))
        return noisy


def colored_noise(n: int, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise [n] of zero mean and arbitrary level whose power spectrum falls as 1/f^exponent."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    frequency = np.arange(1, len(spectrum))
    spectrum[0] = 0
    spectrum[1:] *= frequency ** (-exponent / 2)
    return np.fft.irfft(spectrum, n)


def noise_gain(waveform: np.ndarray, noise: np.ndarray, snr: float) -> float:
    """The factor that brings the mean power of noise [n] `snr` dB below that of the waveform [n]; 0 for silence."""
    signal_power, noise_power = (np.mean(np.square(x, dtype=np.float64)) for x in (waveform, noise))
    return float(np.sqrt(signal_power / noise_power / 10 ** (snr / 10))) if noise_power > 0 else 0.0


def _excerpt(recording: Waveform, n: int, rng: np.random.Generator) -> Waveform:
    if len(recording) < n:
        return np.resize(recording, n)
    start = rng.integers(len(recording) - n, endpoint=True)
    return recording[start : start + n]

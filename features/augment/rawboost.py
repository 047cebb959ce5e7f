"""RawBoost: convolutive, impulsive and stationary noise, computed from the waveform alone.

Source: Tak, Kamble, Patino, Todisco, Evans: "RawBoost", ICASSP 2022. The random draws, their order and the default
constants are those of the published code (TakHemlata/SSL_Anti-spoofing, commit 4acaa61). Its numbers are in
tests/golden/rawboost_reference.npz.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from spoofcache.features.augment.base import Effect, Range
from spoofcache.features.waveform import SAMPLE_RATE, Waveform

Generator = np.random.Generator | np.random.RandomState
"""The published numbers come from numpy's legacy generator; the methods that are called here exist in both."""

N_BANDS = 5
CENTRE = Range(20, 8_000)  # Hz
BANDWIDTH = Range(100, 1_000)  # Hz
TAPS = Range(10, 100)
GAIN = Range(0, 0)  # dB, of the linear part
NONLINEAR_GAIN = Range(-5, -20)  # dB; drawn downwards, as published
ORDER = 5  # of the highest power
IMPULSES = Range(0, 10)  # per cent of the samples
IMPULSE_GAIN = 2.0
SNR = Range(10, 40)  # dB


@dataclass(frozen=True)
class RawBoost(Effect):
    """Applies algorithm 1 to 8 of RawBoost.

    Algorithm 1 is convolutive noise, 2 impulsive noise and 3 stationary noise; 4 applies all three in this order, 5
    applies 1 and 2, 6 applies 1 and 3, 7 applies 2 and 3, and 8 adds the results of 1 and 2.

    The powers in algorithm 1 depend on the level, so the waveform must not be normalised first.
    """

    name: ClassVar[str] = "rawboost"
    algorithm: int = field(metadata={"within": Range(1, 8)})

    def apply(self, waveform: Waveform, rng: Generator) -> np.ndarray:
        return ALGORITHMS[self.algorithm](waveform, rng)


def convolutive_noise(waveform: np.ndarray, rng: Generator) -> np.ndarray:
    """Linear and non-linear noise: the sum of the powers 1 to 5 of the waveform [n], each of them notch-filtered."""
    powers = (
        filter_centred(waveform**power, notch_filter(rng, GAIN if power == 1 else NONLINEAR_GAIN))
        for power in range(1, ORDER + 1)
    )
    noisy = sum(powers, start=np.zeros(len(waveform)))
    return limit_peak(noisy - noisy.mean())


def impulsive_noise(waveform: np.ndarray, rng: Generator) -> np.ndarray:
    """Signal-dependent noise: up to 10 % of the samples of the waveform [n] change in proportion to their value."""
    n_impulses = int(len(waveform) * (IMPULSES.draw(rng) / 100))
    at = rng.permutation(len(waveform))[:n_impulses]
    factors = (2 * rng.random(n_impulses) - 1) * (2 * rng.random(n_impulses) - 1)
    noisy = waveform.copy()
    noisy[at] += IMPULSE_GAIN * waveform[at] * factors
    return limit_peak(noisy)


def stationary_noise(waveform: np.ndarray, rng: Generator) -> np.ndarray:
    """Signal-independent noise: notch-filtered white noise, added to the waveform [n] at an SNR of 10 to 40 dB."""
    white = rng.normal(0, 1, len(waveform))
    noise = filter_centred(white, notch_filter(rng, GAIN))
    snr = SNR.draw(rng)
    return waveform + noise * (_norm(waveform) / _norm(noise) / 10 ** (snr / 20))


def notch_filter(rng: Generator, gain: Range) -> np.ndarray:
    """The taps of five random band-stop filters in series, scaled to a maximum response of `gain` dB."""
    from scipy import signal  # imported here, since it is slow to import

    taps = np.ones(1)
    for _ in range(N_BANDS):
        centre, bandwidth, n_taps = CENTRE.draw(rng), BANDWIDTH.draw(rng), int(TAPS.draw(rng))
        edges = np.clip([centre - bandwidth / 2, centre + bandwidth / 2], 0.001, SAMPLE_RATE / 2 - 0.001)
        band_stop = signal.firwin(n_taps | 1, edges, window="hamming", fs=SAMPLE_RATE)
        taps = np.convolve(band_stop, taps)
    _, response = signal.freqz(taps, 1, fs=SAMPLE_RATE)
    return 10 ** (gain.draw(rng) / 20) * taps / np.abs(response).max()


def filter_centred(waveform: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Waveform [n] → filtered waveform [n], advanced by half the length of the filter and, as published, one sample."""
    n_more = len(taps) + 1
    return np.convolve(waveform, taps)[n_more // 2 :][: len(waveform)]


def limit_peak(waveform: np.ndarray) -> np.ndarray:
    """The waveform, scaled to a peak of 1 if its peak is larger."""
    peak = np.abs(waveform).max()
    return waveform / peak if peak > 1 else waveform


def _norm(waveform: np.ndarray) -> float:
    # not np.linalg.norm: its sum depends on the number of BLAS threads
    return float(np.sqrt(np.sum(np.square(waveform, dtype=np.float64))))


ALGORITHMS: Mapping[int, Callable[[np.ndarray, Generator], np.ndarray]] = {
    1: convolutive_noise,
    2: impulsive_noise,
    3: stationary_noise,
    4: lambda x, rng: stationary_noise(impulsive_noise(convolutive_noise(x, rng), rng), rng),
    5: lambda x, rng: impulsive_noise(convolutive_noise(x, rng), rng),
    6: lambda x, rng: stationary_noise(convolutive_noise(x, rng), rng),
    7: lambda x, rng: stationary_noise(impulsive_noise(x, rng), rng),
    8: lambda x, rng: limit_peak(convolutive_noise(x, rng) + impulsive_noise(x, rng)),
}

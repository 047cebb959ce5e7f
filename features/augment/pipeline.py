"""The augmentation of "Towards scalable AASIST" (arXiv 2507.11777).

Source: the public repository KORALLLL/AASIST_SCALING, commit 0103c99, `src/augmentations.py`, which was read but not
run. This version differs where its libraries do: Butterworth filters replace sinc filters, noise is coloured over its
whole length, and MP3 is aligned and cut. The original applies no reverberation, although its README lists it; add views
of `room` or `reverb` for that.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from spoofcache.features.augment.band import BandPass, LowPass, Resample
from spoofcache.features.augment.base import Effect, Range, WholeRange
from spoofcache.features.augment.codecs import Codec
from spoofcache.features.augment.noise import Noise
from spoofcache.features.augment.simple import Gain, Pitch, Shift, normalize_peak
from spoofcache.features.waveform import Waveform

CODING_PROBABILITY = 0.4
OTHER_PROBABILITY = 0.3


@dataclass(frozen=True)
class Telephone(Effect):
    """Quantises to eight bits, keeps a random band of the telephone's 300 to 3400 Hz, and adds noise."""

    name: ClassVar[str] = "telephone"

    def apply(self, waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
        quantised = np.round(waveform * 127) / np.float32(127)
        band = BandPass().apply(quantised, rng)
        return Noise(snr=Range(10, 20)).apply(band, rng)


@dataclass(frozen=True)
class Pipeline(Effect):
    """The whole chain of KORALLLL/AASIST_SCALING, applied with `probability`.

    In 40 % of cases it applies one of MP3, telephone, a low sample rate or noise; then gain, pitch, shift and low-pass,
    each in 30 % of cases; finally it scales the peak to 1. `intensity` divides bit rates and SNRs and multiplies the
    pitch. The original training raises it from 1 to 1.8.
    """

    name: ClassVar[str] = "pipeline"
    intensity: float = field(default=1.0, metadata={"within": Range(0.5, 4)})
    probability: float = field(default=0.5, metadata={"within": Range(0, 1)})

    def apply(self, waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
        if rng.random() >= self.probability:
            return waveform
        chain = [self._coding()[rng.integers(4)]] if rng.random() < CODING_PROBABILITY else []
        chain += [effect for effect in self._others() if rng.random() < OTHER_PROBABILITY]
        for effect in chain:
            waveform = effect.apply(waveform, rng).astype(np.float32)
        return normalize_peak(waveform)

    def _coding(self) -> tuple[Effect, ...]:
        mp3 = WholeRange(*(1_000 * min(160, max(32, int(kbits / self.intensity))) for kbits in (64, 128)))
        rate = WholeRange(*(min(16_000, 8_000 + 50 * max(16, int(kbits / self.intensity))) for kbits in (32, 64)))
        snr = Range(3 / self.intensity, 20 / self.intensity)
        return Codec("mp3", mp3), Telephone(), Resample(rate), Noise(snr=snr)

    def _others(self) -> tuple[Effect, ...]:
        return Gain(), Pitch(Range(-2 * self.intensity, 2 * self.intensity)), Shift(), LowPass()

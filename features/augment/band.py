"""Band limits: Butterworth filters, and resampling to a lower sample rate and back."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import soxr

from spoofcache.features.augment.base import Effect, Range, WholeRange
from spoofcache.features.augment.simple import frozen
from spoofcache.features.waveform import SAMPLE_RATE, Waveform

if TYPE_CHECKING:
    from audiomentations.core.transforms_interface import BaseWaveformTransform

ROLLOFF = 24
"""Roll-off in dB per octave. The filters run forwards and backwards, so that there is no delay, and attenuate by 6 dB
at the cut-off."""


@dataclass(frozen=True)
class LowPass(Effect):
    """Removes frequencies above `cutoff` Hz."""

    name: ClassVar[str] = "lowpass"
    cutoff: Range = field(default=Range(2_000, 7_500), metadata={"within": Range(100, 7_900)})

    def apply(self, waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
        from audiomentations import LowPassFilter

        return _filter(LowPassFilter(zero_phase=True, p=1.0), waveform, cutoff_freq=_draw_hertz(self.cutoff, rng))


@dataclass(frozen=True)
class HighPass(Effect):
    """Removes frequencies below `cutoff` Hz."""

    name: ClassVar[str] = "highpass"
    cutoff: Range = field(default=Range(100, 500), metadata={"within": Range(20, 7_900)})

    def apply(self, waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
        from audiomentations import HighPassFilter

        return _filter(HighPassFilter(zero_phase=True, p=1.0), waveform, cutoff_freq=_draw_hertz(self.cutoff, rng))


@dataclass(frozen=True)
class BandPass(Effect):
    """Keeps a band around `center` Hz, whose width is `bandwidth` times `center`."""

    name: ClassVar[str] = "bandpass"
    center: Range = field(default=Range(300, 3_400), metadata={"within": Range(100, 7_900)})
    bandwidth: Range = field(default=Range(0.5, 1.99), metadata={"within": Range(0.1, 1.99)})

    def apply(self, waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
        from audiomentations import BandPassFilter

        center = _draw_hertz(self.center, rng)
        bandwidth = center * self.bandwidth.draw(rng)
        return _filter(BandPassFilter(zero_phase=True, p=1.0), waveform, center_freq=center, bandwidth=bandwidth)


@dataclass(frozen=True)
class Resample(Effect):
    """Resamples to `rate` Hz and back to 16 kHz."""

    name: ClassVar[str] = "resample"
    rate: WholeRange = field(default=WholeRange(8_000, 14_000), metadata={"within": Range(1_000, 16_000)})

    def apply(self, waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
        rate = self.rate.draw(rng)
        padded = np.pad(
            waveform, (0, SAMPLE_RATE // rate + 1)
        )  # otherwise rounding could make the result a sample too short
        return soxr.resample(soxr.resample(padded, SAMPLE_RATE, rate), rate, SAMPLE_RATE)[: len(waveform)]


def _filter(transform: "BaseWaveformTransform", waveform: Waveform, **parameters: float) -> np.ndarray:
    return frozen(transform, waveform, rolloff=ROLLOFF, **parameters)


def _draw_hertz(frequency: Range, rng: np.random.Generator) -> float:
    """A frequency in Hz, drawn uniformly on the mel scale, as in audiomentations."""
    from audiomentations.core.utils import convert_frequency_to_mel, convert_mel_to_frequency

    mel = Range(convert_frequency_to_mel(frequency.low), convert_frequency_to_mel(frequency.high))
    return float(convert_mel_to_frequency(mel.draw(rng)))

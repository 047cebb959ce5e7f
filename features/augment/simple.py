"""Changes of level, pitch and position in time."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from spoofcache.features.augment.base import Effect, Range
from spoofcache.features.waveform import SAMPLE_RATE, Waveform

if TYPE_CHECKING:
    from audiomentations.core.transforms_interface import BaseWaveformTransform


@dataclass(frozen=True)
class Gain(Effect):
    """Changes the level by `decibels`. The result may exceed full scale."""

    name: ClassVar[str] = "gain"
    decibels: Range = field(default=Range(-6, 6), metadata={"within": Range(-60, 40)})

    def apply(self, waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
        return waveform * 10 ** (self.decibels.draw(rng) / 20)


@dataclass(frozen=True)
class Pitch(Effect):
    """Changes the pitch by `semitones` at the same tempo, with Signalsmith Stretch."""

    name: ClassVar[str] = "pitch"
    semitones: Range = field(default=Range(-2, 2), metadata={"within": Range(-24, 24)})

    def apply(self, waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
        from audiomentations import PitchShift

        return frozen(PitchShift(p=1.0), waveform, num_semitones=self.semitones.draw(rng))


@dataclass(frozen=True)
class Shift(Effect):
    """Shifts the waveform by `fraction` of its length, with wrap-around and a fade of 5 ms at the seam."""

    name: ClassVar[str] = "shift"
    fraction: Range = field(default=Range(-0.1, 0.1), metadata={"within": Range(-0.5, 0.5)})

    def apply(self, waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
        from audiomentations import Shift as Roll

        return frozen(Roll(p=1.0), waveform, shift_amount=self.fraction.draw(rng))


def frozen(transform: "BaseWaveformTransform", waveform: Waveform, **parameters: float) -> np.ndarray:
    """Apply a transform of audiomentations with the given parameters instead of random ones.

    A transform draws from the global generators of `random` and numpy, which other threads use; a frozen one does not.
    audiomentations is imported only where it is used, since importing it with librosa takes a second.
    """
    transform.parameters = {"should_apply": True, **parameters}
    transform.freeze_parameters()
    return transform(waveform, SAMPLE_RATE)


def normalize_peak(waveform: np.ndarray) -> np.ndarray:
    """The waveform, scaled to a peak of 1; silence remains silent."""
    peak = np.abs(waveform).max()
    return waveform / peak if peak > 0 else waveform

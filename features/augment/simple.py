"""Level, pitch and place in time."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from spoofcache.features.augment.base import Effect, Range
from spoofcache.features.waveform import SAMPLE_RATE, Waveform

if TYPE_CHECKING:
    from audiomentations.core.transforms_interface import BaseWaveformTransform


@dataclass(frozen=True)
class Gain(Effect):
    """Louder or softer by `decibels`; may exceed full scale."""

    name: ClassVar[str] = "gain"
    decibels: Range = field(default=Range(-6, 6), metadata={"within": Range(-60, 40)})

    def apply(self, waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
        return waveform * 10 ** (self.decibels.draw(rng) / 20)


@dataclass(frozen=True)
class Pitch(Effect):
    """Higher or lower by `semitones` at the same tempo, by Signalsmith's stretch."""

    name: ClassVar[str] = "pitch"
    semitones: Range = field(default=Range(-2, 2), metadata={"within": Range(-24, 24)})

    def apply(self, waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
        from audiomentations import PitchShift

        return frozen(PitchShift(p=1.0), waveform, num_semitones=self.semitones.draw(rng))


@dataclass(frozen=True)
class Shift(Effect):
    """Moved by `fraction` of the length; what leaves at one end comes in at the other, 5 ms faded at the seam."""

    name: ClassVar[str] = "shift"
    fraction: Range = field(default=Range(-0.1, 0.1), metadata={"within": Range(-0.5, 0.5)})

    def apply(self, waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
        from audiomentations import Shift as Roll

        return frozen(Roll(p=1.0), waveform, shift_amount=self.fraction.draw(rng))


def frozen(transform: "BaseWaveformTransform", waveform: Waveform, **parameters: float) -> np.ndarray:
    """audiomentations' transform with these parameters, in the place of those that it would draw.

    It draws from the global generators of `random` and numpy, which other threads use; frozen, it draws nothing.
    It is imported where it is used: with librosa it takes a second, which nothing but these effects should wait for.
    """
    transform.parameters = {"should_apply": True, **parameters}
    transform.freeze_parameters()
    return transform(waveform, SAMPLE_RATE)


def normalize_peak(waveform: np.ndarray) -> np.ndarray:
    """Scaled to a peak of 1; silence stays silent."""
    peak = np.abs(waveform).max()
    return waveform / peak if peak > 0 else waveform

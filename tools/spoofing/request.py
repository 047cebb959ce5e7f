"""What a generator is asked for: an utterance to fake, and the voice to fake it in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyworld

from spoofcache.features.waveform import SAMPLE_RATE, Waveform
from spoofcache.tools.spoofing.spectrum import Channel, FloatArray, measure_channel


@dataclass(frozen=True, eq=False)
class Voice:
    """What a generator knows of the speaker that it imitates."""

    speaker: str
    f0: float
    """Median fundamental frequency of the voiced frames, Hz."""
    channel: Channel
    """Colour and background noise of the speaker's recordings."""


@dataclass(frozen=True, eq=False)
class Request:
    """One spoof to make.

    A vocoder rebuilds `source`, a voice conversion carries it over to `target`, and text-to-speech takes nothing
    from it but its length, so that the length tells nothing.
    """

    source: Waveform
    """Waveform [n] at 16 kHz."""
    target: Voice
    rng: np.random.Generator


Generator = Callable[[Request], Waveform]
"""Request → spoof [m] at 16 kHz, float32; m is about n, any level (what follows sets it)."""


def pitch_track(waveform: Waveform) -> tuple[FloatArray, FloatArray]:
    """F0 in Hz (0 where unvoiced) and time in seconds, [T] each, one frame every 5 ms (WORLD's DIO)."""
    return pyworld.dio(waveform.astype(np.float64), SAMPLE_RATE)


def median_f0(*waveforms: Waveform) -> float:
    """Median pitch in Hz of the voiced frames of all waveforms ([n] each).

    Raises:
        ValueError: no frame is voiced.
    """
    f0 = np.concatenate([pitch_track(waveform)[0] for waveform in waveforms])
    if not f0.any():
        raise ValueError("no voiced frame; expected speech")
    return float(np.median(f0[f0 > 0]))


def voice_of(speaker: str, waveforms: Sequence[Waveform]) -> Voice:
    """Measure a speaker in some recordings ([n] each)."""
    speech, background = zip(*(measure_channel(waveform) for waveform in waveforms), strict=True)
    quiet = np.quantile(background, 0.25, axis=0)  # some recordings have no pause to measure the background in
    return Voice(speaker, median_f0(*waveforms), Channel(np.mean(speech, axis=0), quiet))

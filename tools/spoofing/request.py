"""The input of a generator: a source utterance and the voice to imitate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyworld

from spoofcache.features.waveform import SAMPLE_RATE, Waveform
from spoofcache.tools.spoofing.spectrum import Channel, FloatArray, measure_channel


@dataclass(frozen=True, eq=False)
class Voice:
    """What a generator knows about the speaker whom it imitates."""

    speaker: str
    f0: float
    """Median fundamental frequency of the voiced frames, in Hz."""
    channel: Channel
    """Average spectrum and background noise of the speaker's recordings."""


@dataclass(frozen=True, eq=False)
class Request:
    """A spoof to make.

    A vocoder resynthesises `source`, and voice conversion converts it to the voice of `target`. Text-to-speech uses
    only the length of `source`, so that the length of an utterance does not reveal its class.
    """

    source: Waveform
    """Waveform [n] at 16 kHz."""
    target: Voice
    rng: np.random.Generator


Generator = Callable[[Request], Waveform]
"""Request → spoof [m] in float32 at 16 kHz. m is about n; the level is arbitrary, because a later step sets it."""


def pitch_track(waveform: Waveform) -> tuple[FloatArray, FloatArray]:
    """F0 in Hz (0 if unvoiced) and time in seconds, [T] each, of frames every 5 ms, by the DIO method of WORLD."""
    return pyworld.dio(waveform.astype(np.float64), SAMPLE_RATE)


def median_f0(*waveforms: Waveform) -> float:
    """Median pitch in Hz of the voiced frames of all waveforms [n].

    Raises:
        ValueError: no frame is voiced.
    """
    f0 = np.concatenate([pitch_track(waveform)[0] for waveform in waveforms])
    if not f0.any():
        raise ValueError("no voiced frame; expected speech")
    return float(np.median(f0[f0 > 0]))


def voice_of(speaker: str, waveforms: Sequence[Waveform]) -> Voice:
    """Measure the voice of a speaker on recordings [n]."""
    speech, background = zip(*(measure_channel(waveform) for waveform in waveforms), strict=True)
    quiet = np.quantile(
        background, 0.25, axis=0
    )  # some recordings have no pause in which the background can be measured
    return Voice(speaker, median_f0(*waveforms), Channel(np.mean(speech, axis=0), quiet))

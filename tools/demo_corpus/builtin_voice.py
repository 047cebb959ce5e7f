"""A few artificial speakers, for a demonstration on machines where no recorded speech is available.

Each is a source-filter voice that babbles syllables: pulses or noise pass through formant resonators. The voices make
it possible to run every step; nothing measured on them says anything about human speech.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from spoofcache.features.waveform import SAMPLE_RATE, Waveform
from spoofcache.tools.spoofing.spectrum import FloatArray, excitation_of, filter_in_time

HOP = 80
"""Samples between frames: 5 ms."""
N_FFT = 512
BANDWIDTHS = np.array([70.0, 90.0, 140.0, 200.0, 280.0])
HIGHER_FORMANTS = (3500.0, 4500.0)
SMOOTHING = 9
"""Number of frames in which one sound changes into the next: 45 ms."""


@dataclass(frozen=True)
class Speaker:
    """The properties in which artificial speakers differ."""

    f0: float
    """Median pitch in Hz."""
    tract: float
    """Formant frequencies relative to those of an adult man."""
    breath: float
    """Amplitude of the noise in voiced sounds, relative to the pulses."""
    tilt: float
    """Slope of the glottal spectrum: the exponent of 1/f above 300 Hz."""
    pace: float
    """Duration of a vowel in seconds."""


SPEAKERS: Mapping[str, Speaker] = {
    "builtin-1": Speaker(f0=105, tract=1.00, breath=0.06, tilt=1.0, pace=0.15),
    "builtin-2": Speaker(f0=205, tract=1.17, breath=0.12, tilt=1.2, pace=0.13),
    "builtin-3": Speaker(f0=140, tract=0.93, breath=0.04, tilt=0.8, pace=0.18),
    "builtin-4": Speaker(f0=240, tract=1.10, breath=0.20, tilt=1.4, pace=0.12),
}


@dataclass(frozen=True)
class Sound:
    """One sound: its first three formants (Hz), its length and loudness, and whether it is voiced."""

    formants: tuple[float, float, float]
    length: float = 1.0
    """Relative to the speaker's pace."""
    loudness: float = 1.0
    voiced: bool = True


VOWELS: Sequence[Sound] = [
    Sound(formants)
    for formants in (
        (270.0, 2290.0, 3010.0),
        (390.0, 1990.0, 2550.0),
        (530.0, 1840.0, 2480.0),
        (660.0, 1720.0, 2410.0),
        (730.0, 1090.0, 2440.0),
        (570.0, 840.0, 2410.0),
        (440.0, 1020.0, 2240.0),
        (300.0, 870.0, 2240.0),
        (640.0, 1190.0, 2390.0),
        (490.0, 1350.0, 1690.0),
    )
]
"""Average formants of the vowels of men (Peterson & Barney, JASA 24(2), 1952, Table II)."""
CONSONANTS: Sequence[Sound] = [
    Sound((300.0, 1200.0, 2300.0), 0.5, 0.3),  # m
    Sound((300.0, 1700.0, 2600.0), 0.5, 0.3),  # n
    Sound((360.0, 1100.0, 2600.0), 0.5, 0.6),  # l
    Sound((300.0, 4200.0, 6000.0), 0.7, 0.15, voiced=False),  # s
    Sound((300.0, 2400.0, 3800.0), 0.7, 0.2, voiced=False),  # sh
    Sound((300.0, 1500.0, 5000.0), 0.3, 0.1, voiced=False),  # t: its burst
]
CLOSURE = Sound((300.0, 1500.0, 2500.0), 0.4, 0.003)
PAUSE = Sound((500.0, 1500.0, 2500.0), 1.5, 0.002, voiced=False)


def say(speaker: Speaker, seconds: float, rng: np.random.Generator) -> Waveform:
    """Babble for about `seconds`: [n] at 16 kHz, peak 0.5."""
    sounds = _babble(speaker, seconds, rng)
    lengths = [max(round(s.length * speaker.pace * rng.uniform(0.8, 1.25) * SAMPLE_RATE / HOP), 2) for s in sounds]
    formants = _smooth(np.repeat([s.formants for s in sounds], lengths, axis=0))
    loudness = _smooth(np.repeat([[s.loudness] for s in sounds], lengths, axis=0))
    voiced = np.repeat([s.voiced for s in sounds], HOP * np.array(lengths))
    n_samples = HOP * sum(lengths)
    f0 = np.where(voiced, _intonation(speaker, n_samples, rng), 0.0)
    excitation = excitation_of(f0, rng) + speaker.breath * rng.standard_normal(n_samples)
    waveform = filter_in_time(excitation, _responses(speaker, formants) * loudness, HOP)
    waveform += 0.002 * waveform.std() * rng.standard_normal(n_samples)  # the noise of a quiet room
    return (0.5 * waveform / np.abs(waveform).max()).astype(np.float32)


def _babble(speaker: Speaker, seconds: float, rng: np.random.Generator) -> list[Sound]:
    sounds: list[Sound] = []
    while sum(sound.length for sound in sounds) * speaker.pace < seconds:
        consonant = CONSONANTS[int(rng.integers(len(CONSONANTS)))]
        sounds += [CLOSURE] * (rng.random() < 0.3) + [consonant, VOWELS[int(rng.integers(len(VOWELS)))]]
        sounds += [PAUSE] * (rng.random() < 0.08)
    return sounds


def _intonation(speaker: Speaker, n_samples: int, rng: np.random.Generator) -> FloatArray:
    """Pitch in Hz of every sample [n_samples]: random accents on a falling line."""
    points = max(n_samples // (SAMPLE_RATE // 4), 2)
    octaves = np.linspace(0.15, -0.2, points) + rng.normal(0, 0.15, points)
    return speaker.f0 * 2 ** np.interp(np.linspace(0, points - 1, n_samples), np.arange(points), octaves)


def _responses(speaker: Speaker, formants: FloatArray) -> NDArray[np.complex128]:
    """Frequency responses [T, 257] of the vocal tract for the first three formants [T, 3]; each has unit power."""
    higher = np.broadcast_to(HIGHER_FORMANTS, (len(formants), 2))
    poles = np.concatenate((formants, higher), axis=1) * speaker.tract
    radius = np.exp(-np.pi * BANDWIDTHS / SAMPLE_RATE)
    middle = -2 * radius * np.cos(2 * np.pi * np.minimum(poles, 7800) / SAMPLE_RATE)
    denominator = np.zeros((len(poles), 2 * poles.shape[1] + 1))  # product of the resonators 1 + middle/z + radius²/z²
    denominator[:, 0] = 1
    for k in range(poles.shape[1]):
        denominator[:, 2:] += middle[:, k, None] * denominator[:, 1:-1] + radius[k] ** 2 * denominator[:, :-2]
        denominator[:, 1] += middle[:, k]
    frequency = np.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1)
    glottis = (1 + (frequency / 300) ** 2) ** (-speaker.tilt / 2)
    lips = frequency / (frequency + 100)  # the lips radiate nothing at 0 Hz
    response = glottis * lips / np.fft.rfft(denominator, N_FFT)
    return response / np.sqrt(np.mean(np.abs(response) ** 2, axis=1, keepdims=True))


def _smooth(track: FloatArray) -> FloatArray:
    """Moving average over time of each column of [T, C]."""
    padded = np.pad(track, ((SMOOTHING // 2, SMOOTHING // 2), (0, 0)), mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, SMOOTHING, axis=0).mean(axis=-1)


def write_speaker(folder: Path, name: str, n_recordings: int) -> None:
    """Write recordings of one of SPEAKERS, 2 to 5 s each, as `<name>/<number>.flac`."""
    (folder / name).mkdir(parents=True)
    for number in range(n_recordings):
        rng = np.random.default_rng((list(SPEAKERS).index(name), number))
        waveform = say(SPEAKERS[name], rng.uniform(2.0, 5.0), rng)
        soundfile.write(folder / name / f"{number:04d}.flac", waveform, SAMPLE_RATE)

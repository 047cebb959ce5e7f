"""Audio file → waveform of a fixed length.

The audio libraries are imported only when a file is read, since many callers need only the length of a waveform.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spoofcache.common.arguments import ArgumentError, checked
from spoofcache.features.audio.read import read_audio
from spoofcache.features.audio.result import LARGEST_SAMPLE, SAMPLE_RATE, AudioError, Waveform, Wish

__all__ = [
    "FIT_RULES",
    "MAX_SAMPLES",
    "MIN_SAMPLES",
    "N_SAMPLES",
    "SAMPLE_RATE",
    "AudioError",
    "Recording",
    "Waveform",
    "fit_length",
    "load_recording",
    "load_waveform",
]

N_SAMPLES = 64_600
"""Default length in samples: 4.0375 s, which wav2vec 2.0 turns into 201 frames."""

MIN_SAMPLES = 400
"""The receptive field of one wav2vec 2.0 frame (25 ms); a shorter waveform gives no feature."""

NORMALIZATIONS = ("zero-mean-unit-variance", "none")
"""Normalisations of waveforms for a speech model."""

MAX_SAMPLES = 10 * 60 * SAMPLE_RATE
"""Ten minutes: the longest row that a user may choose."""

RESAMPLING_SECONDS = 1.0
"""Duration of following audio that may influence a resampled sample; 0.1 s was enough at every rate that was tried."""


class Recording(NamedTuple):
    """A waveform, and what the decoder found out about the file.

    Attributes:
        waveform: [n] at 16 kHz, mono, full scale ±1.
        is_whole: whether the waveform is the whole file rather than its beginning.
        sample_rate: the file's own, in Hz.
        channels: how many the file has.
        format: the container and the coding, for example `FLAC PCM_16`.
        notes: harmless faults of the file, one sentence each.
    """

    waveform: Waveform
    is_whole: bool
    sample_rate: int
    channels: int
    format: str
    notes: tuple[str, ...]


@checked
def load_waveform(
    path: Path | str, channel: int | None = None, at_least: int = MIN_SAMPLES, at_most: int | None = None
) -> Waveform:
    """Read one audio file as mono at 16 kHz; see `load_recording` for the arguments and errors."""
    return load_recording(Path(path), channel, at_least, at_most).waveform


def load_recording(
    path: Path, channel: int | None = None, at_least: int = MIN_SAMPLES, at_most: int | None = None
) -> Recording:
    """Read one audio file as mono at 16 kHz; other rates are resampled with soxr.

    Args:
        path: the file.
        channel: index of the channel to take; None for the mean of all channels.
        at_least: samples at 16 kHz; a shorter file is refused.
        at_most: samples at 16 kHz; a longer file is cut there, and is not decoded much further than a minute or than
            that. The samples are the same as those of the whole file.

    Raises:
        AudioError: the file is missing, no audio, damaged or cut off; it has NaN, infinite or absurdly large samples,
            or fewer than `at_least`.
        ArgumentError: a negative number of samples or channel.
        WorkerError: decoding itself cannot run.
    """
    for name, value in {"channel": channel, "at_least": at_least, "at_most": at_most}.items():
        if value is not None and value < 0:
            raise ArgumentError(f"load_recording with {name} {value}; expected at least 0")
    seconds = None if at_most is None else at_most / SAMPLE_RATE + RESAMPLING_SECONDS
    decoded = read_audio(path, Wish(channel, seconds))
    waveform = _resample(decoded.samples, decoded.rate, seconds)
    _check(path, waveform, at_least)
    is_whole = decoded.is_whole and (at_most is None or len(waveform) <= at_most)
    return Recording(waveform[:at_most], is_whole, decoded.rate, decoded.channels, decoded.format, decoded.notes)


def _resample(samples: Waveform, rate: int, seconds: float | None) -> Waveform:
    """At 16 kHz, as much as that many seconds need."""
    if rate == SAMPLE_RATE:
        return samples
    import soxr

    needed = samples if seconds is None else samples[: int(seconds * rate)]
    resampled: Waveform = soxr.resample(needed, rate, SAMPLE_RATE)
    return resampled


def _check(path: Path, waveform: Waveform, at_least: int) -> None:
    """Raise AudioError if samples are invalid (NaN, infinite or far too large) or too few."""
    largest = max(float(waveform.max(initial=0)), -float(waveform.min(initial=0)))
    if not np.isfinite(largest):
        raise AudioError(f"{path}: NaN or infinite samples; expected finite ones")
    if largest > LARGEST_SAMPLE:
        raise AudioError(f"{path}: samples as large as {largest:.3g}; expected a full scale of ±1")
    if len(waveform) < at_least:
        frame = ", one frame of 25 ms" if at_least == MIN_SAMPLES else ""
        raise AudioError(f"{path}: {len(waveform)} samples at 16 kHz; expected at least {at_least}{frame}")


def fit_length(waveform: Waveform, n_samples: int = N_SAMPLES, how: str = "repeat") -> Waveform:
    """Cut or fill a waveform [n] to [n_samples].

    Args:
        waveform: [n], n ≥ 1.
        n_samples: the length wanted.
        how: what fills a waveform that is too short, one of FIT_RULES. A longer one keeps its beginning.

    >>> fit_length(np.array([1, 2, 3], np.float32), 5).tolist()
    [1.0, 2.0, 3.0, 1.0, 2.0]
    """
    if len(waveform) >= n_samples:
        return waveform[:n_samples]
    return FIT_RULES[how](waveform, n_samples)


FIT_RULES: Mapping[str, Callable[[Waveform, int], Waveform]] = {
    "repeat": lambda waveform, n: np.resize(waveform, n),  # tiles the whole waveform, then cuts
    "zero": lambda waveform, n: np.pad(waveform, (0, n - len(waveform))),
}

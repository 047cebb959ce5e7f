"""What a file of a data set sounds like, in a few numbers: by them a survey compares the classes."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spoofcache.common import cli
from spoofcache.features.waveform import SAMPLE_RATE, AudioError, Waveform, load_recording
from spoofcache.tools.demo_corpus.parallel import Mapper

FRAME, SILENCE_DB = 320, 30.0
"""A frame of 20 ms this far below the loudest of its file is silence."""
SILENT_PEAK = 1e-3
"""A file whose largest sample stays below −60 dB of full scale is silent."""
FULL_SCALE, CLIPPED_SAMPLES = 0.9999, 3
"""A file with this many samples at full scale is clipped; one that was normalised to its peak has one or two."""
FILES_AT_A_TIME = 32
SMALLEST = 1e-10
"""Levels are told down to −200 dB."""


class Heard(NamedTuple):
    """What one file has, decoded as `features.waveform.load_waveform` does: mono at 16 kHz."""

    format: str
    """Of the file: container and coding, `FLAC PCM_16`."""
    sample_rate: int
    """Of the file, in Hz."""
    channels: int
    """Of the file."""
    seconds: float
    leading: float
    """Seconds before the first frame that is not silence."""
    trailing: float
    """Seconds after the last."""
    silence: float
    """Share of the file, in percent, that is silence; pauses count."""
    loudness: float
    """Root mean square, in dB of full scale."""
    peak: float
    """Largest sample, in dB of full scale."""
    clipped: bool
    silent: bool
    digest: str
    """Of the samples: files that sound the same have the same."""


class Missing(str):
    """Why a file could not be heard: it is not there."""


class Unreadable(str):
    """Why a file could not be heard, though it is there."""


Hearing = Heard | Missing | Unreadable


class Quantity(NamedTuple):
    """A number by which the classes may differ."""

    unit: str
    of: Callable[[Heard], float]


QUANTITIES: Mapping[str, Quantity] = {
    "duration": Quantity("s", lambda heard: heard.seconds),
    "leading silence": Quantity("s", lambda heard: heard.leading),
    "trailing silence": Quantity("s", lambda heard: heard.trailing),
    "share of silence": Quantity("%", lambda heard: heard.silence),
    "loudness": Quantity("dB", lambda heard: heard.loudness),
    "peak": Quantity("dB", lambda heard: heard.peak),
}
KINDS: Mapping[str, Callable[[Heard], str]] = {
    "sample rate": lambda heard: f"{heard.sample_rate / 1000:g} kHz",
    "format": lambda heard: heard.format,
    "channels": lambda heard: str(heard.channels),
}
"""What is told of a file by a name rather than a number."""


def hear_all(paths: Sequence[Path | None], mapping: Mapper = map) -> list[Hearing]:
    """What each file sounds like, in the order of the paths, with progress on standard error.

    Args:
        paths: None where a list names a file that is not there.
        mapping: `map`, or one that spreads its work over processes.
    """
    batches = [paths[start : start + FILES_AT_A_TIME] for start in range(0, len(paths), FILES_AT_A_TIME)]
    hearings: list[Hearing] = []
    with cli.progress("Listening", len(paths)) as advance:
        for batch in mapping(_hear_batch, batches):
            hearings += batch
            advance(len(batch))
    return hearings


def _hear_batch(paths: Sequence[Path | None]) -> list[Hearing]:
    return [hear(path) for path in paths]


def hear(path: Path | None) -> Hearing:
    """What one file sounds like, or why it cannot be heard."""
    if path is None or not path.is_file():
        return Missing("no such file")
    try:
        recording = load_recording(path)
    except (AudioError, OSError) as error:
        return Unreadable(str(error).removeprefix(f"{path}: "))
    return _measure(recording.waveform, recording.format, recording.sample_rate, recording.channels)


def _measure(waveform: Waveform, file_format: str, sample_rate: int, channels: int) -> Heard:
    magnitude = np.abs(waveform)
    peak, rms = float(magnitude.max()), float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))
    silent = peak < SILENT_PEAK
    audible = _audible(waveform) & (not silent)
    return Heard(
        format=file_format,
        sample_rate=sample_rate,
        channels=channels,
        seconds=len(waveform) / SAMPLE_RATE,
        leading=_frames_before(audible) * FRAME / SAMPLE_RATE,
        trailing=_frames_before(audible[::-1]) * FRAME / SAMPLE_RATE,
        silence=100 * float(1 - audible.mean()),
        loudness=_decibels(rms),
        peak=_decibels(peak),
        clipped=bool(np.count_nonzero(magnitude >= FULL_SCALE) >= CLIPPED_SAMPLES),
        silent=silent,
        digest=hashlib.sha256(waveform.tobytes()).hexdigest(),
    )


def _audible(waveform: Waveform) -> NDArray[np.bool_]:
    """Whether each whole frame of a waveform [n] is no silence: [n // FRAME]."""
    frames = waveform[: len(waveform) // FRAME * FRAME].reshape(-1, FRAME)
    energy = np.sum(np.square(frames, dtype=np.float64), axis=1)
    return energy >= energy.max() * 10 ** (-SILENCE_DB / 10)


def _frames_before(audible: NDArray[np.bool_]) -> int:
    return int(np.argmax(audible)) if audible.any() else len(audible)


def _decibels(amplitude: float) -> float:
    return 20 * float(np.log10(max(amplitude, SMALLEST)))

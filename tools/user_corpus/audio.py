"""Measure the properties of audio files by which a survey compares the classes."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spoofcache.common import cli
from spoofcache.features.audio.levels import is_clipped, is_silent
from spoofcache.features.waveform import SAMPLE_RATE, AudioError, Waveform, load_recording
from spoofcache.tools.demo_corpus.parallel import Mapper

FRAME, SILENCE_DB = 320, 30.0
"""Samples in a frame (20 ms), and the level in dB below the loudest frame of a file from which a frame is silence."""
FILES_AT_A_TIME = 32
SMALLEST = 1e-10
"""Smallest amplitude that is converted to dB: levels end at −200 dB."""


class AudioProperties(NamedTuple):
    """The properties of one audio file, decoded as `features.waveform.load_waveform` does: mono at 16 kHz."""

    format: str
    """Container and coding of the file, such as `FLAC PCM_16`."""
    sample_rate: int
    """Sample rate of the file before resampling, in Hz."""
    channels: int
    """Number of channels of the file before they are mixed."""
    seconds: float
    leading: float
    """Silence at the beginning, in seconds."""
    trailing: float
    """Silence at the end, in seconds."""
    silence: float
    """Percentage of the frames that are silence, pauses within the speech included."""
    loudness: float
    """Root mean square, in dB of full scale."""
    peak: float
    """Largest absolute sample, in dB of full scale."""
    clipped: bool
    silent: bool
    digest: str
    """SHA-256 of the decoded samples; files with the same samples share it."""


class Missing(str):
    """Why a file could not be analysed: it does not exist."""


class Unreadable(str):
    """Why a file that exists could not be analysed."""


Analysis = AudioProperties | Missing | Unreadable


class Quantity(NamedTuple):
    """A number in which the classes may differ: its unit, and where it is found."""

    unit: str
    of: Callable[[AudioProperties], float]


QUANTITIES: Mapping[str, Quantity] = {
    "duration": Quantity("s", lambda file: file.seconds),
    "leading silence": Quantity("s", lambda file: file.leading),
    "trailing silence": Quantity("s", lambda file: file.trailing),
    "share of silence": Quantity("%", lambda file: file.silence),
    "loudness": Quantity("dB", lambda file: file.loudness),
    "peak": Quantity("dB", lambda file: file.peak),
}
KINDS: Mapping[str, Callable[[AudioProperties], str]] = {
    "sample rate": lambda file: f"{file.sample_rate / 1000:g} kHz",
    "format": lambda file: file.format,
    "channels": lambda file: str(file.channels),
}
"""Properties of a file that are names rather than numbers."""


def analyze_files(paths: Sequence[Path | None], mapping: Mapper = map) -> list[Analysis]:
    """Analyse files, in the order of the paths, and show the progress on standard error.

    Args:
        paths: the audio files; None for a file that a list names but that does not exist.
        mapping: `map`, or a function like it that spreads the work over processes.
    """
    batches = [paths[start : start + FILES_AT_A_TIME] for start in range(0, len(paths), FILES_AT_A_TIME)]
    analyses: list[Analysis] = []
    with cli.progress("Reading audio", len(paths)) as advance:
        for batch in mapping(_analyze_batch, batches):
            analyses += batch
            advance(len(batch))
    return analyses


def _analyze_batch(paths: Sequence[Path | None]) -> list[Analysis]:
    return [analyze_file(path) for path in paths]


def analyze_file(path: Path | None) -> Analysis:
    """The properties of one file, or the reason why it cannot be analysed."""
    if path is None or not path.is_file():
        return Missing("no such file")
    try:
        recording = load_recording(path)
    except (AudioError, OSError) as error:
        return Unreadable(str(error).removeprefix(f"{path}: "))
    return _measure(recording.waveform, recording.format, recording.sample_rate, recording.channels)


def _measure(waveform: Waveform, file_format: str, sample_rate: int, channels: int) -> AudioProperties:
    magnitude = np.abs(waveform)
    peak, rms = float(magnitude.max()), float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))
    silent = is_silent(waveform)
    audible = _audible(waveform) & (not silent)
    return AudioProperties(
        format=file_format,
        sample_rate=sample_rate,
        channels=channels,
        seconds=len(waveform) / SAMPLE_RATE,
        leading=_frames_before(audible) * FRAME / SAMPLE_RATE,
        trailing=_frames_before(audible[::-1]) * FRAME / SAMPLE_RATE,
        silence=100 * float(1 - audible.mean()),
        loudness=_decibels(rms),
        peak=_decibels(peak),
        clipped=is_clipped(waveform),
        silent=silent,
        digest=hashlib.sha256(waveform.tobytes()).hexdigest(),
    )


def _audible(waveform: Waveform) -> NDArray[np.bool_]:
    """Whether each whole frame of a waveform [n] is louder than silence: [n // FRAME]."""
    frames = waveform[: len(waveform) // FRAME * FRAME].reshape(-1, FRAME)
    energy = np.sum(np.square(frames, dtype=np.float64), axis=1)
    return energy >= energy.max() * 10 ** (-SILENCE_DB / 10)


def _frames_before(audible: NDArray[np.bool_]) -> int:
    return int(np.argmax(audible)) if audible.any() else len(audible)


def _decibels(amplitude: float) -> float:
    return 20 * float(np.log10(max(amplitude, SMALLEST)))

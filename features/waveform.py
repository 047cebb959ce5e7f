"""Audio file → waveform of a fixed length.

The audio libraries are imported where a file is read: whoever only needs the length of a waveform does without.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spoofcache.common.errors import InputError

SAMPLE_RATE = 16_000
"""Hz, of every waveform in the house."""

N_SAMPLES = 64_600
"""Default length: 4.0375 s, which wav2vec 2.0 turns into 201 frames."""

MIN_SAMPLES = 400
"""The receptive field of one wav2vec 2.0 frame (25 ms); nothing shorter is speech to judge."""

NORMALIZATIONS = ("zero-mean-unit-variance", "none")
"""Of waveforms, before a speech model."""

MAX_SAMPLES = 10 * 60 * SAMPLE_RATE
"""Ten minutes: the longest row that may be asked for."""

Waveform = NDArray[np.float32]


class AudioError(InputError):
    """Audio that cannot be used: the message names the file and what was expected."""


def load_waveform(path: Path, channel: int | None = None, at_least: int = MIN_SAMPLES) -> Waveform:
    """Read one audio file as mono at 16 kHz.

    soundfile decodes first, PyAV where libsndfile refuses the file (it refuses 43 % of ASVspoof 2021 LA's
    FLACs). Other rates are resampled with soxr.

    Args:
        path: the file.
        channel: the one to take; None for the average of all.
        at_least: samples at 16 kHz; fewer are refused.

    Returns:
        Waveform [n], float32, full scale ±1.

    Raises:
        AudioError: missing, empty, truncated or not audio; NaN or infinite samples; fewer than `at_least`.
    """
    if not path.is_file():
        raise AudioError(f"{path}: no such file; expected the audio of an utterance")
    channels, rate = _decode(path)
    waveform = channels.mean(axis=0, dtype=np.float32) if channel is None else channels[channel]
    if rate != SAMPLE_RATE:
        import soxr

        waveform = soxr.resample(waveform, rate, SAMPLE_RATE)
    if not np.isfinite(waveform).all():
        raise AudioError(f"{path}: NaN or infinite samples; expected finite ones")
    if len(waveform) < at_least:
        frame = ", one frame of 25 ms" if at_least == MIN_SAMPLES else ""
        raise AudioError(f"{path}: {len(waveform)} samples at 16 kHz; expected at least {at_least}{frame}")
    return waveform


def _decode(path: Path) -> tuple[Waveform, int]:
    """Channels [C, n] and sample rate, by the first decoder that reads the whole file."""
    import av
    import soundfile

    try:
        return _decode_soundfile(path)
    except AudioError:
        raise
    except (soundfile.LibsndfileError, TypeError, ValueError, MemoryError) as refusal:
        # soundfile's own: no type for `.raw`; no length for GSM; too much memory where a FLAC declares no length
        try:
            return _decode_av(path)
        except (av.FFmpegError, AudioError) as error:
            raise AudioError(
                f"{path}: empty, truncated or not audio; expected a whole audio file "
                f"(libsndfile: {str(refusal).removeprefix(f'Error opening {str(path)!r}: ')} FFmpeg: {error})"
            ) from error


def _decode_soundfile(path: Path) -> tuple[Waveform, int]:
    import soundfile

    with soundfile.SoundFile(path) as file:
        samples = file.read(dtype="float32", always_2d=True)
        # libsndfile shortens the length of a WAV, AIFF or AU to what is there, and says so only in its log
        log = re.search(r"(?:data|SSND|Data Size) *: (\d+) \(should be (\d+)\)", file.extra_info)
        declared, rate = file.frames, file.samplerate
    if log and int(log[2]) < int(log[1]) < 0x7FFF0000:  # streamed WAVs declare the largest number instead
        raise AudioError(f"{path}: truncated; expected {log[1]} bytes of samples, found {log[2]}")
    if len(samples) < declared:
        raise AudioError(f"{path}: truncated; expected {declared} samples, found {len(samples)}")
    return np.ascontiguousarray(samples.T), rate


def _decode_av(path: Path) -> tuple[Waveform, int]:
    import av

    with av.open(str(path), metadata_errors="replace") as container:  # titles need not be UTF-8
        if not container.streams.audio:
            raise AudioError(f"{path}: no audio stream")
        stream = container.streams.audio[0]
        to_float = av.AudioResampler(format="fltp")
        frames = [part for frame in container.decode(stream) for part in to_float.resample(frame)]
        if not frames:
            raise AudioError(f"{path}: no samples")
        channels = np.concatenate([frame.to_ndarray() for frame in frames], axis=1)
        seconds = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        rate = frames[0].sample_rate
    if channels.shape[1] < int(0.99 * seconds * rate):  # lossy formats declare their length roughly
        raise AudioError(f"{path}: truncated; expected {seconds:.2f} s, found {channels.shape[1] / rate:.2f} s")
    return channels, rate


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

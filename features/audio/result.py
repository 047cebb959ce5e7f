"""The result of reading an audio file, and the error that says why a file cannot be used."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spoofcache.common.errors import InputError

SAMPLE_RATE = 16_000
"""Sample rate, in Hz, of every waveform in this project."""

LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
"""In Hz. A header with a rate outside these limits counts as damaged: 1 Hz would need 16,000 times the memory."""

LARGEST_SAMPLE = 2.0**31
"""A larger sample counts as damage: no device or program writes one, whatever its scale."""

NOT_AUDIO = "empty, truncated or not audio"

Waveform = NDArray[np.float32]


class AudioError(InputError):
    """Audio that cannot be used; the message names the file and says what was expected."""


@contextmanager
def audio_errors() -> Iterator[None]:
    """Turn whatever a check or a decoder raises into an AudioError without the file's name."""
    try:
        yield
    except InputError:
        raise
    except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError, struct.error) as error:
        raise AudioError(f"{NOT_AUDIO}; expected a whole audio file ({error})") from error
    except OSError as error:
        raise AudioError(f"cannot be read ({error.strerror or error}); expected an audio file") from error


class Wish(NamedTuple):
    """The part of a file that the caller needs.

    Attributes:
        channel: index of the channel to take; None for the mean of all channels.
        seconds: decode no further than this; None decodes to the end.
    """

    channel: int | None = None
    seconds: float | None = None

    def frames(self, rate: int) -> int | None:
        """Number of samples per channel after which decoding may stop; None if there is no limit."""
        return None if self.seconds is None else int(self.seconds * rate)


class Decoded(NamedTuple):
    """One channel of a file as it was decoded.

    Attributes:
        samples: [n] at the file's own rate, full scale ±1.
        rate: the file's sample rate in Hz.
        channels: number of channels of the file.
        format: the container and the coding, for example `FLAC PCM_16`.
        is_whole: whether decoding reached the end of the file.
        notes: harmless faults of the file, one sentence each.
    """

    samples: Waveform
    rate: int
    channels: int
    format: str
    is_whole: bool
    notes: tuple[str, ...] = ()


def check_rate(rate: int) -> None:
    """Raise AudioError, without the file's name, for a sample rate that no recording has."""
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(f"sample rate {rate} Hz; expected {LOWEST_RATE} to {HIGHEST_RATE} Hz")


def mono(channels: NDArray[np.float32], channel: int | None) -> Waveform:
    """One channel, or the mean of all, of samples [n, C] → [n].

    Raises:
        AudioError: the file has no channel of that index.
    """
    count = channels.shape[1]
    if channel is not None:
        if channel >= count:
            raise AudioError(f"no channel {channel + 1}; the file has {count}")
        return np.ascontiguousarray(channels[:, channel])
    if count == 1:
        return channels[:, 0]
    total = channels[:, 0] + channels[:, 1]  # faster than `mean` along the short axis, and it adds in the same order
    for index in range(2, count):
        total += channels[:, index]
    total /= np.float32(count)
    return total

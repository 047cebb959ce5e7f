"""The first decoder: libsndfile. It is the faster one for WAV and FLAC, the forms of most corpora."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spoofcache.features.audio.kinds import FLAC, Kind
from spoofcache.features.audio.result import AudioError, Decoded, Wish, check_rate, mono

if TYPE_CHECKING:
    import soundfile

BLOCK_SAMPLES = 1 << 24
"""Number of samples, over all channels, that are read at once, since a header may promise more than the file holds."""


class Unfit(Exception):
    """libsndfile cannot decode this file; the second decoder may be able to."""


def decode(path: Path, kind: Kind, wish: Wish) -> Decoded:
    """Decode a file.

    Raises:
        Unfit: libsndfile does not know the format or the coding, or fails on a FLAC, whose checksums then decide.
        AudioError: the samples are damaged, or fewer than stated. The message does not name the file.
    """
    import soundfile

    name = os.fsencode(path) if os.name == "posix" else str(path)  # names need not be UTF-8
    try:
        file = soundfile.SoundFile(name)
    except (soundfile.LibsndfileError, TypeError, ValueError) as refusal:
        raise Unfit(_reason(refusal, name)) from refusal
    with file:
        check_rate(file.samplerate)
        if not file.seekable() or file.subtype.startswith("MPEG"):  # GSM, G.72x and MP3 in WAV
            raise Unfit(f"libsndfile cannot tell the length of {file.subtype}")
        try:
            return _read(file, wish)
        except AudioError:
            raise
        except (soundfile.LibsndfileError, ValueError) as damage:
            if kind == FLAC:
                raise Unfit(_reason(damage, name)) from damage
            raise AudioError(f"damaged; {_reason(damage, name)}") from damage


def _read(file: "soundfile.SoundFile", wish: Wish) -> Decoded:
    """The samples, read part by part, so that a false length in the header does not exhaust the memory."""
    limit = wish.frames(file.samplerate)
    wanted = file.frames if limit is None else min(file.frames, limit)
    parts, found = [], 0
    while found < wanted:
        part = file.read(min(wanted - found, BLOCK_SAMPLES // file.channels), dtype="float32", always_2d=True)
        if not len(part):
            raise AudioError(f"truncated; expected {file.frames} samples, found {found}")
        parts.append(mono(part, wish.channel))
        found += len(part)
    samples = parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.float32), *parts])
    name = f"{file.format} {file.subtype}"
    return Decoded(samples, file.samplerate, file.channels, name, is_whole=wanted == file.frames)


def _reason(error: Exception, name: str | bytes) -> str:
    return str(error).removeprefix(f"Error opening {name!r}: ").rstrip(".")

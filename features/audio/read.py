"""One audio file → one channel of samples, by the decoder that suits its format.

libsndfile decodes first where it knows the format. FFmpeg decodes the formats that libsndfile does not know, and those
FLACs that libFLAC 1.4 and later reject although their frames are intact, such as files whose comment block is longer
than its comments. For those, the checksum of every frame must be right, and the MD5 of the samples if one is stated.
"""

from pathlib import Path
from typing import BinaryIO

from spoofcache.common.parquet import ParquetError
from spoofcache.features.audio import isolated
from spoofcache.features.audio.chunks import check_chunks
from spoofcache.features.audio.containers import check_container
from spoofcache.features.audio.first import Unfit
from spoofcache.features.audio.flac import check_flac
from spoofcache.features.audio.frames import HEADERS, Chain, check_frames
from spoofcache.features.audio.kinds import FLAC, MATROSKA, OGG, Found, Kind, kind_of
from spoofcache.features.audio.matroska import check_matroska
from spoofcache.features.audio.ogg import check_ogg
from spoofcache.features.audio.packed import as_file
from spoofcache.features.audio.result import NOT_AUDIO, AudioError, Decoded, Wish, audio_errors

WHOLE_SECONDS = 60.0
"""Files up to this duration are always decoded to their end, so that damage near the end is found."""

ENCODER_FRAMES = 6
"""Number of frames of MPEG audio or AAC that a decoder may omit: the silence that encoders add at both ends."""


def read_audio(path: Path, wish: Wish = Wish()) -> Decoded:  # noqa: B008 (immutable)
    """Decode a file as far as `wish` says, and check every length and checksum that it states up to there.

    Raises:
        AudioError: the file is missing, is not audio, is damaged or cut off, or crashes the decoder; the message names
            the file.
        WorkerError: the decoder itself cannot run.
    """
    if wish.seconds is not None:
        wish = wish._replace(seconds=max(wish.seconds, WHOLE_SECONDS))
    return _read(path, wish)


def read_header(path: Path) -> Decoded:
    """Open a file and decode only its beginning, to find files that are already unusable by their header.

    Raises:
        AudioError: as for `read_audio`, and if the file has no samples.
        WorkerError: the decoder itself cannot run.
    """
    decoded = _read(path, Wish(seconds=0.0))
    if decoded.is_whole and not len(decoded.samples):
        raise AudioError(f"{path}: no samples; expected a whole audio file")
    return decoded


def _read(path: Path, wish: Wish) -> Decoded:
    """Turn whatever the checks and the decoders raise into an AudioError that names the file."""
    try:
        with as_file(path) as own:
            return _read_file(own, wish)
    except ParquetError as error:
        raise AudioError(str(error)) from error
    except AudioError as problem:
        raise AudioError(f"{path}: {_with_expectation(str(problem))}") from problem


def _read_file(path: Path, wish: Wish) -> Decoded:
    """Read a file; the AudioError does not name it."""
    if not path.is_file():
        what = "neither a file nor a link to one" if path.exists() else "no such file"
        raise AudioError(f"{what}; expected the audio of an utterance")
    with audio_errors(), path.open("rb") as file:
        found = kind_of(file, path.suffix)
        if found.kind is None:
            raise AudioError(_why_not(found))
        return _decode(path, file, found.kind, found.start, wish)


def _why_not(found: Found) -> str:
    if found.names_other_files:
        return "a text that names other files, such as a playlist; expected the audio itself"
    return f"{NOT_AUDIO}; expected a whole audio file"


def _with_expectation(problem: str) -> str:
    return problem if "; expected" in problem else f"{problem}; expected a whole audio file"


def _decode(path: Path, file: BinaryIO, kind: Kind, start: int, wish: Wish) -> Decoded:
    """Check what the container states, and decode."""
    if kind in HEADERS:
        chain = check_frames(file, start, kind, wish.seconds)
        decoded = isolated.decode_second(path, start, kind, wish, chain.segments)
        _check_chain(chain, decoded)
        return decoded._replace(is_whole=decoded.is_whole and chain.is_whole)
    if kind == MATROSKA:
        check_matroska(file)
    check_container(file, start, kind)
    notes: tuple[str, ...] = ()
    streams = 1
    if kind == FLAC:
        check_flac(file, start)
    elif kind == OGG:
        streams = check_ogg(file, start, wish.seconds)
    elif kind.by_libsndfile:
        notes = check_chunks(file, kind)
    if not kind.by_libsndfile or streams > 1:
        return isolated.decode_second(path, start, kind, wish)
    try:
        decoded = isolated.decode_first(path, kind, wish)
    except Unfit as refusal:
        decoded = _decode_unfit(path, kind, start, wish, refusal)
    return decoded._replace(notes=notes) if notes else decoded


def _decode_unfit(path: Path, kind: Kind, start: int, wish: Wish, refusal: Unfit) -> Decoded:
    """Decode with the second decoder; if it fails too, the error quotes both."""
    try:
        return isolated.decode_second(path, start, kind, wish)
    except AudioError as error:
        raise AudioError(
            f"{NOT_AUDIO}; expected a whole audio file (libsndfile: {refusal}. FFmpeg: {error})"
        ) from error


def _check_chain(chain: Chain, decoded: Decoded) -> None:
    """Raise AudioError if the decoder omitted frames."""
    found, lacking = len(decoded.samples) / decoded.rate, ENCODER_FRAMES * chain.seconds / max(chain.n_frames, 1)
    if decoded.is_whole and found < chain.seconds - lacking:
        raise AudioError(f"damaged; expected {chain.seconds:.2f} s, found {found:.2f} s")

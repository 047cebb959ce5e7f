"""The second decoder: FFmpeg through PyAV with its strictest checks. `isolated` runs it in a separate process."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, BinaryIO, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from spoofcache.features.audio.flac import Md5, StreamInfo, read_info
from spoofcache.features.audio.matroska import stated_seconds
from spoofcache.features.audio.result import AudioError, Decoded, Waveform, Wish, check_rate, mono

STRICT = {"err_detect": "crccheck+explode"}
"""By default, FFmpeg conceals damage; with these options it verifies all checksums and stops at every error."""

OPEN = {**STRICT, "protocol_whitelist": "file", "use_absolute_path": "0", "enable_drefs": "0"}
EXACT = frozenset({"flac", "wv", "tta", "ape", "tak"})
"""Demuxers of formats whose header states the number of samples exactly."""

FULL_SCALE = {"u1": 128.0, "i2": 32_768.0, "i4": 2_147_483_648.0, "i8": 2.0**63}


class Request(NamedTuple):
    """A file to decode.

    Attributes:
        path: path of the file.
        start: place at which its format begins, after any tags.
        demuxer: FFmpeg's demuxer for the format.
        segments: ranges of bytes to decode, [first, after the last]; empty for the whole file.
        channel: see `Wish`.
        seconds: see `Wish`.
    """

    path: str
    start: int
    demuxer: str
    segments: list[tuple[int, int]]
    channel: int | None
    seconds: float | None

    @property
    def wish(self) -> Wish:
        """The part of the file that the caller needs."""
        return Wish(self.channel, self.seconds)


class _Form(NamedTuple):
    """The properties that must not change within a file."""

    rate: int
    layout: str


def decode(request: Request) -> Decoded:
    """Decode a file to its end, or as far as requested.

    Raises:
        AudioError: the file has no audio, a codec that FFmpeg does not have, damage, or another length than it states.
            The message does not name the file.
    """
    with _sentences(), open(request.path, "rb") as file:
        info = read_info(file, request.start) if request.demuxer == "flac" else None
        file.seek(0)
        source = BytesIO(b"".join(_parts(file, request.segments))) if request.segments else file
        container = av.open(source, format=request.demuxer, options=OPEN, **text_options(av.__version__))
        with container:
            return _Decoding(container, request, info).run()


def text_options(version: str) -> dict[str, Any]:
    """Arguments with which this version of PyAV opens files whose texts are not UTF-8; from 19 on it needs none."""
    return {"metadata_errors": "replace"} if int(version.partition(".")[0]) < 19 else {}


def _parts(file: BinaryIO, segments: list[tuple[int, int]]) -> Iterator[bytes]:
    for first, behind in segments:
        file.seek(first)
        yield file.read(behind - first)


@contextmanager
def _sentences() -> Iterator[None]:
    """Turn every exception of PyAV into an AudioError, including those that damaged headers cause unexpectedly."""
    try:
        yield
    except AudioError:
        raise
    except av.FFmpegError as error:
        raise AudioError(f"damaged or cut off; FFmpeg: {error.strerror}") from error
    except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError, OSError) as error:
        raise AudioError(f"FFmpeg cannot decode it ({error})") from error


class _Decoding:
    """The decoding of one open container."""

    def __init__(self, container: Any, request: Request, info: StreamInfo | None) -> None:
        if not container.streams.audio:
            raise AudioError("no audio stream")
        self._container, self._request = container, request
        self._stream = container.streams.audio[0]
        codec = self._stream.codec_context
        if codec is None:
            raise AudioError("a codec that FFmpeg does not know")
        codec.options = STRICT
        check_rate(codec.sample_rate)
        self._name = codec.name.removesuffix("float")  # mp3float is FFmpeg's faster decoder of MP3
        self._parts: list[Waveform] = []
        self._form: _Form | None = None
        self._found = self._packets = 0
        self._last = self._step = self._until = 0.0
        self._md5 = Md5(info) if info else None

    def run(self) -> Decoded:
        """Decode, and compare the result with the lengths that the container states."""
        is_whole = self._decode()
        if self._form is None:
            raise AudioError("no samples")
        if is_whole:
            self._check_length()
        samples = np.concatenate(self._parts)
        return Decoded(samples, self._form.rate, self._channels, self._name, is_whole)

    def _decode(self) -> bool:
        """Decode packet by packet; returns False if enough was decoded before the end."""
        for packet in self._container.demux(self._stream):
            if packet.is_corrupt:
                raise AudioError("damaged or cut off; a packet is not whole")
            if packet.size:
                self._packets += 1
                self._follow(packet)
            for frame in packet.decode():
                self._take(frame)
            limit = self._request.wish.frames(self._form.rate) if self._form else None
            if limit is not None and self._found >= limit:
                return False
        return True

    def _follow(self, packet: Any) -> None:
        """Raise AudioError for a gap between two packets, in a container that states the time of each."""
        if self._request.demuxer != "matroska" or packet.pts is None:
            return
        time, lasts = float(packet.pts * packet.time_base), float((packet.duration or 0) * packet.time_base)
        if self._step and time > self._last + self._step + GAP_SECONDS:
            raise AudioError(f"damaged; no audio between {self._last + self._step:.3f} and {time:.3f} s")
        self._step = lasts or max(self._step, time - self._last)
        self._last = time

    def _take(self, frame: Any) -> None:
        form = _Form(frame.sample_rate, frame.layout.name)
        if self._form and form != self._form:
            raise AudioError(
                f"{self._form.rate} Hz, {self._form.layout} becomes {form.rate} Hz, {form.layout}; expected one form"
            )
        self._form, self._channels = form, len(frame.layout.channels)
        if self._request.demuxer == "matroska" and frame.pts is not None:
            self._check_time(float(frame.pts * frame.time_base), frame.samples / frame.sample_rate)
        raw = _interleaved(frame, self._channels)
        if self._md5:
            self._md5.update(raw)
        self._parts.append(mono(_as_float(raw), self._request.channel))
        self._found += frame.samples

    def _check_time(self, time: float, seconds: float) -> None:
        """Raise AudioError if a frame does not begin where the previous one ends: a packet has another duration."""
        if self._until and abs(time - self._until) > ROUNDING_SECONDS:
            first, last = sorted((time, self._until))
            fault = "no audio" if time == last else "overlapping audio"
            raise AudioError(f"damaged; {fault} between {first:.3f} and {last:.3f} s")
        self._until = time + seconds

    def _check_length(self) -> None:
        stream, demuxer = self._stream, self._request.demuxer
        if self._md5:
            self._md5.check()
        if demuxer in EXACT and stream.duration and self._form:
            stated = round(stream.duration * stream.time_base * self._form.rate)
            if stated != self._found:
                raise AudioError(f"damaged or truncated; expected {stated} samples, found {self._found}")
        if demuxer == "mov" and stream.frames and stream.codec_context.frame_size and stream.frames != self._packets:
            raise AudioError(f"damaged or truncated; expected {stream.frames} packets, found {self._packets}")
        if demuxer == "matroska":
            self._check_end(self._last + self._step)

    def _check_end(self, end: float) -> None:
        with open(self._request.path, "rb") as file:
            stated = stated_seconds(file)
        if stated and end < stated - END_SECONDS:
            raise AudioError(f"damaged or truncated; expected {stated:.2f} s, found {end:.2f} s")


GAP_SECONDS = 0.015
"""Shortest gap between packets that counts as damage: times are rounded to 1 ms, usual packets last 20 ms or more."""

ROUNDING_SECONDS = 0.004
"""By how much the times of frames may differ because of rounding."""

END_SECONDS = 0.06
"""By how much a stated duration may be longer: some writers count what the encoder put before the first sample."""


def _interleaved(frame: Any, channels: int) -> NDArray[Any]:
    """The samples [n, C] of a frame as FFmpeg gives them."""
    raw = frame.to_ndarray()
    return raw.T if frame.format.is_planar else raw.reshape(-1, channels)


def _as_float(raw: NDArray[Any]) -> NDArray[np.float32]:
    """Samples of any type as float32, full scale ±1."""
    if raw.dtype.kind == "f":
        return raw.astype(np.float32, copy=False)
    scale = FULL_SCALE[raw.dtype.str[1:]]
    offset = scale if raw.dtype.kind == "u" else 0.0
    if raw.dtype.itemsize < 4:  # exact in float32
        return (raw.astype(np.float32) - np.float32(offset)) / np.float32(scale)
    return (raw.astype(np.float64) / scale).astype(np.float32)

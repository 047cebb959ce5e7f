"""Files of chunks (WAV, RF64, Wave64, AIFF, CAF), AU and NIST SPHERE: do the stated lengths fit the file?

Sources: Multimedia Programming Interface and Data Specifications 1.0 (RIFF), EBU Tech 3306 (RF64), Sony Wave64,
Apple's AIFF 1.3 and Core Audio Format specifications.
"""

import re
import struct
from collections.abc import Iterator
from io import SEEK_END
from typing import BinaryIO, NamedTuple

from spoofcache.features.audio.kinds import AIFF, AU, CAF, NIST, RF64, W64, Kind
from spoofcache.features.audio.result import AudioError

SLACK_BYTES = 44
"""A WAV header may state this many bytes more than the file has: some writers count the header, or a part of it."""

STREAMED = 0x7FFF0000
"""A size of at least this, of 0 or of −1 means that the writer did not know the length."""

COMMON_RATES = frozenset(
    (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000)
)
PCM, FLOAT = 1, 3
TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN")
"""First bytes of the tags that programs append after the last chunk."""

SECTOR = 512
"""Some storage fills files with zeros up to a multiple of this many bytes."""

DESCRIPTIONS = frozenset(
    b"LIST bext fact cue  smpl inst PEAK JUNK junk PAD  FLLR iXML axml _PMX acid id3  ID3  cart labl levl umid afsp "
    b"NAME AUTH ANNO MARK COMT INST APPL CHAN (c) "[i : i + 4]
    for i in range(0, 165, 5)
)
"""Chunks that only describe the samples, so that a wrong size of one of them is harmless."""


class Chunk(NamedTuple):
    """A chunk: its name, the place of its first byte after the header, and its stated size, −1 if it is unknown."""

    name: bytes
    start: int
    size: int


class Layout(NamedTuple):
    """How a format writes chunks: the header of the file, the header of a chunk, and where the next chunk begins."""

    first: int
    header: str
    name_bytes: int
    counts_header: bool
    align: int


RIFF_LAYOUT = Layout(12, "<4sI", 4, False, 2)
RIFX_LAYOUT = Layout(12, ">4sI", 4, False, 2)
W64_LAYOUT = Layout(40, "<16sQ", 4, True, 8)
CAF_LAYOUT = Layout(8, ">4sq", 4, False, 1)


def check_chunks(file: BinaryIO, kind: Kind) -> tuple[str, ...]:
    """Check a file against the sizes of its chunks; returns notes on harmless faults.

    Raises:
        AudioError: samples are missing, bytes that belong to no chunk follow, or the header contradicts itself. The
            message does not name the file.
    """
    size = file.seek(0, SEEK_END)
    if kind == AU:
        return _check_au(file, size)
    if kind == NIST:
        return _check_nist(file, size)
    return _check(file, size, _layout(file, kind), kind)


def _layout(file: BinaryIO, kind: Kind) -> Layout:
    if kind == W64:
        return W64_LAYOUT
    if kind == CAF:
        return CAF_LAYOUT
    file.seek(0)
    return RIFX_LAYOUT if kind == AIFF or file.read(4) == b"RIFX" else RIFF_LAYOUT


def _chunks(file: BinaryIO, size: int, layout: Layout) -> Iterator[Chunk]:
    at, width = layout.first, struct.calcsize(layout.header)
    while at + width <= size:
        file.seek(at)
        name, stated = struct.unpack(layout.header, file.read(width))
        stated -= width if layout.counts_header else 0
        unknown = layout is not W64_LAYOUT and (stated < 0 or (stated >= STREAMED and at + width + stated > size))
        chunk = Chunk(name[: layout.name_bytes], at + width, -1 if unknown else stated)
        yield chunk
        if chunk.size < 0:
            return
        at = chunk.start + -(-chunk.size // layout.align) * layout.align


def _check(file: BinaryIO, size: int, layout: Layout, kind: Kind) -> tuple[str, ...]:
    notes: tuple[str, ...] = ()
    fmt, end, data = b"", layout.first, None
    long_size = -1
    for chunk in _chunks(file, size, layout):
        if not _is_name(chunk.name):
            break
        if chunk.name == b"fmt " and kind not in (W64, CAF):
            file.seek(chunk.start)
            fmt = file.read(40)[: max(chunk.size, 0)]
            _check_format(fmt, ">" if layout is RIFX_LAYOUT else "<")
        if chunk.name == b"ds64":
            file.seek(chunk.start + 8)
            long_size = int.from_bytes(file.read(8), "little")
        if chunk.name in (b"data", b"SSND"):
            data = chunk = chunk._replace(size=long_size) if kind == RF64 else chunk
            if chunk.size < 0 or (chunk.size == 0 and chunk.start < size):  # the file was written as a stream
                return notes
            notes += _check_size(chunk, size, fmt, kind)
        end = chunk.start + chunk.size
        if data and end > size and chunk is not data and chunk.name not in DESCRIPTIONS:
            raise AudioError(f"damaged; {size - chunk.start} bytes after the samples belong to no chunk")
    if data is None:
        raise AudioError("it has no samples; expected a chunk of samples")
    _check_rest(file, size, end)
    return notes


def _is_name(name: bytes) -> bool:
    return all(0x20 <= byte < 0x7F for byte in name)


def _check_size(data: Chunk, size: int, fmt: bytes, kind: Kind) -> tuple[str, ...]:
    """A note if the header states slightly more bytes than the file has, as common WAV writers do; else AudioError."""
    found = size - data.start
    if found >= data.size:
        return ()
    missing = data.size - found
    block = struct.unpack_from("<H", fmt, 12)[0] if len(fmt) >= 16 else 1
    if fmt and missing <= SLACK_BYTES and found % max(block, 1) == 0:
        return (f"its header states {missing} bytes more than there are",)
    raise AudioError(f"truncated; expected {data.size} bytes of samples, found {found}")


def _check_rest(file: BinaryIO, size: int, end: int) -> None:
    """Raise AudioError if bytes after the last chunk are neither padding nor a tag: samples were moved or inserted."""
    if end >= size:
        return
    file.seek(end)
    rest = file.read(1 << 16).lstrip(b"\0")
    padded = not rest and (size - end == 1 or size % SECTOR == 0)
    if not padded and not rest.startswith(TAGS):
        raise AudioError(f"damaged; {size - end} bytes after the last chunk belong to no chunk")


def _check_format(fmt: bytes, order: str) -> None:
    """Raise AudioError if the rate, channels, block size and bytes per second of a PCM header contradict one another.

    A number that two others confirm, or that is a usual one, is accepted, because some writers get derived numbers
    wrong.
    """
    if len(fmt) < 16:
        raise AudioError(f"damaged; its format chunk has {len(fmt)} bytes, expected at least 16")
    tag, channels, rate, per_second, block, bits = struct.unpack_from(f"{order}HHIIHH", fmt)
    if tag not in (PCM, FLOAT):
        return
    frame = channels * -(-bits // 8)
    if block != frame and per_second != rate * frame:
        raise AudioError(f"damaged; {channels} channels of {bits} bits contradict blocks of {block} bytes")
    if rate not in COMMON_RATES and per_second not in (rate * frame, 0):
        raise AudioError(f"damaged; {rate} Hz contradict {per_second} bytes a second")


def _check_au(file: BinaryIO, size: int) -> tuple[str, ...]:
    file.seek(4)
    start, stated = struct.unpack(">II", file.read(8).ljust(8, b"\0"))
    if stated < STREAMED and start + stated > size:
        raise AudioError(f"truncated; expected {stated} bytes of samples, found {max(size - start, 0)}")
    return ()


def _check_nist(file: BinaryIO, size: int) -> tuple[str, ...]:
    """Check a SPHERE file. Its header is text: its size is on the second line, and a field on each further line."""
    file.seek(0)
    head = file.read(1024)
    fields = dict(re.findall(rb"(?m)^(\w+) -\w+ (\S+)", head))
    known = [fields.get(name, b"") for name in (b"sample_count", b"channel_count", b"sample_n_bytes")]
    header = head.split(b"\n")[1].strip() if head.count(b"\n") > 1 else b""
    compressed = b"shorten" in fields.get(b"sample_coding", b"")
    if compressed or not all(value.isdigit() for value in (*known, header)):
        return ()
    samples, channels, width = map(int, known)
    found = size - int(header)
    if found < samples * channels * width:
        raise AudioError(f"truncated; expected {samples * channels * width} bytes of samples, found {max(found, 0)}")
    return ()

"""Matroska and WebM: does each element lead to the next, up to the end, and which duration does the header state?

Source: RFC 9559 (the elements; TimestampScale 0x2AD7B1, Duration 0x4489), RFC 8794 (EBML: IDs, sizes, CRC-32).
"""

import re
import zlib
from mmap import ACCESS_READ, mmap
from typing import BinaryIO, NamedTuple

import numpy as np

from spoofcache.features.audio.result import AudioError

HEAD_BYTES = 8192
NANOSECONDS = 1_000_000
"""TimestampScale if the header states none."""


EBML, SEGMENT, CLUSTER, CRC, VOID = b"\x1aE\xdf\xa3", b"\x18S\x80g", b"\x1fC\xb6u", b"\xbf", b"\xec"
DESCRIPTIONS = frozenset({b"\x11M\x9bt", b"\x15I\xa9f", b"\x16T\xaek"}) | frozenset(
    {b"\x1cS\xbbk", b"\x12T\xc3g", b"\x10C\xa7p", b"\x19A\xa4i"}
)
"""SeekHead, Info, Tracks; Cues, Tags, Chapters, Attachments."""

IN_CLUSTERS = frozenset({b"\xe7", b"\xa3", b"\xa0", b"\xa7", b"\xab", b"\x58\x54"})
"""Timestamp, SimpleBlock, BlockGroup, Position, PrevSize, SilentTracks."""

CRC_BYTES = 6


class Element(NamedTuple):
    """An element: its ID, the place of its first byte after the header, and its end, None if its size is unknown."""

    name: bytes
    start: int
    end: int | None


def check_matroska(file: BinaryIO) -> None:
    """Check that each element leads to the next, up to the end of the file, and has the checksum that it states.

    Raises:
        AudioError: an element is cut off or damaged, or bytes between two elements belong to none. The message does
            not name the file.
    """
    with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        at, size, within = 0, len(data), 0
        while at < size:
            element = _element(data, at)
            if element.name == SEGMENT:
                within = element.end or size
                if within > size:
                    raise AudioError(f"truncated; expected {within} bytes, found {size}")
            if element.name in (SEGMENT, CLUSTER):  # the children of these elements are checked one by one
                at = element.start
                continue
            if element.name not in (EBML, VOID, CRC) and element.name not in DESCRIPTIONS | IN_CLUSTERS:
                raise AudioError(f"damaged; no element at byte {at}")
            if element.end is None or element.end > size:
                raise AudioError(f"truncated or damaged; the element at byte {at} does not end")
            if element.name in DESCRIPTIONS:
                _check_crc(data[element.start : element.end])
            at = element.end


def _element(data: mmap, at: int) -> Element:
    name_bytes = 9 - data[at].bit_length()
    place = at + name_bytes
    width = 9 - data[place].bit_length() if place < len(data) else 9
    if name_bytes > 4 or width > 8:
        raise AudioError(f"damaged; no element at byte {at}")
    most = (1 << 7 * width) - 1
    size = int.from_bytes(data[place : place + width], "big") & most
    start = place + width
    return Element(data[at:place], start, None if size == most else start + size)


def _check_crc(content: bytes) -> None:
    """Raise AudioError if an element begins with a checksum that does not match what follows."""
    if content[:2] != CRC + b"\x84":
        return
    if zlib.crc32(content[CRC_BYTES:]) != int.from_bytes(content[2:CRC_BYTES], "little"):
        raise AudioError("damaged; its header does not have the checksum that it states")


def stated_seconds(file: BinaryIO) -> float | None:
    """The duration in the header; None if it states none."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    duration = re.search(rb"\x44\x89(\x84....|\x88........)", head, re.DOTALL)
    scale = re.search(rb"\x2a\xd7\xb1\x83(...)", head, re.DOTALL)
    if not duration:
        return None
    content = duration[1][1:]
    ticks = float(np.frombuffer(content, f">f{len(content)}")[0])
    seconds = ticks * (int.from_bytes(scale[1], "big") if scale else NANOSECONDS) / 1e9
    return seconds if np.isfinite(seconds) and seconds > 0 else None

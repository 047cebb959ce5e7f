"""Ogg: is every page whole, in sequence and unchanged by its checksum, and does the last one end the stream?

Source: RFC 3533, section 6.
"""

import struct
import zlib
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from typing import BinaryIO, NamedTuple

from spoofcache.features.audio.result import AudioError

HEADER = struct.Struct("<4sBBqIIIB")
CONTINUED, FIRST, LAST = 1, 2, 4
REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


class Page(NamedTuple):
    """A page: its flags, its granule position (the codec's count at its end), its stream, its number and its body."""

    flags: int
    granule: int
    serial: int
    number: int
    body: bytes


def check_ogg(file: BinaryIO, start: int, seconds: float | None) -> int:
    """Check the pages, or only those of the first `seconds` if given; returns the number of streams.

    Raises:
        AudioError: a page is damaged, missing or cut off, or the stream does not end. The message does not name the
            file.
    """
    numbers: dict[int, int] = {}
    rates: dict[int, int] = {}
    open_streams: set[int] = set()
    with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        for page in _pages(data, start):
            if page.flags & FIRST:
                rates[page.serial] = _granule_rate(page.body)
                open_streams.add(page.serial)
            elif page.serial not in numbers:
                raise AudioError("damaged; a page belongs to a stream that did not begin")
            elif page.number != numbers[page.serial] + 1:
                raise AudioError(f"damaged; page {page.number} follows page {numbers[page.serial]}")
            numbers[page.serial] = page.number
            if page.flags & LAST:
                open_streams.discard(page.serial)
            rate = rates[page.serial]
            if seconds is not None and rate and page.granule > seconds * rate:
                return len(rates)
    if open_streams:
        raise AudioError("truncated; its last page does not end the stream")
    return len(rates)


def _pages(data: mmap, at: int) -> Iterator[Page]:
    while at < len(data):
        head = data[at : at + HEADER.size]
        if len(head) < HEADER.size or head[:5] != b"OggS\0":
            rest = data[at : at + 4096]
            if not rest.strip(b"\0") or rest.startswith((b"TAG", b"ID3", b"APETAGEX")):
                return
            raise AudioError(f"damaged; no page at byte {at}")
        _, _, flags, granule, serial, number, crc, segments = HEADER.unpack(head)
        table = data[at + HEADER.size : at + HEADER.size + segments]
        end = at + HEADER.size + segments + sum(table)
        if end > len(data) or len(table) < segments:
            raise AudioError("truncated; its last page is cut off")
        page = data[at:end]
        if _crc(page[:22] + bytes(4) + page[26:]) != crc:
            raise AudioError(f"damaged; the page at byte {at} does not have the checksum that it states")
        yield Page(flags, granule, serial, number, page[HEADER.size + segments :])
        at = end


def _crc(page: bytes) -> int:
    """Ogg's checksum: the polynomial of zlib with the bits in the opposite order, starting at 0 and not inverted."""
    raw = zlib.crc32(page.translate(REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{raw:032b}"[::-1], 2)


def _granule_rate(header: bytes) -> int:
    """Granule positions per second of a stream, which its first packet determines; 0 for any other codec."""
    if header.startswith(b"OpusHead"):
        return 48_000
    if header.startswith(b"\x01vorbis") and len(header) >= 16:
        return int.from_bytes(header[12:16], "little")
    if header.startswith(b"Speex   ") and len(header) >= 40:
        return int.from_bytes(header[36:40], "little")
    if header.startswith(b"\x7fFLAC") and len(header) >= 31:
        return int.from_bytes(header[27:30], "big") >> 4
    return 0

"""FLAC: does the header agree with the first and the last frame, and with the MD5 of the samples?

Source: RFC 9639, sections 8.2 (STREAMINFO) and 9.1 (frame header).
"""

import hashlib
from collections.abc import Sequence
from io import SEEK_END
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spoofcache.features.audio.result import AudioError

RATES = (0, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
"""Sample rate in Hz by its code in a frame header. With codes 12 to 14 the rate follows; 0 refers to STREAMINFO."""

BLOCKS = (0, 192, 576, 1_152, 2_304, 4_608, 0, 0, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768)
"""Number of samples in a frame by the code in its header. With codes 6 and 7 the number follows."""

WINDOW, SLACK_BYTES = 1 << 16, 512
"""How far from the end the last frame is looked for, in bytes, where the largest is unknown; and what may follow it."""

INFO_BYTES, HEADER_BYTES = 34, 24


class StreamInfo(NamedTuple):
    """The header of a FLAC stream.

    If the writer did not know them, `total` (samples) and `largest` (size of the largest frame in bytes) are 0, and
    `md5` is all zeros.
    """

    block: int
    largest: int
    rate: int
    bits: int
    total: int
    md5: bytes


class Frame(NamedTuple):
    """What the header of a frame states: its rate (0: see STREAMINFO), and the number of the sample after its last."""

    rate: int
    end: int


def read_info(file: BinaryIO, start: int) -> StreamInfo:
    """Read STREAMINFO of the stream that begins at a byte of a file; the file's position is then that of its frames.

    Raises:
        AudioError: the metadata blocks do not lead to a frame. The message does not name the file.
    """
    file.seek(start + 4)
    first, is_last = b"", False
    while not is_last:
        header = file.read(4)
        if len(header) < 4:
            raise AudioError("truncated; its metadata do not end")
        is_last, size = bool(header[0] & 0x80), int.from_bytes(header[1:], "big")
        if not first:
            first, size = file.read(INFO_BYTES), size - INFO_BYTES
        file.seek(size, 1)
    if len(first) < INFO_BYTES:
        raise AudioError("truncated; its header does not end")
    packed, largest = int.from_bytes(first[10:18], "big"), int.from_bytes(first[7:10], "big")
    total, bits = packed & (1 << 36) - 1, (packed >> 36 & 31) + 1
    return StreamInfo(int.from_bytes(first[:2], "big"), largest, packed >> 44, bits, total, first[18:])


def check_flac(file: BinaryIO, start: int) -> None:
    """Compare STREAMINFO with the first and the last frame.

    Raises:
        AudioError: their rates or the number of samples differ. The message does not name the file.
    """
    info = read_info(file, start)
    at = file.tell()
    beginning = _frame(file.read(HEADER_BYTES), info)
    file.seek(max(at, file.seek(0, SEEK_END) - (info.largest + SLACK_BYTES if info.largest else WINDOW)))
    ends = _ends(file.read(), info)
    if beginning and beginning.rate not in (0, info.rate):
        raise AudioError(f"damaged; its header states {info.rate} Hz, its frames {beginning.rate} Hz")
    if info.total and ends and info.total not in ends:
        raise AudioError(f"damaged or truncated; expected {info.total} samples, the last frame ends at {ends[-1]}")


def _ends(tail: bytes, info: StreamInfo) -> Sequence[int]:
    """Last samples of the frames whose headers lie near the end of a file, including samples that resemble a header."""
    found = []
    for sync in (b"\xff\xf8", b"\xff\xf9"):  # first: all blocks have one size; second: they have several
        at = tail.find(sync)
        while at >= 0:
            if frame := _frame(tail[at : at + HEADER_BYTES], info):
                found.append(frame.end)
            at = tail.find(sync, at + 1)
    return found


def _frame(head: bytes, info: StreamInfo) -> Frame | None:
    """The frame header that these bytes begin with, if its checksum is right."""
    if len(head) < 6 or head[0] != 0xFF or head[1] not in (0xF8, 0xF9):
        return None
    block_code, rate_code = head[2] >> 4, head[2] & 15
    number, at = _coded_number(head)
    if at == 0 or block_code == 0 or rate_code == 15:
        return None
    n = BLOCKS[block_code]
    if block_code in (6, 7):
        width = block_code - 5
        n, at = int.from_bytes(head[at : at + width], "big") + 1, at + width
    rate = RATES[rate_code] if rate_code < len(RATES) else 0
    at += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if at >= len(head) or _crc8(head[:at]) != head[at]:
        return None
    first = number if head[1] & 1 else number * info.block
    return Frame(rate, first + n)


def _coded_number(head: bytes) -> tuple[int, int]:
    """The frame or sample number at byte 4, coded like UTF-8, and the place after it; (0, 0) if it is invalid."""
    lead = head[4]
    more = 0 if lead < 0x80 else 7 - (lead ^ 0xFF).bit_length()
    if lead >= 0x80 and more not in range(1, 7):
        return 0, 0
    rest = head[5 : 5 + more]
    if len(rest) < more or any(byte >> 6 != 2 for byte in rest):
        return 0, 0
    number = lead if more == 0 else lead & (0x3F >> more)
    for byte in rest:
        number = number << 6 | byte & 0x3F
    return number, 5 + more


def _crc8_table() -> bytes:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value << 1 ^ 0x07 if value & 0x80 else value << 1) & 0xFF
        table.append(value)
    return bytes(table)


CRC8 = _crc8_table()


def _crc8(data: bytes) -> int:
    """Polynomial x⁸ + x² + x + 1 from 0 (RFC 9639, section 9.1.8)."""
    crc = 0
    for byte in data:
        crc = CRC8[crc ^ byte]
    return crc


class Md5:
    """The MD5 of decoded samples as FLAC defines it: interleaved, little-endian, in whole bytes."""

    def __init__(self, info: StreamInfo) -> None:
        self._info = info
        self._hash = hashlib.md5(usedforsecurity=False)

    def update(self, samples: NDArray[np.int16] | NDArray[np.int32]) -> None:
        """The next samples [n, C], left-justified in their type as FFmpeg gives them."""
        shifted = samples >> (samples.dtype.itemsize * 8 - self._info.bits)
        width = -(-self._info.bits // 8)
        data = np.ascontiguousarray(shifted).view(np.uint8).reshape(-1, samples.dtype.itemsize)
        self._hash.update(np.ascontiguousarray(data[:, :width]).tobytes())

    def check(self) -> None:
        """Raise AudioError, without the file's name, if the stream states another checksum."""
        if any(self._info.md5) and self._hash.digest() != self._info.md5:
            raise AudioError("damaged; its samples do not have the checksum that its header states")

"""FLV, MPEG program streams, AVI and WMA: are all parts there, up to the end of the file?

FFmpeg takes the end of such a file for the end of the sound, wherever the file was cut off.

Sources: Adobe Flash Video File Format Specification 10.1, annex E; ISO/IEC 13818-1, 2.5.3 (packs and packets);
Microsoft's AVI RIFF File Reference (the size of the RIFF chunk); Advanced Systems Format, section 3.2 (the size of the
file, in the File Properties Object).
"""

from collections.abc import Callable, Mapping
from mmap import ACCESS_READ, mmap
from typing import BinaryIO

from spoofcache.features.audio.kinds import ASF, AVI, FLV, PROGRAM_STREAM, Kind
from spoofcache.features.audio.result import AudioError

TAG_HEADER = 11
"""Bytes of an FLV tag before its data. Behind the data, four bytes repeat the size of header and data."""

PACK, END = 0xBA, 0xB9
PACK_BYTES = (12, 14)
"""Size of a pack's header in MPEG-1 and in MPEG-2."""

UNKNOWN_SIZES = (0, 0xFFFFFFFF)
"""Sizes of a RIFF chunk in a file that was written as a stream."""

ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def check_container(file: BinaryIO, start: int, kind: Kind) -> None:
    """Follow the parts of a file, or compare its size with the one that it states; other kinds are not looked at.

    Raises:
        AudioError: the file ends within a part, or something else follows a part. The message does not name the file.
    """
    check = CHECKS.get(kind)
    if check is None:
        return
    with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        check(data, start)


def _check_flv(data: mmap, start: int) -> None:
    at = start + int.from_bytes(data[start + 5 : start + 9], "big") + 4  # behind the header, the size of no tag
    while at < len(data):
        size = TAG_HEADER + int.from_bytes(data[at + 1 : at + 4], "big")
        behind = at + size + 4
        _require_within(data, behind)
        if int.from_bytes(data[behind - 4 : behind], "big") not in (size, 0):  # some writers leave it out
            raise AudioError(f"damaged; the tag at byte {at} does not end where it says")
        at = behind
    _require_within(data, at)


def _check_program_stream(data: mmap, start: int) -> None:
    at = start
    while at < len(data):
        head = data[at : at + 14]
        if head[:3] != b"\0\0\1":
            if not data[at:].strip(b"\0"):
                return  # padding up to the end of a sector
            raise AudioError(f"damaged; no packet at byte {at}")
        if head[3:4] == bytes([END]):
            at += 4
        elif head[3:4] == bytes([PACK]):
            size = PACK_BYTES[head[4] >> 6 == 1]
            _require_within(data, at + size)
            at += size + (head[13] & 7 if size > 12 else 0)  # stuffing
        else:
            at += 6 + int.from_bytes(head[4:6], "big")
        _require_within(data, at)


def _check_avi(data: mmap, start: int) -> None:
    size = int.from_bytes(data[start + 4 : start + 8], "little")
    if size not in UNKNOWN_SIZES:
        _require_within(data, start + 8 + size)


def _check_asf(data: mmap, start: int) -> None:
    head = data[: 1 << 16]
    at = head.find(ASF_PROPERTIES)
    stated = int.from_bytes(head[at + 40 : at + 48], "little") if at >= 0 else 0
    if len(data) < stated < 1 << 48:
        raise AudioError(f"truncated; expected {stated} bytes, found {len(data)}")


def _require_within(data: mmap, end: int) -> None:
    if end > len(data):
        raise AudioError(f"truncated; at least {end - len(data)} bytes are missing at its end")


CHECKS: Mapping[Kind, Callable[[mmap, int], None]] = {
    FLV: _check_flv,
    PROGRAM_STREAM: _check_program_stream,
    AVI: _check_avi,
    ASF: _check_asf,
}

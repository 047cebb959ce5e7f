"""MPEG audio (MP3), AAC in ADTS, AC-3 and E-AC-3: does every frame lead to the next, up to the end of the file?

None of these formats states its length, and decoders silently skip what they do not recognise. Each frame's header
states its size, so nothing is missing, moved or inserted if the chain of headers is unbroken.

Sources: ISO/IEC 11172-3, 2.4.1.3 and 13818-3 (header of MPEG audio); ISO/IEC 14496-3, 1.A.2.2 (ADTS);
ETSI TS 102 366, 4.4.1 and E.2.3 (AC-3 and E-AC-3).
"""

from collections.abc import Callable, Mapping
from mmap import ACCESS_READ, mmap
from typing import BinaryIO, NamedTuple

from spoofcache.features.audio.kinds import AC3, ADTS, EAC3, HEAD_BYTES, MPEG, Kind, id3_size
from spoofcache.features.audio.result import AudioError

BITRATES = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates in kbit/s by the code in the header, for each version (whether it is MPEG-1) and layer."""

MPEG_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
"""Sample rate in Hz by the codes of the version and the rate."""

ADTS_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
AC3_RATES = (48_000, 44_100, 32_000)
AC3_BITRATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
AC3_CHANNELS = (2, 1, 2, 3, 3, 4, 4, 5)
"""Number of channels by the code of their arrangement, without the one for low frequencies."""

EAC3_BLOCKS = (1, 2, 3, 6)
BLOCK = 256
"""Samples of a block of AC-3; a frame has six, one of E-AC-3 may have fewer."""

ID3V1_BYTES, APE_BYTES = 128, 32
SECTOR = 512
INFO_FRAME_BYTES = 200
INFO_PLACES = (36, 21, 13)
"""Place of the Info tag in its frame: after the header and the side information of one or two channels."""

DECODER_SECONDS = 1.0
"""Number of first frames for which a decoder may return nothing."""


class Frame(NamedTuple):
    """What the header of a frame states: size in bytes, decoded samples per channel, rate in Hz, number of channels."""

    size: int
    samples: int
    rate: int
    channels: int

    @property
    def form(self) -> str:
        """The properties that must not change within a file."""
        return f"{self.rate} Hz, {self.channels} channel{'s' * (self.channels > 1)}"


Segment = tuple[int, int]
"""A run of consecutive frames: the place of its first byte, and the place after its last."""


class Chain(NamedTuple):
    """The frames of a file.

    Attributes:
        segments: the places of the frames; tags lie between two segments.
        seconds: their decoded duration, including the silence that the encoder adds at both ends.
        n_frames: number of frames.
        is_whole: whether they are all frames of the file.
    """

    segments: list[Segment]
    seconds: float
    n_frames: int
    is_whole: bool


def check_frames(file: BinaryIO, start: int, kind: Kind, seconds: float | None) -> Chain:
    """Follow the frames of a file to its end, or for the given number of seconds.

    Raises:
        AudioError: a frame is cut off, or bytes between two frames are neither a frame nor a tag. The message does not
            name the file.
    """
    header = HEADERS[kind]
    at, length, count, form = start, 0.0, 0, ""
    segments = [(start, start)]
    with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        size = len(data)
        while at < size and (seconds is None or length <= seconds + DECODER_SECONDS):
            frame = header(data[at : at + 8])
            if frame is None:
                at += _between(data, at)
                segments.append((at, at))
                continue
            form = form or frame.form
            if frame.samples and frame.form != form:
                raise AudioError(f"{form} becomes {frame.form} at byte {at}; expected one form")
            at += frame.size
            segments[-1] = (segments[-1][0], at)
            length += frame.samples / frame.rate
            count += 1
        beginning = data[start : start + INFO_FRAME_BYTES]
    if at > size:
        raise AudioError(f"truncated; {at - size} bytes of its last frame are missing")
    if kind == MPEG and at == size:
        first = header(beginning)
        if first and _check_info(beginning, sum(behind - first for first, behind in segments)):
            segments[0] = (segments[0][0] + first.size, segments[0][1])
    return Chain([segment for segment in segments if segment[1] > segment[0]], length, count, at == size)


def _check_info(frame: bytes, found: int) -> bool:
    """Compare a file with its first frame, the encoder's Info frame, which states the bytes of all frames.

    Returns whether the file has more bytes than stated, because several files were joined. A decoder that trusts the
    Info frame would then remove samples at the end of the first of them. Source: the LAME project's Info tag
    specification.
    """
    at = next((at for at in INFO_PLACES if frame[at : at + 4] in (b"Xing", b"Info")), None)
    if at is None:
        return False
    flags = int.from_bytes(frame[at + 4 : at + 8], "big")
    place = at + 8 + 4 * (flags & 1)
    stated = int.from_bytes(frame[place : place + 4], "big") if flags & 2 else 0
    if stated > found:
        raise AudioError(f"truncated; expected {stated} bytes of frames, found {found}")
    checksum = int.from_bytes(frame[at + 154 : at + 156], "big")
    by_lame = flags & 15 == 15 and frame[at + 120 : at + 124] == b"LAME" and checksum != 0  # others count differently
    if by_lame and _crc16(frame[: at + 154]) != checksum:
        raise AudioError("damaged; its first frame does not have the checksum that it states")
    return 0 < stated < found


def _crc16(data: bytes) -> int:
    """Polynomial x¹⁶ + x¹⁵ + x² + 1, the lowest bit first, from 0."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def _between(data: mmap, at: int) -> int:
    """Size in bytes of the tag or the padding at that place; raises AudioError if there is neither."""
    head = data[at : at + HEAD_BYTES]
    if size := id3_size(head):
        return size
    if head[:3] == b"TAG":
        return ID3V1_BYTES
    if head[:8] == b"APETAGEX":
        return int.from_bytes(head[12:16], "little") + (APE_BYTES if head[20 + 3] & 0x20 else 0)
    if head[:11] == b"LYRICSBEGIN":
        end = data.find(b"LYRICS200", at)
        return end + 9 - at if end >= 0 else len(data) - at
    rest = data[at:]
    if not rest.strip(b"\0") and (len(data) % SECTOR == 0 or len(rest) < SECTOR):
        return len(rest)
    if len(rest) < 8 and data[at : at + 1] == b"\xff":
        raise AudioError("truncated; its last frame's header is cut off")
    raise AudioError(f"damaged; no frame at byte {at}")


def _mpeg(head: bytes) -> Frame | None:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bitrate, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return None
    channels = 1 if head[3] >> 6 == 3 else 2
    hertz, generation = MPEG_RATES[version][rate], 1 if version == 3 else 2
    kilobits = BITRATES[generation, layer][bitrate]
    if layer == 1:
        return Frame((12_000 * kilobits // hertz + padding) * 4, 384, hertz, channels)
    samples = 576 if layer == 3 and generation == 2 else 1152
    return Frame(samples // 8 * 1000 * kilobits // hertz + padding, samples, hertz, channels)


def _adts(head: bytes) -> Frame | None:
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return None
    rate, size = head[2] >> 2 & 15, (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    if rate >= len(ADTS_RATES) or size < 7:
        return None
    return Frame(size, 1024 * ((head[6] & 3) + 1), ADTS_RATES[rate], (head[2] & 1) << 2 | head[3] >> 6)


def _ac3(head: bytes) -> Frame | None:
    if len(head) < 7 or head[:2] != b"\x0b\x77":
        return None
    rate, code = head[4] >> 6, head[4] & 63
    if rate == 3 or code >= 2 * len(AC3_BITRATES):
        return None
    kilobits, hertz = AC3_BITRATES[code // 2], AC3_RATES[rate]
    words = kilobits * 96_000 // hertz + (code & 1 if hertz == 44_100 else 0)
    return Frame(2 * words, 6 * BLOCK, hertz, AC3_CHANNELS[head[6] >> 5])


def _eac3(head: bytes) -> Frame | None:
    if len(head) < 6 or head[:2] != b"\x0b\x77":
        return None
    rate, blocks = head[4] >> 6, EAC3_BLOCKS[head[4] >> 4 & 3]
    if rate == 3:  # half of a rate, which is stated instead of the number of blocks, then always six
        rate, blocks = head[4] >> 4 & 3, 6
        if rate == 3:
            return None
        hertz = AC3_RATES[rate] // 2
    else:
        hertz = AC3_RATES[rate]
    is_added = head[2] >> 6 == 1  # further channels of the frame before it
    size = 2 * (((head[2] & 7) << 8 | head[3]) + 1)
    return Frame(size, 0 if is_added else blocks * BLOCK, hertz, AC3_CHANNELS[head[4] >> 1 & 7])


HEADERS: Mapping[Kind, Callable[[bytes], Frame | None]] = {MPEG: _mpeg, ADTS: _adts, AC3: _ac3, EAC3: _eac3}
"""Formats whose frames state their size → the reader of a frame's header."""

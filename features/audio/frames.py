"""MPEG audio (MP3) and AAC in ADTS: does every frame lead to the next, up to the end of the file?

Neither states its length, and decoders skip silently what they do not recognise. Each frame's header states its size,
so nothing can be missing, moved or inserted where the chain of headers is unbroken.

Sources: ISO/IEC 11172-3, 2.4.1.3 and 13818-3 (header of MPEG audio); ISO/IEC 14496-3, 1.A.2.2 (ADTS).
"""

from collections.abc import Callable
from mmap import ACCESS_READ, mmap
from typing import BinaryIO, NamedTuple

from spoofcache.features.audio.kinds import ADTS, HEAD_BYTES, MPEG, Kind, id3_size
from spoofcache.features.audio.result import AudioError

BITRATES = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""kbit/s by the code in the header; key: MPEG-1 or later, layer."""

MPEG_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
"""Hz by the codes of version and rate."""

ADTS_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
ID3V1_BYTES, APE_BYTES = 128, 32
SECTOR = 512
INFO_FRAME_BYTES = 200
INFO_PLACES = (36, 21, 13)
"""Where the Info tag stands in its frame: behind the header and the side information of one or two channels."""

DECODER_SECONDS = 1.0
"""A decoder gives nothing for the first frames."""


class Frame(NamedTuple):
    """What a frame's header states: its bytes, the samples per channel that it decodes to, rate in Hz, and channels."""

    size: int
    samples: int
    rate: int
    channels: int

    @property
    def form(self) -> str:
        """What must not change within a file."""
        return f"{self.rate} Hz, {self.channels} channel{'s' * (self.channels > 1)}"


Segment = tuple[int, int]
"""The first byte of some frames that follow each other, and the byte behind the last."""


class Chain(NamedTuple):
    """The frames of a file.

    Attributes:
        segments: where they lie; between two there are tags.
        seconds: what they decode to, with the silence that the encoder adds at both ends.
        n_frames: how many they are.
        is_whole: whether they are all that the file has.
    """

    segments: list[Segment]
    seconds: float
    n_frames: int
    is_whole: bool


def check_frames(file: BinaryIO, start: int, kind: Kind, seconds: float | None) -> Chain:
    """Follow the frames of a file, to its end or up to that many seconds.

    Raises:
        AudioError: without the file's name: a frame is cut off, or the bytes between two are none.
    """
    header: Callable[[bytes], Frame | None] = _adts if kind == ADTS else _mpeg
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
            if frame.form != form:
                raise AudioError(f"{form} becomes {frame.form} at byte {at}; expected one form")
            at += frame.size
            segments[-1] = (segments[-1][0], at)
            length += frame.samples / frame.rate
            count += 1
        beginning = data[start : start + INFO_FRAME_BYTES]
    if at > size:
        raise AudioError(f"truncated; its last frame lacks {at - size} bytes")
    if kind == MPEG and at == size:
        first = header(beginning)
        if first and _check_info(beginning, sum(behind - first for first, behind in segments)):
            segments[0] = (segments[0][0] + first.size, segments[0][1])
    return Chain([segment for segment in segments if segment[1] > segment[0]], length, count, at == size)


def _check_info(frame: bytes, found: int) -> bool:
    """Hold a file to its Info frame, which encoders put first: it states the bytes of all frames and its own checksum.

    Returns whether there are more bytes than stated, those of files that were joined: a decoder that believes the Info
    frame would then take samples away where the first of them ended. Source: the LAME project's Info tag specification.
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
    by_lame = flags & 15 == 15 and frame[at + 120 : at + 124] == b"LAME" and checksum != 0  # others count otherwise
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
    """Bytes of the tag or of the padding at that place; AudioError where it is neither."""
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

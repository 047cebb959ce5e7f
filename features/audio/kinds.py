"""Recognise the format of a file by its first bytes alone, not by its name or by a decoder's guess.

Text files that name other files (ffconcat, M3U, PLS, SDP) are not recognised, and each format is opened by one fixed
demuxer of FFmpeg, so that no file can make a decoder open another file.
"""

import re
from collections.abc import Mapping, Sequence
from typing import BinaryIO, NamedTuple

HEAD_BYTES = 64
ID3_HEADER = 10


class Kind(NamedTuple):
    """A file format.

    Attributes:
        name: its name, for messages.
        demuxer: FFmpeg's demuxer for it.
        by_libsndfile: whether libsndfile is tried first.
    """

    name: str
    demuxer: str
    by_libsndfile: bool = False


MPEG = Kind("MPEG audio", "mp3")
ADTS = Kind("AAC", "aac")
WAV = Kind("WAV", "wav", by_libsndfile=True)
RF64 = Kind("RF64", "wav", by_libsndfile=True)
W64 = Kind("Wave64", "w64", by_libsndfile=True)
AIFF = Kind("AIFF", "aiff", by_libsndfile=True)
CAF = Kind("CAF", "caf", by_libsndfile=True)
AU = Kind("AU", "au", by_libsndfile=True)
NIST = Kind("NIST SPHERE", "nistsphere", by_libsndfile=True)
FLAC = Kind("FLAC", "flac", by_libsndfile=True)
OGG = Kind("Ogg", "ogg", by_libsndfile=True)
MP4 = Kind("MP4", "mov")
MATROSKA = Kind("Matroska/WebM", "matroska")
ASF = Kind("ASF", "asf")
AVI = Kind("AVI", "avi")
FLV = Kind("FLV", "flv")
PROGRAM_STREAM = Kind("MPEG program stream", "mpeg")
AC3 = Kind("AC-3", "ac3")
EAC3 = Kind("E-AC-3", "eac3")

_MAGIC: Sequence[tuple[bytes, Kind]] = (
    (rb"RI(FF|FX)....WAVE", WAV),
    (rb"RF64....WAVE", RF64),
    (rb"riff\x2e\x91\xcf\x11", W64),
    (rb"FORM....AIF[FC]", AIFF),
    (rb"caff", CAF),
    (rb"\.snd", AU),
    (rb"NIST_1A", NIST),
    (rb"fLaC", FLAC),
    (rb"OggS", OGG),
    (rb"....(ftyp|moov|mdat|wide|free|skip|pnot)", MP4),
    (rb"\x1a\x45\xdf\xa3", MATROSKA),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", ASF),
    (rb"RIFF....AVI ", AVI),
    (rb"FLV\x01", FLV),
    (rb"#!AMR", Kind("AMR", "amr")),
    (rb"wvpk", Kind("WavPack", "wv")),
    (rb"TTA1", Kind("True Audio", "tta")),
    (rb"MAC ", Kind("Monkey's Audio", "ape")),
    (rb"tBaK", Kind("TAK", "tak")),
    (rb"MPCK", Kind("Musepack", "mpc8")),
    (rb"MP\+", Kind("Musepack", "mpc")),
    (rb"Creative Voice File", Kind("VOC", "voc")),
    (rb"\x00\x00\x01\xba", PROGRAM_STREAM),
    (rb"\x0b\x77...[\x00-\x57]", AC3),
    (rb"\x0b\x77", EAC3),
    (rb"\xff[\xf0\xf1\xf8\xf9]", ADTS),
    (rb"\xff[\xe2-\xff]", MPEG),
)
BY_MAGIC = tuple((re.compile(magic, re.DOTALL), kind) for magic, kind in _MAGIC)
BY_ENDING: Mapping[str, Kind] = {".g722": Kind("G.722", "g722")}
"""Formats without a header."""

PLAYLIST = re.compile(
    rb"(\xef\xbb\xbf)?\s*(#EXTM3U|ffconcat|\[playlist\]|v=0\r?\n|<\?xml|<asx|<smil|file\s+\S|https?://)", re.I
)


def id3_size(head: bytes) -> int:
    """Size in bytes of the ID3v2 tag with which `head` begins; 0 if there is none."""
    if head[:3] != b"ID3" or len(head) < ID3_HEADER or max(head[6:10]) > 0x7F:
        return 0
    footer = ID3_HEADER if head[5] & 0x10 else 0
    return ID3_HEADER + footer + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])


class Found(NamedTuple):
    """The format of a file (None if it is unknown), and the place at which it begins, after any ID3v2 tags."""

    kind: Kind | None
    start: int
    names_other_files: bool = False


def kind_of(file: BinaryIO, ending: str) -> Found:
    """The format of a regular file by its content; only formats without a header are recognised by the file ending."""
    start, head = 0, file.read(HEAD_BYTES)
    while size := id3_size(head):
        start += size
        file.seek(start)
        head = file.read(HEAD_BYTES)
    for magic, kind in BY_MAGIC:
        if magic.match(head):
            return Found(kind, start)
    if PLAYLIST.match(head):
        return Found(None, start, names_other_files=True)
    return Found(BY_ENDING.get(ending.lower()) if head else None, start)

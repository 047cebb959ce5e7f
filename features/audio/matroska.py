"""Matroska and WebM: the length and the duration that the header states.

Source: RFC 9559 (Segment 0x18538067, TimestampScale 0x2AD7B1, Duration 0x4489), RFC 8794 (sizes of elements).
"""

import re
from io import SEEK_END
from typing import BinaryIO

import numpy as np

from spoofcache.features.audio.result import AudioError

HEAD_BYTES = 8192
NANOSECONDS = 1_000_000
"""TimestampScale where the header states none."""


def check_matroska(file: BinaryIO) -> None:
    """AudioError, without the file's name, where the file is shorter than its segment."""
    found = file.seek(0, SEEK_END)
    file.seek(0)
    head = file.read(HEAD_BYTES)
    at = head.find(b"\x18\x53\x80\x67")
    if at < 0:
        raise AudioError("damaged; no segment in it")
    first = head[at + 4] if at + 4 < len(head) else 0
    width = 9 - first.bit_length()
    size = int.from_bytes(head[at + 4 : at + 4 + width], "big") & (1 << 7 * width) - 1
    if first and size != (1 << 7 * width) - 1 and at + 4 + width + size > found:  # all ones: not known, as in a stream
        raise AudioError(f"truncated; expected {at + 4 + width + size} bytes, found {found}")


def stated_seconds(file: BinaryIO) -> float | None:
    """The duration in the header; None where it states none."""
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

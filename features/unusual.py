"""Recordings that can be decoded, and that somebody should listen to nevertheless."""

from spoofcache.features.audio.levels import is_clipped, is_silent
from spoofcache.features.waveform import Waveform

KINDS = ("silent", "constant", "clipped")


def unusual(waveform: Waveform) -> str:
    """Which of KINDS a waveform [n] with n ≥ 1 is, or "" for none of them. A constant one has a single value."""
    if is_silent(waveform):
        return "silent"
    if waveform.min() == waveform.max():
        return "constant"
    return "clipped" if is_clipped(waveform) else ""

"""Recognise silent and clipped waveforms, for recordings that are scored and corpora that are prepared."""

import numpy as np

from spoofcache.features.audio.result import Waveform

SILENT_PEAK = 1e-3
"""A waveform is silent if its largest sample is below this (−60 dB of full scale)."""

FULL_SCALE, CLIPPED_SAMPLES = 0.9999, 3
"""A waveform is clipped if it has this many samples at full scale. Normalisation to the peak gives one or two."""


def is_silent(waveform: Waveform) -> bool:
    """Whether a waveform [n] is silent."""
    return bool(np.abs(waveform).max(initial=0) < SILENT_PEAK)


def is_clipped(waveform: Waveform) -> bool:
    """Whether a waveform [n] is clipped."""
    return bool(np.count_nonzero(np.abs(waveform) >= FULL_SCALE) >= CLIPPED_SAMPLES)

"""Mel-frequency cepstral coefficients, as SpeechBrain computes them (`MFCC`, without deltas and context).

Source: SpeechBrain, commit 9c826ef, with seed 004's 80 filters and 80 cepstra in place of its 23 and 20
(SPECS.md §6); numbers: tests/golden/mfcc_reference.npz.
"""

from collections.abc import Mapping
from typing import Any

import torch

from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.features.frontends.lfcc import dct_matrix
from spoofcache.features.frontends.logmel import SPEECHBRAIN, LogMel, MelSettings


class MFCC(LogMel):
    """Waveform [n] → [T, n_mels]: the cosine transform of the log-mel energies, none of its coefficients dropped."""

    slug = "mfcc"

    def __init__(self, options: FrontEndOptions, mel_settings: MelSettings = SPEECHBRAIN) -> None:
        super().__init__(options, mel_settings)
        self._dct = dct_matrix(mel_settings.n_mels).to(self._device)

    def settings(self) -> Mapping[str, Any]:
        return {**super().settings(), "n_coefficients": self._mel_settings.n_mels}

    def extract(self, waveforms: torch.Tensor) -> torch.Tensor:
        return super().extract(waveforms) @ self._dct

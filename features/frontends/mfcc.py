"""Mel-frequency cepstral coefficients, as SpeechBrain computes them (`MFCC`, without deltas and context).

Source: speechbrain/speechbrain, commit 9c826ef, with 80 filters and 80 cepstra where its defaults are 23 and 20;
reference numbers: tests/golden/mfcc_reference.npz.
"""

from collections.abc import Mapping
from typing import Any

import torch

from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.features.frontends.logmel import SPEECHBRAIN, LogMel, MelSettings
from spoofcache.features.frontends.spectral import dct_matrix


class MFCC(LogMel):
    """Waveform [n] → [T, n_mels]: the cosine transform of the log-mel energies, with all of its coefficients kept."""

    slug = "mfcc"

    def __init__(self, options: FrontEndOptions, mel_settings: MelSettings = SPEECHBRAIN) -> None:
        super().__init__(options, mel_settings)
        self._dct = dct_matrix(mel_settings.n_mels).to(self.device)

    def settings(self) -> Mapping[str, Any]:
        return {**super().settings(), "n_coefficients": self._mel_settings.n_mels}

    def features(self, waveform: torch.Tensor) -> torch.Tensor:
        return super().features(waveform) @ self._dct

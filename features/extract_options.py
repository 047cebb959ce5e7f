"""How a partition is extracted."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from spoofcache.features.augment.view import View
from spoofcache.features.decoding import Form
from spoofcache.features.waveform import N_SAMPLES


@dataclass(frozen=True, kw_only=True)
class ExtractOptions:
    """How a partition is extracted. Only `fit`, `n_samples`, `dtype` and `view` change what is stored.

    Attributes:
        fit: how a short waveform is padded: a key of `features.waveform.FIT_RULES`.
        n_samples: length of every waveform, in samples.
        dtype: number type of the stored features; None for the default of the front-end.
        view: the augmentation of the waveforms; None for clean waveforms.
        batch_size: number of utterances in each call of the front-end.
        workers: number of decoding threads or, from `PROCESSES_FROM` utterances on, decoding processes.
        skip_bad_audio: omit unusable utterances instead of stopping.
        compression: `lzf`, `gzip`, or None for contiguous rows that are read through a memory map.
        device: the device that the front-end runs on.
        relabel: replace the trial list of a partition that has the same utterances; see `features.trial_list`.
        repair: read every row of the finished shards, and recompute the damaged shards.
        trust_audio: accept finished shards without checking that the audio files have not changed since.
        shards: numbers of the shards to make; None for all. Others may be made elsewhere meanwhile.
    """

    fit: str = "repeat"
    n_samples: int = N_SAMPLES
    dtype: str | None = None
    view: View | None = None
    batch_size: int = 8
    workers: int = 2
    skip_bad_audio: bool = False
    compression: str | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    relabel: bool = False
    repair: bool = False
    trust_audio: bool = False
    shards: Sequence[int] | None = None

    @property
    def form(self) -> Form:
        """The settings that the waveforms depend on, besides the audio files."""
        return Form(self.batch_size, self.n_samples, self.fit, self.view)


def default_batch_size(device: torch.device) -> int:
    """Number of utterances in each call of the front-end. On an H200, 64 was faster than larger or smaller batches."""
    return 64 if device.type == "cuda" else 8


def default_workers(device: torch.device) -> int:
    """Number of files to decode at once. A GPU processes about 2,000 files per second, which take 2 to 4 cores."""
    return min(8, max(2, (os.cpu_count() or 2) // 2)) if device.type == "cuda" else 2

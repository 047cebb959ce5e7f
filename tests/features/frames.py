"""A front-end simple enough to check by eye, and small caches made with it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spoofcache.features.dataset import CachedFeatures, Item
from spoofcache.features.extract import Extracted, extract_partition, make_identity
from spoofcache.features.extract_options import ExtractOptions
from spoofcache.features.frontends.base import FrontEnd
from spoofcache.features.plan import Plan
from spoofcache.protocols.trial import Trial

FRAME = 100
OPTIONS = ExtractOptions(n_samples=1_000, batch_size=3)


class Frames(FrontEnd):
    """Waveform [n] → its frames [n // 100, 100], once per gain. `batches` are their sizes, `break_at` ends it."""

    slug = "frames"

    def __init__(self, gains: Sequence[float] = (1.0,), break_at: int | None = None) -> None:
        self.gains = gains
        self.break_at = break_at
        self.batches: list[int] = []

    @property
    def seen(self) -> int:
        """Utterances so far."""
        return sum(self.batches)

    def settings(self) -> Mapping[str, Any]:
        return {"name": "frames", "gains": list(self.gains)}

    def extract(self, waveforms: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(waveforms))
        if self.break_at is not None and self.seen >= self.break_at:
            raise KeyboardInterrupt
        layers = torch.stack([gain * waveforms for gain in self.gains], dim=1)
        return layers.unflatten(-1, (-1, FRAME)) if len(self.gains) > 1 else layers[:, 0].unflatten(-1, (-1, FRAME))

    def row_shape(self, n_samples: int) -> tuple[int, ...]:
        layers = (len(self.gains),) if len(self.gains) > 1 else ()
        return (*layers, n_samples // FRAME, FRAME)


def plan_for(
    trials: Sequence[Trial], frontend: FrontEnd, options: ExtractOptions = OPTIONS, shard_size: int = 4
) -> Plan:
    """A plan with shards of a few utterances."""
    shape = frontend.row_shape(options.n_samples)
    plan = Plan.make("test", "train", make_identity(frontend, options), trials, shape)
    return replace(plan, shard_size=shard_size)


def extract(
    trials: Sequence[Trial], folder: Path, frontend: FrontEnd, options: ExtractOptions = OPTIONS, **how: Any
) -> Extracted:
    """Extract into shards of four utterances."""
    return extract_partition(trials, plan_for(trials, frontend, options), frontend, folder, options, **how)


def items(dataset: CachedFeatures) -> list[Item]:
    """All items of a cache in order."""
    return [dataset[index] for index in range(len(dataset))]


def by_hand(trials: Sequence[Trial], n_samples: int = OPTIONS.n_samples) -> np.ndarray:
    """What `Frames()` makes of the trials, without any of our code: [N, n // 100, 100] float32."""
    import soundfile  # here, so that a machine without it runs the tests that read no audio

    audio = [soundfile.read(trial.path, dtype="float32")[0] for trial in trials]
    return np.stack([np.resize(samples, n_samples).reshape(-1, FRAME) for samples in audio])

"""A run folder as an object: the network, its features, and scores of arrays, recordings and caches. For notebooks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from spoofcache.common.arguments import ArgumentError, checked, real_array
from spoofcache.common.hub import local_folder
from spoofcache.common.machine import find_device
from spoofcache.engine.about import About, RunError
from spoofcache.engine.checkpoint import load_model
from spoofcache.engine.countermeasure import Countermeasure
from spoofcache.engine.detection import Detector
from spoofcache.engine.recordings import Track
from spoofcache.engine.score import run_batch, score_partition
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.online import OnlineFeatures, rebuild_features
from spoofcache.features.plan import Identity, weights_folder
from spoofcache.features.waveform import MIN_SAMPLES, SAMPLE_RATE
from spoofcache.metrics.scores import CmScores


def _waveform(values: ArrayLike) -> NDArray[np.float32]:
    samples = real_array(values, "waveform").astype(np.float32)
    if samples.ndim != 1 or len(samples) < MIN_SAMPLES:
        raise ArgumentError(f"waveform of shape {samples.shape}; expected [n] with at least {MIN_SAMPLES} samples")
    if not np.isfinite(samples).all():
        raise ArgumentError("waveform with NaN or infinite samples; expected finite numbers")
    return samples


Which = Literal["best", "last", "average"]
"""The weights of a run folder that can be loaded."""


@dataclass(frozen=True)
class LoadedRun:
    """A trained network in evaluation mode. Every score is that of its loss; a higher one is more bona fide.

    Attributes:
        model: the network and its loss.
        about: the settings, the feature identity and the dev EER, as in `model.json`.
        device: device on which everything runs.
        weights: folder of the speech model's checkpoint, used instead of the hub when recordings are scored.
    """

    model: Countermeasure
    about: About
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    weights: Path | None = None

    @cached_property
    def features(self) -> OnlineFeatures:
        """The front-end that the network was trained behind; it is loaded when it is first used."""
        return rebuild_features(Identity(self.about.identity), self.about.front_end_weights(self.weights), self.device)

    @torch.inference_mode()
    def score_features(self, features: ArrayLike) -> NDArray[np.float64]:
        """Scores [B] of an array of features [B, …].

        Raises:
            RunError: the rows are not of the shape that the network was trained on, or have values that are not finite.
            ArgumentError: the features are not numbers.
        """
        rows = real_array(features, "features").astype(np.float32)
        expected = tuple(self.about.feature_shape)
        if rows.shape[1:] != expected:
            raise RunError(f"features of shape {rows.shape}; expected (B, {', '.join(map(str, expected))})")
        if not np.isfinite(rows).all():
            raise RunError("features with NaN or infinite values; expected finite numbers")
        output = run_batch(self.model, torch.from_numpy(rows), self.device)
        return self.model.score(output).cpu().numpy().astype(np.float64)

    def score_waveforms(self, waveforms: Sequence[ArrayLike]) -> NDArray[np.float64]:
        """Scores [B] of waveforms, each [n] at 16 kHz with samples around ±1. Only the first window is scored.

        Raises:
            ArgumentError: there is no waveform, or one of them is not [n] with finite numbers and n of at least 400.
            StoreError: a feature has no place in the number type that the cache was stored in.
        """
        if not isinstance(waveforms, Sequence | np.ndarray | torch.Tensor) or isinstance(waveforms, str | bytes):
            raise ArgumentError(f"score_waveforms with {type(waveforms).__name__}; expected a sequence of waveforms")
        if not len(waveforms):
            raise ArgumentError("score_waveforms with no waveform; expected at least one")
        windows = [_waveform(each)[: self.features.n_samples] for each in waveforms]
        return self.score_features(self.features.extract(windows, "waveform").float().cpu().numpy())

    @checked
    def score_file(self, path: Path | str, hop: float | None = None) -> Track:
        """The scores of an audio file over time: `score` is the mean, `scores` those of the windows.

        Args:
            path: a file in any audio format.
            hop: seconds from one window to the next; by default, only the first window is scored.

        Raises:
            AudioError: the file has no usable audio.
        """
        if hop is not None and not (math.isfinite(hop) and hop > 0):
            raise RunError(f"score_file with hop {hop}; expected seconds, more than 0")
        samples = None if hop is None else max(1, round(hop * SAMPLE_RATE))
        return Detector(self.model, self.features, self.device).track(Path(path), samples)

    @checked
    def score_cache(self, cache: CachedFeatures | Path | str, batch_size: int = 64) -> CmScores:
        """The scores of a cached partition, with names, attacks and keys of its utterances.

        Raises:
            ShardMismatch: the cache holds other features than the network was trained on.
        """
        if batch_size < 1:
            raise RunError(f"score_cache with batch_size {batch_size}; expected at least 1")
        folder = cache.folder if isinstance(cache, CachedFeatures) else Path(cache)
        data = CachedFeatures(folder, expected=Identity(self.about.identity))
        return score_partition(self.model, data, batch_size, self.device)


@checked
def load_run(
    folder: Path | str, checkpoint: Which = "best", device: str = "cpu", weights: Path | str | None = None
) -> LoadedRun:
    """Load a run folder.

    Args:
        folder: run folder of main_train.py or tools/import_checkpoint.py, or a run on the hub (`hf://owner/name`, with
            or without `@revision`).
        checkpoint: `best`, `last` or `average`.
        device: `cpu`, `cuda`, `cuda:k` or `auto`.
        weights: folder of the speech model's checkpoint in the hub's format. The default is the folder that the run's
            features were made with, if it is still there, and otherwise the hub.

    Raises:
        RunError: the folder has no such weights, or a plug-in of the run cannot be imported.
        HubError: the hub has no such run, or cannot be reached.
        DeviceError: there is no such device here.
    """
    on = find_device(device, "load_run with device")
    run = local_folder(folder)
    speech_model = weights_folder(run) if weights is None else Path(weights)
    model, about = load_model(run, checkpoint, speech_model)
    return LoadedRun(model.to(on), about, on, speech_model)

"""A run folder as an object: the network, its features, and scores of arrays, recordings and caches. For notebooks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from spoofcache.engine.about import About, RunError
from spoofcache.engine.checkpoint import load_model
from spoofcache.engine.countermeasure import Countermeasure
from spoofcache.engine.detection import Detector
from spoofcache.engine.recordings import Track
from spoofcache.engine.score import run_batch, score_partition
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.online import OnlineFeatures, rebuild_features
from spoofcache.features.plan import Identity, weights_folder
from spoofcache.features.waveform import SAMPLE_RATE
from spoofcache.metrics.scores import CmScores


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
            RunError: the rows are not of the shape that the network was trained on.
        """
        rows = np.asarray(features, np.float32)
        expected = tuple(self.about.feature_shape)
        if rows.shape[1:] != expected:
            raise RunError(f"features of shape {rows.shape}; expected (B, {', '.join(map(str, expected))})")
        output = run_batch(self.model, torch.from_numpy(rows), self.device)
        return self.model.score(output).cpu().numpy().astype(np.float64)

    def score_waveforms(self, waveforms: Sequence[ArrayLike]) -> NDArray[np.float64]:
        """Scores [B] of waveforms, each [n] at 16 kHz with samples around ±1. Only the first window is scored.

        Raises:
            StoreError: a feature has no place in the number type that the cache was stored in.
        """
        windows = [np.asarray(waveform, np.float32)[: self.features.n_samples] for waveform in waveforms]
        return self.score_features(self.features.extract(windows, "waveform").float().cpu().numpy())

    def score_file(self, path: Path | str, hop: float | None = None) -> Track:
        """The scores of an audio file over time: `score` is the mean, `scores` those of the windows.

        Args:
            path: a file in any audio format.
            hop: seconds from one window to the next; by default, only the first window is scored.

        Raises:
            AudioError: the file has no usable audio.
        """
        samples = None if hop is None else max(1, round(hop * SAMPLE_RATE))
        return Detector(self.model, self.features, self.device).track(Path(path), samples)

    def score_cache(self, cache: CachedFeatures | Path | str, batch_size: int = 64) -> CmScores:
        """The scores of a cached partition, with names, attacks and keys of its utterances.

        Raises:
            ShardMismatch: the cache holds other features than the network was trained on.
        """
        folder = cache.folder if isinstance(cache, CachedFeatures) else Path(cache)
        data = CachedFeatures(folder, expected=Identity(self.about.identity))
        return score_partition(self.model, data, batch_size, self.device)


def load_run(
    folder: Path | str, checkpoint: str = "best", device: str = "cpu", weights: Path | str | None = None
) -> LoadedRun:
    """Load a run folder.

    Args:
        folder: run folder of main_train.py or tools/import_checkpoint.py.
        checkpoint: `best`, `last` or `average`.
        device: `cpu` or `cuda`.
        weights: folder of the speech model's checkpoint in the hub's format. The default is the folder that the run's
            features were made with, if it is still there, and otherwise the hub.

    Raises:
        RunError: the folder has no such weights, or a plug-in of the run cannot be imported.
    """
    on = torch.device(device)
    speech_model = weights_folder(Path(folder)) if weights is None else Path(weights)
    model, about = load_model(Path(folder), checkpoint, speech_model)
    return LoadedRun(model.to(on), about, on, speech_model)

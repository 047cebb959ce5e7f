"""Run folders whose scores can be told by hand: a logistic regression of given weights, never trained."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from spoofcache.engine.about import FORMAT_VERSION, About
from spoofcache.engine.checkpoint import CONFIG, save_best
from spoofcache.engine.config import BackendConfig, ExperimentConfig, OptimizerConfig, TrainConfig
from spoofcache.engine.countermeasure import build_countermeasure
from spoofcache.features.plan import Identity
from spoofcache.protocols.trial import CLASS_INDEX, Trial
from tests.corpora import IDENTITY, write_cache

TRIALS = [
    Trial(f"u{number}", "bonafide" if number < 4 else "spoof", conditions={"language": "en" if number % 2 else "zh"})
    for number in range(8)
]
"""Four bona fide trials, then four of spoof; u1, u3, u5 and u7 are English."""
PERFECT = (4, 3, 2, 1, 0, -1, -2, -3)
ONE_IN_FOUR = (7, 6, 5, 1, 2, 0, -1, -2)
"""u3 is below u4, so that with a threshold between them one of four in each class is wrong."""


def write_run(
    folder: Path,
    weights: Sequence[float] = (1, 0),
    *,
    identity: Identity = IDENTITY,
    seed: int = 0,
    lr: float = 1e-4,
    trained_on: tuple[str, ...] = ("LA/train",),
    data: Mapping[str, str] | None = None,
) -> Path:
    """A run folder whose network scores an utterance by a weighted sum of its two coefficients."""
    folder.mkdir(parents=True, exist_ok=True)
    experiment = ExperimentConfig(
        BackendConfig("pooled_linear"), optimizer=OptimizerConfig(lr=lr), train=TrainConfig(seed=seed)
    )
    (folder / CONFIG).write_text(experiment.to_toml())
    about = About(
        format_version=FORMAT_VERSION,
        backend="pooled_linear",
        settings={},
        feature_shape=(2, 2),
        identity=identity.settings,
        class_index=CLASS_INDEX,
        epoch=0,
        dev_eer=0.1,
        dev_loss=0.2,
        versions={},
        trained_on=trained_on,
        data=data or {},
    )
    model = build_countermeasure(about)
    linear = {"linear.weight": torch.tensor([[0.0, 0.0], list(weights)]), "linear.bias": torch.zeros(2)}
    model.load_state_dict(linear)
    save_best(folder, model, about)
    return folder


def write_test(
    folder: Path,
    first: Sequence[float],
    second: Sequence[float] = PERFECT,
    *,
    trials: Sequence[Trial] = TRIALS,
    identity: Identity = IDENTITY,
) -> Path:
    """A cached partition of utterances with two coefficients, the same in both frames."""
    coefficients = np.stack([np.array(first, float), np.array(second, float)], axis=1)
    return write_cache(folder, trials, np.repeat(coefficients[:, None], 2, axis=1), identity)

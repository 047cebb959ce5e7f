"""Fit the calibration and the threshold of a run on the dev partition that selected its weights."""

from collections.abc import Callable
from pathlib import Path

import torch

from spoofcache.engine.calibration_file import read_decision, weights_sha256, write_decision
from spoofcache.engine.checkpoint import PAIRS, load_model
from spoofcache.engine.score import score_partition
from spoofcache.features.dataset import CachedFeatures
from spoofcache.metrics.decision import fit_decision
from spoofcache.metrics.det import ScoreError


def calibrate(
    run: Path,
    dev: CachedFeatures,
    batch_size: int,
    device: torch.device,
    advance: Callable[[int], None] = lambda n: None,
    speech_model: Path | None = None,
) -> list[str]:
    """Score dev with each kind of weights that the run folder has, and keep what is fitted on the scores.

    Weights that have a calibration already are not scored again. `advance` is called with numbers of utterances.

    Returns:
        A sentence for each kind of weights whose scores cannot be calibrated.
    """
    notes = []
    for which, (_, description, _) in PAIRS.items():
        if not (run / description).exists():
            continue
        weights = weights_sha256(run, which)
        if read_decision(run, which, weights) is not None:
            advance(len(dev))
            continue
        model, _ = load_model(run, which, speech_model)
        scores = score_partition(model, dev, batch_size, device, advance)
        try:
            name = f"{dev.plan.corpus}/{dev.plan.partition}"
            write_decision(run, which, fit_decision(scores.scores, scores.require_keys(), name, weights))
        except ScoreError as error:
            notes.append(f"the {which} weights have no calibration: {error}")
    return notes

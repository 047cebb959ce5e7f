"""A network over a cached partition: logits, and the scores that go into a file."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from features.dataset import CachedFeatures
from metrics.scores import CmScores
from models.output import log_odds


class Scored(NamedTuple):
    """Logits [B, 2] float32 on the device, and class indices [B] there."""

    logits: torch.Tensor
    labels: torch.Tensor


@torch.inference_mode()
def run_network(
    model: nn.Module,
    data: CachedFeatures,
    batch_size: int,
    device: torch.device,
    autocast: torch.dtype = torch.float32,
    advance: Callable[[int], None] = lambda n: None,
) -> Iterator[Scored]:
    """Logits of every utterance, batch by batch in the order of the cache, in evaluation mode."""
    model.eval()
    for batch in DataLoader(data, batch_size):
        with torch.autocast(device.type, autocast, enabled=autocast is not torch.float32):
            logits = model(batch.features.to(device).float()).logits
        yield Scored(logits.float(), batch.label.to(device))
        advance(len(batch.label))


def score_partition(
    model: nn.Module,
    data: CachedFeatures,
    batch_size: int,
    device: torch.device,
    advance: Callable[[int], None] = lambda n: None,
) -> CmScores:
    """Countermeasure scores (log-odds in float32, higher = more bona fide) with the attack and key of each trial."""
    batches = run_network(model.to(device), data, batch_size, device, advance=advance)
    scores = torch.cat([log_odds(scored.logits) for scored in batches])
    return CmScores(
        utt_ids=[trial.utt_id for trial in data.trials],
        attacks=[trial.attack for trial in data.trials],
        is_bonafide=np.array([trial.label == 1 for trial in data.trials]),
        scores=scores.cpu().numpy().astype(np.float64),
    )

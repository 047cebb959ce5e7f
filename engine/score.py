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
    advance: Callable[[int], None] = lambda n: None,
) -> Iterator[Scored]:
    """Logits of every utterance, batch by batch in the order of the cache, in evaluation mode.

    In float32 throughout, whatever the training computes in: rounded logits make ties, and ties decide EERs.
    """
    model.eval()
    for batch in DataLoader(data, batch_size):
        # by default a GPU would round the inputs of float32 convolutions to 10 bits (TF32)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            logits = model(batch.features.to(device).float()).logits
        yield Scored(logits, batch.label.to(device))
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
        is_bonafide=np.array([trial.key == "bonafide" for trial in data.trials]),
        scores=scores.cpu().numpy().astype(np.float64),
    )

"""Runs a network on a cached partition, and computes its outputs or the scores for a score file."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from spoofcache.engine.countermeasure import Countermeasure
from spoofcache.engine.processes import ALONE, Processes
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.feed import Feed, rows_in_order
from spoofcache.metrics.scores import CmScores
from spoofcache.models.output import BackendOutput
from spoofcache.protocols.trial import CLASS_INDEX, UNKNOWN


class Labelled(NamedTuple):
    """Embeddings [B, E] and logits [B, 2] in float32 on the device, class indices [B] on the host, and row numbers."""

    output: BackendOutput
    labels: torch.Tensor
    rows: Sequence[int]


def run_batch(model: Countermeasure, features: torch.Tensor, device: torch.device) -> BackendOutput:
    """Compute the output for features [B, …] of any type, in float32 even if the training used another precision.

    A lower precision would round logits to equal values, and ties change the EER.
    """
    # by default a GPU would round the inputs of float32 convolutions to 10 bits (TF32)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        output: BackendOutput = model(features.to(device).float())
    return output


@torch.inference_mode()
def run_network(
    model: Countermeasure,
    data: Feed,
    batch_size: int,
    device: torch.device,
    advance: Callable[[int], None] = lambda n: None,
    processes: Processes = ALONE,
) -> Iterator[Labelled]:
    """Yield the outputs of every utterance in evaluation mode, batch by batch in the order of the rows.

    If there are several processes, each yields the outputs of its own share. The network is not compiled, because one
    pass over a partition takes less time than compiling, and on CPUs compiled float32 convolutions are not faster than
    channels-last ones. The outputs are inference tensors, so computations on them need inference mode, too.
    """
    model.eval()
    for batch, whole in processes.share_out(data, rows_in_order(len(data), batch_size)):
        yield Labelled(run_batch(model, batch.features, device), batch.label, batch.rows)
        advance(whole)


@torch.inference_mode()
def score_partition(
    model: Countermeasure,
    data: CachedFeatures,
    batch_size: int,
    device: torch.device,
    advance: Callable[[int], None] = lambda n: None,
) -> CmScores:
    """Score each trial of a partition. The loss of the model defines the score; higher means more likely bona fide."""
    feed = Feed([data], device, "mapped")  # every row is read only once
    batches = run_network(model.to(device), feed, batch_size, device, advance=advance)
    scores = torch.cat([model.score(batch.output) for batch in batches])
    return CmScores(
        utt_ids=data.trials.names,
        attacks=data.trials.column("attack", UNKNOWN),
        is_bonafide=data.labels == CLASS_INDEX["bonafide"],
        scores=scores.cpu().numpy().astype(np.float64),
    )

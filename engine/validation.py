"""Loss and EER of a network on the dev partition."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from spoofcache.engine.about import RunError
from spoofcache.engine.countermeasure import Countermeasure
from spoofcache.engine.processes import Processes
from spoofcache.engine.score import run_network
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.feed import Feed
from spoofcache.metrics.det import equal_error_rate
from spoofcache.protocols.trial import CLASS_INDEX


class DevFigures(NamedTuple):
    """Loss (a mean over utterances, each weighted by its class) and EER (a fraction) on the dev partition."""

    loss: float
    eer: float


class WeightedMean:
    """Mean of the losses of batches, each weighted by the class weights of its utterances, as the loss itself is."""

    def __init__(self) -> None:
        self._sum = self._weight = 0.0

    def add(self, loss: float, weight: float) -> None:
        """Add the loss of a batch whose utterances have this total class weight."""
        self._sum += loss * weight
        self._weight += weight

    def over(self, processes: Processes) -> float:
        """The mean over what all processes have added."""
        total, weight = processes.total(torch.tensor([self._sum, self._weight], dtype=torch.float64)).tolist()
        return float(total / weight)


class Validator:
    """Evaluates a network on the dev partition. Several processes share the utterances.

    Args:
        dev: the dev partition, with both classes.
        place: where its features are kept, as `train.features`.
        batch_size: utterances that go through the network at once.
        processes: that evaluate together.
    """

    def __init__(self, dev: CachedFeatures, place: str, batch_size: int, processes: Processes) -> None:
        self._batch_size, self._processes = batch_size, processes
        self.feed = Feed([dev], processes.device, place, processes.count_here)
        self._is_bonafide = dev.labels == CLASS_INDEX["bonafide"]

    @torch.inference_mode()
    def run(self, model: Countermeasure, advance: Callable[[int], None]) -> DevFigures:
        """Loss and EER of a network on the processes' device; `advance` is called with each number of utterances done.

        Raises:
            RunError: a score that is not a finite number.
        """
        mean, device = WeightedMean(), self._processes.device
        own_scores = torch.zeros(len(self.feed), dtype=torch.float64)
        for batch in run_network(model, self.feed, self._batch_size, device, advance, self._processes):
            loss = model.objective(batch.output, batch.labels.to(device))
            mean.add(float(loss), model.objective.batch_weight(batch.labels))
            own_scores[list(batch.rows)] = model.score(batch.output).double().cpu()
        scores = self._processes.total(own_scores).numpy(force=True)  # each utterance has one process; the others add 0
        if not np.isfinite(scores).all():
            raise RunError("the network's dev scores are not finite; expected numbers (a lower optimizer.lr may help)")
        eer = equal_error_rate(scores[self._is_bonafide], scores[~self._is_bonafide]).rate
        return DevFigures(mean.over(self._processes), eer)

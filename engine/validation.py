"""Loss and EER of a network on the dev partition."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from spoofcache.engine.about import RunError
from spoofcache.engine.countermeasure import Countermeasure
from spoofcache.engine.processes import Processes
from spoofcache.engine.score import run_network
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.device import end_of_work
from spoofcache.features.feed import Feed
from spoofcache.metrics.det import equal_error_rate
from spoofcache.protocols.trial import CLASS_INDEX

BATCHES_AHEAD = 2
"""Batches that are launched before the host reads the outcome of an earlier one; more would pin more memory."""


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


class _Outcome(NamedTuple):
    """Scores and, last, the loss of a batch, float32 [B + 1] on their way to the host, where `done` says that they are;
    the total class weight of its utterances, and their rows."""

    values: torch.Tensor
    done: torch.cuda.Event | None
    weight: float
    rows: Sequence[int]

    def wait(self) -> list[float]:
        """Wait for the values, and return them."""
        if self.done is not None:
            self.done.synchronize()
        return self.values.tolist()


class Validator:
    """Evaluates a network on the dev partition. Several processes share the utterances.

    Args:
        dev: the dev partition, with both classes.
        place: where its features are kept, as `train.features`.
        batch_size: utterances that go through the network at once.
        processes: that evaluate together.
    """

    def __init__(self, dev: CachedFeatures, place: str, batch_size: int, processes: Processes) -> None:
        self.batch_size, self._processes = batch_size, processes
        self.feed = Feed([dev], processes.device, place, processes.count_here)
        self._is_bonafide = dev.labels == CLASS_INDEX["bonafide"]

    @torch.inference_mode()
    def run(self, model: Countermeasure, advance: Callable[[int], None]) -> DevFigures:
        """Loss and EER of a network on the processes' device; `advance` is called with each number of utterances done.

        Raises:
            RunError: a score that is not a finite number.
        """
        mean, own_scores = WeightedMean(), torch.zeros(len(self.feed), dtype=torch.float64)
        for outcome in _some_behind(self._outcomes(model, advance)):
            *scores, loss = outcome.wait()
            mean.add(loss, outcome.weight)
            own_scores[list(outcome.rows)] = torch.tensor(scores, dtype=torch.float64)
        every_score = self._processes.total(own_scores).numpy(
            force=True
        )  # each utterance has one process; the others add 0
        if not np.isfinite(every_score).all():
            raise RunError("the network's dev scores are not finite; expected numbers (a lower optimizer.lr may help)")
        eer = equal_error_rate(every_score[self._is_bonafide], every_score[~self._is_bonafide]).rate
        return DevFigures(mean.over(self._processes), eer)

    def _outcomes(self, model: Countermeasure, advance: Callable[[int], None]) -> Iterator["_Outcome"]:
        """The outputs of the network for each batch of this process."""
        device, objective = self._processes.device, model.objective
        for batch in run_network(model, self.feed, self.batch_size, device, advance, self._processes):
            loss = objective(batch.output, batch.labels.to(device, non_blocking=True))
            values = torch.cat([model.score(batch.output), loss.reshape(1)]).to("cpu", non_blocking=True)
            yield _Outcome(values, end_of_work(device), objective.batch_weight(batch.labels), batch.rows)


def _some_behind(outcomes: Iterator[_Outcome]) -> Iterator[_Outcome]:
    """The same outcomes, each only after the next ones were launched, so that a GPU has work while the host waits."""
    launched: deque[_Outcome] = deque()
    for outcome in outcomes:
        launched.append(outcome)
        if len(launched) > BATCHES_AHEAD:
            yield launched.popleft()
    yield from launched

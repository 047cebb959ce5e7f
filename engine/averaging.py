"""AVERAGES: ways to average the weights over a training. The average is saved beside the best and the last epoch."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from spoofcache.engine.config import TrainConfig

Weights = Mapping[str, torch.Tensor]
"""The parameters of a network by name."""


class Average:
    """No average. Subclasses decide after which updates or epochs the weights enter the average.

    As in nn.Module, `state_dict` holds everything that is needed to continue.
    """

    def after_update(self, weights: Weights) -> None:
        """Take note of the weights after an update."""

    def after_epoch(self, weights: Weights, epoch: int, rank: tuple[float, ...]) -> None:
        """Take note of the weights after `epoch`, counted from 0, and of their rank on dev; a lower one is better."""

    def weights(self) -> Weights | None:
        """The average so far; None if there is none."""
        return None

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Continue from the state of another average, on that device."""


class _Running(Average):
    """An average with the update mean ← mean + share·(weights − mean), which starts with the first weights."""

    def __init__(self) -> None:
        self._mean: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def _move(self, weights: Weights, share: float) -> None:
        if not self._mean:
            self._mean = _copy(weights)
        torch._foreach_lerp_(list(self._mean.values()), [weights[name] for name in self._mean], share)

    def weights(self) -> Weights | None:
        return self._mean or None

    def state_dict(self) -> dict[str, Any]:
        return {"mean": self._mean}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        self._mean = _copy(state["mean"], device)


class StochasticWeightAverage(_Running):
    """Mean of the weights after every epoch from `average_from` on.

    Izmailov et al.: "Averaging weights leads to wider optima and better generalization", UAI 2018, algorithm 1 with
    a cycle of one epoch.
    """

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self._first = config.average_from

    def after_epoch(self, weights: Weights, epoch: int, rank: tuple[float, ...]) -> None:
        if epoch >= self._first:
            self._move(weights, 1 / (epoch - self._first + 1))


class MovingAverage(_Running):
    """Exponential moving average, mean ← ema_decay·mean + (1 − ema_decay)·weights at every update.

    Tarvainen, Valpola: "Mean teachers are better role models", NIPS 2017, eq. 2. The average starts with the weights
    after the first update.
    """

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self._share = 1 - config.ema_decay

    def after_update(self, weights: Weights) -> None:
        self._move(weights, self._share)


class BestAverage(Average):
    """Mean of the weights after the `average_count` best epochs, or after all of them if there are fewer.

    Among equal epochs the earlier ones are better.

    Nes2Net and XLSR-Mamba average their three to five best epochs on the dev partition in this way.
    """

    def __init__(self, config: TrainConfig) -> None:
        self._count = config.average_count
        self._best: list[tuple[tuple[float, ...], dict[str, torch.Tensor]]] = []  # rank and weights, best first

    def after_epoch(self, weights: Weights, epoch: int, rank: tuple[float, ...]) -> None:
        if len(self._best) < self._count or rank < self._best[-1][0]:
            ranked = sorted([*self._best, (rank, _copy(weights))], key=lambda each: each[0])  # stable
            self._best = ranked[: self._count]

    def weights(self) -> Weights | None:
        if not self._best:
            return None
        return {name: torch.stack([each[name] for _, each in self._best]).mean(0) for name in self._best[0][1]}

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        self._best = [(rank, _copy(weights, device)) for rank, weights in state["best"]]


AVERAGES: Mapping[str, Callable[[TrainConfig], Average]] = {
    "none": lambda config: Average(),
    "swa": StochasticWeightAverage,
    "ema": MovingAverage,
    "best": BestAverage,
}


@torch.no_grad()
def load_average(model: nn.Module, weights: Weights, batches: Iterable[torch.Tensor]) -> None:
    """Load an average of weights into its network, and estimate the statistics of the batch norms anew.

    The statistics become means over the batches of features [B, …], which are computed in training mode. If the network
    has no batch norms, no batch is read. All other buffers keep their values.
    """
    for name, parameter in model.named_parameters():
        if name in weights:  # frozen ones have no average
            parameter.copy_(weights[name])
    torch.optim.swa_utils.update_bn(batches, model)


def _copy(weights: Weights, device: torch.device | None = None) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().to(device, copy=True) for name, tensor in weights.items()}

"""The record of the finished epochs: the best epoch, the lowest dev EER, early stopping, and augmentation growth."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from spoofcache.engine.config import TrainConfig
from spoofcache.models.losses import transition

Rank = tuple[float, ...]
"""The rank of an epoch on the dev partition; a lower rank is better."""


class Epoch(NamedTuple):
    """A line of `metrics.jsonl`.

    Losses are means over utterances, each weighted by its class; the EER is a fraction; `lr` is the learning rate of
    the epoch's last update.
    """

    epoch: int
    lr: float
    train_loss: float
    dev_loss: float
    dev_eer: float
    seconds: float


class History:
    """The record of the finished epochs of a training.

    Attributes:
        next_epoch: index of the next epoch, counted from 0.
        best: the best epoch by `train.select`; None before the first epoch is finished.
        lowest_dev_eer: the lowest dev EER of any epoch; None before the first epoch is finished.
    """

    def __init__(self, config: TrainConfig) -> None:
        self._config = config
        self.next_epoch = 0
        self.best: Epoch | None = None
        self.lowest_dev_eer: float | None = None
        self._grows_from: int | None = None  # the first epoch after the dev EER fell below the threshold

    @property
    def is_over(self) -> bool:
        """Whether all epochs are finished, or `train.patience` consecutive epochs brought no improvement."""
        without_improvement = self.next_epoch - 1 - self.best.epoch if self.best else 0
        return self.next_epoch == self._config.epochs or 0 < self._config.patience <= without_improvement

    def growth(self, epoch: int) -> float:
        """The growth of augmentation in an epoch, from 0 (none yet) to 1 (full strength)."""
        start = self._grows_from
        return 0.0 if start is None else transition(epoch, start, self._config.growth.epochs)

    def rank(self, line: Epoch) -> Rank:
        """Rank an epoch by `train.select`. Among epochs of equal EER, the one with the lower loss ranks better."""
        return (line.dev_loss,) if self._config.select == "dev_loss" else (line.dev_eer, line.dev_loss)

    def add(self, line: Epoch) -> bool:
        """Add a finished epoch, and return whether it is the best so far."""
        is_best = self.best is None or self.rank(line) < self.rank(self.best)
        if is_best:
            self.best = line
        lowest = line.dev_eer if self.lowest_dev_eer is None else min(line.dev_eer, self.lowest_dev_eer)
        if self._grows_from is None and lowest < self._config.growth.eer_threshold:
            self._grows_from = line.epoch + 1
        self.lowest_dev_eer, self.next_epoch = lowest, line.epoch + 1
        return is_best

    def state_dict(self) -> dict[str, Any]:
        """Return the entries of `last.ckpt` that `load_state_dict` needs. At least one epoch must be finished."""
        assert self.best is not None
        return {
            "epoch": self.next_epoch - 1,
            "best": list(self.best),
            "lowest_dev_eer": self.lowest_dev_eer,
            "grows_from": self._grows_from,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned; other entries are ignored."""
        self.next_epoch, self.best = state["epoch"] + 1, Epoch(*state["best"])
        self.lowest_dev_eer, self._grows_from = state["lowest_dev_eer"], state["grows_from"]

"""Which utterances an epoch trains on, in which views and in which order.

This is a pure function of the random seed and the epoch and, if augmentation grows, of how far it has grown.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler

from spoofcache.engine.config import GrowthConfig, TrainConfig
from spoofcache.protocols.trial import CLASS_INDEX


@dataclass(frozen=True)
class Pool:
    """The rows that an epoch draws from, numbered corpus by corpus, and within a corpus view by view.

    Attributes:
        labels: class index of each utterance of each corpus.
        strengths: strength of each view, the same views for every corpus: 0 for the clean view, and the position of the
            recipe in `train.augment`, from 1 on, for an augmented one.
    """

    labels: Sequence[Sequence[int] | NDArray[np.int8]]
    strengths: Sequence[int] = (0,)

    @property
    def n_utterances(self) -> int:
        return sum(map(len, self.labels))

    def rows(self, utterances: torch.Tensor, views: torch.Tensor) -> torch.Tensor:
        """Row numbers [N] of utterances [N] in views [N]. Utterances are numbered through all corpora.

        >>> Pool([[0, 1, 1], [0, 1]], strengths=[0, 1]).rows(torch.arange(5), torch.tensor(1)).tolist()
        [3, 4, 5, 8, 9]
        """
        sizes = torch.tensor([len(labels) for labels in self.labels])
        ends = sizes.cumsum(0)
        corpus = torch.searchsorted(ends, utterances, right=True)
        before = (ends - sizes)[corpus]  # first utterance of its corpus
        return before * len(self.strengths) + views * sizes[corpus] + utterances - before


class DrawnBatches(Sequence[list[int]]):
    """The row numbers of each batch of an epoch, made when they are asked for: a list of all takes 40 bytes for each.

    Args:
        pool: the rows that are drawn from.
        utterances: numbers [N] of the drawn utterances, in order.
        views: the view [N] of each of them.
        batch_size: number of rows in every batch but the last one.
    """

    def __init__(self, pool: Pool, utterances: torch.Tensor, views: torch.Tensor, batch_size: int) -> None:
        self._pool, self._batch_size = pool, batch_size
        self._utterances, self._views = utterances.split(batch_size), views.split(batch_size)

    def __len__(self) -> int:
        return len(self._utterances)

    @overload
    def __getitem__(self, index: int) -> list[int]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[int]]: ...
    def __getitem__(self, index: int | slice) -> list[int] | list[list[int]]:
        if isinstance(index, slice):
            return [self[each] for each in range(len(self))[index]]
        return self._pool.rows(self._utterances[index], self._views[index]).tolist()


def seed_epoch(seed: int, epoch: int, *rank: int) -> None:
    """Seed torch's generators so that `draw_rows`, and the dropout after it, depend on the seed and the epoch alone.

    With the rank of a process, which is above 0, the random numbers are those of that process alone. This is for
    dropout, after all processes have drawn the same rows.
    """
    torch.manual_seed(int(np.random.SeedSequence([seed, epoch, *rank]).generate_state(1)[0]))


def draws_per_epoch(pool: Pool, config: TrainConfig) -> int:
    """Number of rows that an epoch draws."""
    return pool.n_utterances * (len(pool.strengths) if config.views == "all" else 1)


def draw_rows(pool: Pool, config: TrainConfig, grown: float = 0.0) -> DrawnBatches:
    """Row numbers of an epoch's batches, drawn with torch's global generator.

    Every utterance is drawn once; with `corpus_weights` or `balanced`, the same number is drawn with replacement. Each
    comes in every view, or in one view that is drawn. All rows are drawn at once, before dropout or a thread that reads
    ahead can use the generator.

    Args:
        grown: how far augmentation has grown, from 0 to 1, if `config.growth` makes it grow.

    >>> torch.manual_seed(0) and sorted(sum(draw_rows(Pool([[0, 1, 1, 0, 1]]), TrainConfig(batch_size=2)), []))
    [0, 1, 2, 3, 4]
    """
    n_views = len(pool.strengths)
    numbers = _draw_numbers(draws_per_epoch(pool, config), _weights(pool, config))
    if config.views == "all":
        views = numbers // pool.n_utterances
    elif n_views > 1:
        shares = torch.tensor(view_shares(pool.strengths, config.growth, grown), dtype=torch.float64)
        views = torch.multinomial(shares, len(numbers), replacement=True)
    else:
        views = torch.zeros(1, dtype=torch.int64).expand(len(numbers))
    return DrawnBatches(pool, numbers % pool.n_utterances, views, config.batch_size)


def view_shares(strengths: Sequence[int], growth: GrowthConfig, grown: float) -> list[float]:
    """The probability of each view: equal for all, or dependent on how far augmentation has grown.

    Between two recipes both are drawn, so that the mean strength grows linearly.

    >>> view_shares([0, 1, 1, 2], GrowthConfig(eer_threshold=0.08, probability=(0.5, 1.0)), grown=0.5)
    [0.25, 0.1875, 0.1875, 0.375]
    """
    if not growth.eer_threshold:
        return [1 / len(strengths)] * len(strengths)
    first, last = growth.probability
    augmented = first + grown * (last - first)
    place = 1 + grown * (max(strengths) - 1)
    shares = [augmented * max(0.0, 1 - abs(place - strength)) if strength else 1 - augmented for strength in strengths]
    count = Counter(strengths)
    return [share / count[strength] for share, strength in zip(shares, strengths, strict=True)]


def bonafide_share(pool: Pool, config: TrainConfig) -> float:
    """The expected fraction of bona fide utterances among those drawn with `balanced`.

    It is not a half if `corpus_weights` give weight to a corpus of one class.

    >>> round(bonafide_share(Pool([[1], [0, 1]]), TrainConfig(balanced=True, corpus_weights=(1.0, 1.0))), 2)
    0.75
    """
    labels = np.concatenate(pool.labels)
    return float(np.average(labels == CLASS_INDEX["bonafide"], weights=_weights(pool, config)))


def _draw_numbers(n_draws: int, weights: NDArray[np.float64] | None) -> torch.Tensor:
    """Numbers [n_draws] below n_draws: each once in random order, or drawn by the weights, repeated for each view.

    They are those of a `torch.utils.data.DataLoader`, with `shuffle` or with `ByWeight`, which would make a Python
    object of each number.
    """
    _random_seed()  # a loader draws one for its processes, which it does not have here
    if weights is not None:
        return ByWeight(np.tile(weights, n_draws // len(weights)), n_draws).draw()
    return torch.randperm(n_draws, generator=torch.Generator().manual_seed(_random_seed()))


def _random_seed() -> int:
    return int(torch.empty((), dtype=torch.int64).random_().item())


class ByWeight(Sampler[int]):
    """Draws numbers by their weights, with replacement.

    torch's WeightedRandomSampler does the same but takes at most 2²⁴ weights, and large corpora in several views have
    more rows.
    """

    def __init__(self, weights: Sequence[float] | NDArray[np.float64] | torch.Tensor, n_draws: int) -> None:
        self._weights, self._n_draws = weights, n_draws

    def __len__(self) -> int:
        return self._n_draws

    def __iter__(self) -> Iterator[int]:
        yield from self.draw().tolist()

    def draw(self) -> torch.Tensor:
        """Draw all numbers [n_draws] at once."""
        up_to = torch.as_tensor(self._weights, dtype=torch.float64).cumsum(0)
        chance = torch.rand(self._n_draws, dtype=torch.float64)
        return torch.searchsorted(up_to / up_to[-1], chance)


def _weights(pool: Pool, config: TrainConfig) -> NDArray[np.float64] | None:
    """The weight of each utterance; None if every utterance is drawn once."""
    if not config.corpus_weights:
        return _per_class(np.concatenate(pool.labels), lambda count, n_classes: 1 / count) if config.balanced else None
    weights = []
    for share, labels in zip(config.corpus_weights, pool.labels, strict=True):
        n = len(labels)
        if config.balanced:
            weights.append(share * _per_class(labels, lambda count, n_classes: 1 / n_classes / count))
        else:
            weights.append(np.full(n, share * (1 / n)))
    return np.concatenate(weights)


def _per_class(labels: Sequence[int] | NDArray[np.int8], weight: Callable[[int, int], float]) -> NDArray[np.float64]:
    """The weight [N] of each utterance, given the number of utterances of its class and the number of classes."""
    _, class_of, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    return np.array([weight(count, len(counts)) for count in counts.tolist()])[class_of]

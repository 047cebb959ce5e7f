"""Which utterances an epoch trains on, in which views and in which order: a pure function of seed, epoch and, where
augmentation grows, of how far it has grown."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from spoofcache.engine.config import GrowthConfig, TrainConfig
from spoofcache.protocols.trial import CLASS_INDEX


@dataclass(frozen=True)
class Pool:
    """What there is to draw from. Rows are numbered corpus by corpus, and within a corpus view by view.

    Attributes:
        labels: class index of each utterance of each corpus.
        strengths: of each view that every corpus is in: 0 for the clean one, else the place of its recipe from 1 on.
    """

    labels: Sequence[Sequence[int]]
    strengths: Sequence[int] = (0,)

    @property
    def n_utterances(self) -> int:
        return sum(map(len, self.labels))

    def rows(self, utterances: torch.Tensor, views: torch.Tensor) -> torch.Tensor:
        """Row numbers [N] of utterances [N], numbered through all corpora, in views [N].

        >>> Pool([[0, 1, 1], [0, 1]], strengths=[0, 1]).rows(torch.arange(5), torch.tensor(1)).tolist()
        [3, 4, 5, 8, 9]
        """
        sizes = torch.tensor([len(labels) for labels in self.labels])
        before = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)[utterances]  # its corpus begins
        return before * len(self.strengths) + views * sizes.repeat_interleave(sizes)[utterances] + utterances - before


def seed_epoch(seed: int, epoch: int, *rank: int) -> None:
    """From here on chance depends on (seed, epoch) alone: what `draw_rows` draws, and dropout after it.

    With a rank above 0, that of a process, it is that process's own: dropout, when all have drawn the same rows.
    """
    torch.manual_seed(int(np.random.SeedSequence([seed, epoch, *rank]).generate_state(1)[0]))


def draws_per_epoch(pool: Pool, config: TrainConfig) -> int:
    """Rows that an epoch sees."""
    return pool.n_utterances * (len(pool.strengths) if config.views == "all" else 1)


def draw_rows(pool: Pool, config: TrainConfig, grown: float = 0.0) -> list[list[int]]:
    """Row numbers of an epoch's batches, by torch's global generator.

    Every utterance once, or by `corpus_weights` or `balanced` as many with replacement; each in every view, or in one
    that is drawn. All are drawn at once: the network's dropout, and threads that read ahead, come after.

    Args:
        grown: how far the augmentation has grown, from 0 to 1, where `config.growth` says that it does.

    >>> torch.manual_seed(0) and sorted(sum(draw_rows(Pool([[0, 1, 1, 0, 1]]), TrainConfig(batch_size=2)), []))
    [0, 1, 2, 3, 4]
    """
    n_views = len(pool.strengths)
    numbers = _draw_numbers(draws_per_epoch(pool, config), _weights(pool, config), config.batch_size)
    if config.views == "all":
        views = numbers // pool.n_utterances
    elif n_views > 1:
        shares = torch.tensor(view_shares(pool.strengths, config.growth, grown), dtype=torch.float64)
        views = torch.multinomial(shares, len(numbers), replacement=True)
    else:
        views = torch.zeros_like(numbers)
    return [batch.tolist() for batch in pool.rows(numbers % pool.n_utterances, views).split(config.batch_size)]


def view_shares(strengths: Sequence[int], growth: GrowthConfig, grown: float) -> list[float]:
    """How likely each view is to be drawn: all alike, or grown with the augmentation.

    In between two recipes both are drawn, so that the mean strength grows in a straight line.

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
    """Of what is drawn. Where `balanced` and `corpus_weights` meet a corpus of one class it is not a half.

    >>> round(bonafide_share(Pool([[1], [0, 1]]), TrainConfig(balanced=True, corpus_weights=(1.0, 1.0))), 2)
    0.75
    """
    labels = np.array(list(chain.from_iterable(pool.labels)))
    return float(np.average(labels == CLASS_INDEX["bonafide"], weights=_weights(pool, config)))


def _draw_numbers(n_draws: int, weights: Sequence[float] | None, batch_size: int) -> torch.Tensor:
    """Numbers [n_draws] below n_draws: all in random order, or by the weights, repeated as often as need be."""
    sampler = None
    if weights is not None:
        sampler = ByWeight(list(weights) * (n_draws // len(weights)), n_draws)
    numbers: Sequence[int] = range(n_draws)
    loader: DataLoader[int] = DataLoader(
        numbers,  # type: ignore[arg-type]
        batch_size,
        shuffle=sampler is None,
        sampler=sampler,
        collate_fn=list,
    )
    return torch.tensor(list(chain.from_iterable(loader)))


class ByWeight(Sampler[int]):
    """Numbers by their weights, with replacement: the draws of torch's WeightedRandomSampler, which takes no more than
    2²⁴ weights; large corpora in several views have more rows."""

    def __init__(self, weights: Sequence[float] | torch.Tensor, n_draws: int) -> None:
        self._weights, self._n_draws = weights, n_draws

    def __len__(self) -> int:
        return self._n_draws

    def __iter__(self) -> Iterator[int]:
        up_to = torch.as_tensor(self._weights, dtype=torch.float64).cumsum(0)
        chance = torch.rand(self._n_draws, dtype=torch.float64)
        yield from torch.searchsorted(up_to / up_to[-1], chance).tolist()


def _weights(pool: Pool, config: TrainConfig) -> list[float] | None:
    """Of each utterance; None where every one comes once."""
    if not config.corpus_weights:
        count = Counter(chain.from_iterable(pool.labels))
        return [1 / count[label] for label in chain.from_iterable(pool.labels)] if config.balanced else None
    weights: list[float] = []
    for share, labels in zip(config.corpus_weights, pool.labels, strict=True):
        count = Counter(labels)
        of_class = {label: 1 / len(count) / count[label] if config.balanced else 1 / len(labels) for label in count}
        weights += [share * of_class[label] for label in labels]
    return weights

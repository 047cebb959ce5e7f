"""The data set of an architecture search: its class indices, and the two halves into which it is split."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from spoofcache.engine.about import RunError, first_line
from spoofcache.features.dataset import CachedFeatures
from spoofcache.protocols.trial import CLASS_INDEX


@runtime_checkable
class Items(Protocol):
    """A data set such as `CachedFeatures`, a `torch.utils.data.Dataset` with a length, or a list."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


def labels_of(dataset: Items) -> NDArray[np.int64]:
    """Class index [N] of each utterance, from the trials if the data set is a cache: its rows need not be read then.

    Raises:
        RunError: an item is not (features [T, D], class index), or its features have another shape than the first ones.
    """
    if isinstance(dataset, CachedFeatures):
        return dataset.labels.astype(np.int64)
    labels, shape = [], None
    for index in range(len(dataset)):
        found, label = _shape_and_label(dataset[index], index)
        shape = shape or found
        if found != shape:
            raise RunError(f"data set, item {index}: features of shape {found}; expected {shape}, as in item 0")
        labels.append(label)
    return np.array(labels, np.int64)


def _shape_and_label(item: Any, index: int) -> tuple[tuple[int, ...], int]:
    expected = f"a tensor [T, D] of numbers and a class index, {' or '.join(map(str, CLASS_INDEX.values()))}"
    try:
        features, label = item[:2]
        shape, label = tuple(torch.as_tensor(features).shape), int(label)
    except (TypeError, ValueError, LookupError, RuntimeError) as error:
        raise RunError(f"data set, item {index}: {first_line(error)}; expected {expected}") from error
    if label not in CLASS_INDEX.values():
        raise RunError(f"data set, item {index}: class index {label}; expected {expected}")
    return shape, label


def split_in_halves(labels: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The utterances for the weights and those for the architecture: each class is split at random into two halves."""
    random = np.random.default_rng(seed)
    first, second = [], []
    for key, index in CLASS_INDEX.items():
        utterances = random.permutation(np.flatnonzero(labels == index))
        if len(utterances) < 2:
            raise RunError(f"{len(utterances)} utterances of {key}; expected at least 2, one for each half of train")
        half, rest = np.array_split(utterances, 2)
        first.append(half)
        second.append(rest)
    return np.concatenate(first), np.concatenate(second)

"""Split one list into train, dev and test: each class in the given ratio, and no group in two partitions."""

import csv
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spoofcache.common.errors import InputError
from spoofcache.protocols.forms import column
from spoofcache.protocols.trial import UNKNOWN, Trial
from spoofcache.tools.user_corpus.audio import Analysis, AudioProperties
from spoofcache.tools.user_corpus.leaks import CLASS_NAMES, KEYS
from spoofcache.tools.user_corpus.survey import names

PARTITIONS = ("train", "dev", "test")


class SplitError(InputError):
    """The data set cannot be split in this way; the message says what was found and what was expected."""


def parse_ratio(text: str) -> tuple[float, ...]:
    """`6:1:3` → the shares of PARTITIONS, (0.6, 0.1, 0.3); SplitError for anything else."""
    parts = text.split(":")
    if len(parts) != len(PARTITIONS) or not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise SplitError(f"--split {text!r}; expected three whole numbers above 0, train:dev:test, as in 6:1:3")
    return tuple(int(part) / sum(map(int, parts)) for part in parts)


def group_values(trials: Sequence[Trial], by: str) -> list[str]:
    """The value of column `by` of each trial, or `-` if it has none. For `none`, no trial has a value.

    Raises:
        SplitError: the column is empty, or empty for only a part of a class. (It may be empty for a whole class: bona
            fide files have no generator.)
        ProtocolError: no trial has the column.
    """
    if by == "none":
        return [UNKNOWN] * len(trials)
    values = [*column(trials, by)]
    for key in KEYS:
        unknown = [t.utt_id for t, value in zip(trials, values, strict=True) if t.key == key and value == UNKNOWN]
        if 0 < len(unknown) < sum(trial.key == key for trial in trials):
            raise SplitError(
                f"{len(unknown)} {CLASS_NAMES[key]} files have no {by}, first {', '.join(unknown[:10])}; expected a "
                f"{by} for every file of a class, or for none"
            )
    if set(values) == {UNKNOWN}:
        raise SplitError(f"--group {by}: no file has a {by}; expected another column, or --group none")
    return values


def groups_of(values: Sequence[str], analyses: Sequence[Analysis]) -> list[int]:
    """The number of the group of each file. Files with the same value or the same samples are in one group."""
    ties = []
    for value, analysis in zip(values, analyses, strict=True):
        by_value = [f"value {value}"] if value != UNKNOWN else []
        ties.append([*by_value, f"samples {analysis.digest}"] if isinstance(analysis, AudioProperties) else by_value)
    return _unite(ties)


def _unite(ties: Sequence[Sequence[str]]) -> list[int]:
    """The number of the connected component of each item; items that share a tie are connected."""
    parent: dict[str, str] = {}

    def root(tie: str) -> str:
        while parent.setdefault(tie, tie) != tie:
            parent[tie] = tie = parent[parent[tie]]
        return tie

    named = [tie or [f"single {place}"] for place, tie in enumerate(ties)]
    for first, *others in named:
        for other in others:
            parent[root(other)] = root(first)
    numbers: dict[str, int] = {}
    return [numbers.setdefault(root(first), len(numbers)) for first, *_ in named]


def split(keys: Sequence[str], groups: Sequence[int], ratio: Sequence[float], seed: int) -> NDArray[np.int64]:
    """The partition of each file [N], as an index into PARTITIONS.

    Groups are assigned in decreasing order of size, each to the partition that brings the shares of both classes
    nearest to the ratio; the last groups of a class go to partitions in which it is still missing. The seed decides
    the order of groups of equal size. (On the 20 speakers of ASVspoof 2019 LA dev, joining the folds of scikit-learn's
    StratifiedGroupKFold in the ratio 6:1:3 puts 25 % of the spoofs into test; this method puts 31 % there.)

    Raises:
        SplitError: a class has fewer groups than there are partitions.
    """
    numbers = np.asarray(groups)
    sizes = np.stack([np.bincount(numbers[np.asarray(keys) == key], minlength=numbers.max() + 1) for key in KEYS], 1)
    _refuse_few(sizes)
    weights, shares = sizes / sizes.sum(axis=0), np.asarray(ratio)[:, np.newaxis]
    filled, left = np.zeros((len(ratio), len(KEYS))), np.count_nonzero(sizes, axis=0)
    partition = np.zeros(len(sizes), np.int64)
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    for group in shuffled[np.argsort(-sizes[shuffled].sum(axis=1), kind="stable")]:
        # the growth of the sum of (filled − share)²/share if the group goes into each of the partitions
        growth = np.sum(weights[group] * (weights[group] + 2 * (filled - shares)) / shares, axis=1)
        inside, missing = sizes[group] > 0, filled == 0
        needed = inside & (left <= np.count_nonzero(missing, axis=0))
        chosen = int(np.lexsort((growth, -np.count_nonzero(missing & needed, axis=1)))[0])
        filled[chosen] += weights[group]
        left -= inside
        partition[group] = chosen
    if not filled.all():
        raise SplitError("a class would be missing in a partition; expected more groups, or another seed")
    return partition[numbers]


def _refuse_few(sizes: NDArray[np.int64]) -> None:
    for key, of_class in zip(KEYS, sizes.T, strict=True):
        n_groups = np.count_nonzero(of_class)
        if n_groups < len(PARTITIONS):
            raise SplitError(
                f"{of_class.sum()} {CLASS_NAMES[key]} files in {n_groups} groups; expected at least {len(PARTITIONS)} "
                "groups of each class, one for each partition"
            )


def describe(
    trials: Sequence[Trial], groups: Sequence[int], partition: NDArray[np.int64], ratio: Sequence[float]
) -> list[str]:
    """A line for each partition: its files by class, the achieved and the requested share, and its groups."""
    keys, numbers = np.array([trial.key for trial in trials]), np.asarray(groups)
    totals, lines = Counter(keys.tolist()), []
    for place, (name, asked) in enumerate(zip(PARTITIONS, ratio, strict=True)):
        inside = Counter(keys[partition == place].tolist())
        counts = [f"{inside[key]:,} {CLASS_NAMES[key]} ({100 * inside[key] / totals[key]:.1f} %)" for key in KEYS]
        n_groups = np.unique(numbers[partition == place]).size
        lines.append(f"{name}: {' + '.join(counts)} in {n_groups:,} groups; {100 * asked:.1f} % requested")
    return lines


def write_partitions(folder: Path, trials: Sequence[Trial], audio_dir: Path, partition: NDArray[np.int64]) -> None:
    """Write `train.csv`, `dev.csv` and `test.csv`: `file` (below the audio folder), `label`, all other columns."""
    extra = names(trials)
    cells = {name: column(trials, name) for name in extra}
    for place, partition_name in enumerate(PARTITIONS):
        with (folder / f"{partition_name}.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(("file", "label", *extra))
            for k in np.flatnonzero(partition == place).tolist():
                file_name = os.path.relpath(trials[k].path or trials[k].utt_id, audio_dir)
                table.writerow((file_name, trials[k].key, *(cells[name][k] for name in extra)))

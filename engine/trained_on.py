"""The utterances that a run was trained on (`trained_on.tsv` in its folder), and which partitions share some."""

import csv
from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spoofcache.common.files import atomic_path
from spoofcache.common.text_index import TextIndex
from spoofcache.common.texts import Texts
from spoofcache.engine.about import RunError
from spoofcache.engine.checkpoint import TRAINED_ON
from spoofcache.features.dataset import CachedFeatures
from spoofcache.protocols.trial import COLUMNS, UNKNOWN, ProtocolError, Trial, table_rows, text_lines
from spoofcache.protocols.trial_table import TrialTable

BEFORE = "initial_trained_on.tsv"
"""The utterances that the run was trained on whose weights a training started from, in the new run folder."""

HEADER = ("corpus", "partition", *COLUMNS)
N_COMPARED = 16
"""Number of rows that are compared if corpora of different names have utterances of the same name."""
TOLERANCE = 0.05
"""Mean difference, as a fraction of the mean magnitude, below which two rows are taken for the same utterance. Machines
and batches round differently."""


class Partition(NamedTuple):
    """A partition and its utterances."""

    corpus: str
    partition: str
    trials: Sequence[Trial]

    def __str__(self) -> str:
        return f"{self.corpus}/{self.partition}"


def partition_of(cache: CachedFeatures) -> Partition:
    """The partition of a cache, with the utterances that have features."""
    return Partition(cache.plan.corpus, cache.plan.partition, cache.trials)


def write_trained_on(run: Path, corpora: Sequence[CachedFeatures]) -> None:
    """Write `trained_on.tsv`, unless it exists: the utterances of these corpora, and those of the run before (BEFORE).

    Raises:
        RunError: the table of the run before is damaged.
    """
    if (run / TRAINED_ON).exists():
        return
    present = [partition_of(corpus) for corpus in corpora]
    known = {(corpus, partition): TrialTable.of(trials).names for corpus, partition, trials in present}
    with atomic_path(run / TRAINED_ON) as path, path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(HEADER)
        for corpus, partition, trials in present:
            table.writerows((corpus, partition, *utterance) for utterance in _described(trials))
        for corpus, partition, trials in read_trained_on(run, BEFORE):
            names = set(known.get((corpus, partition), ()))
            table.writerows((corpus, partition, *each) for each in _described(trials) if each[0] not in names)


def read_trained_on(run: Path, name: str = TRAINED_ON) -> list[Partition]:
    """The partitions that a run was trained on; none if the run does not record them.

    Raises:
        RunError: the file is not such a table.
    """
    path = run / name
    if not path.exists():
        return []
    partitions: dict[tuple[str, str], TrialTable] = {}
    try:
        table = table_rows(text_lines(path, f"a table of {' '.join(HEADER)}"), "\t", path)
        found = tuple(next(table, ()))
        if found != HEADER:
            raise ProtocolError(f"{path}:1: header {' '.join(found) or 'missing'}; expected {' '.join(HEADER)}")
        for (corpus, partition), rows in groupby(table, lambda row: (row[0], row[1])):
            before = partitions.get((corpus, partition), ())
            trials = (Trial(utt_id, key, attack, speaker) for _, _, utt_id, speaker, attack, key in rows)
            partitions[corpus, partition] = TrialTable(chain(before, trials))
    except ProtocolError as error:
        raise RunError(str(error)) from error
    return [Partition(*name, trials) for name, trials in partitions.items()]


def namesakes(one: Partition, other: Partition) -> list[str]:
    """Names of utterances that both partitions have.

    Names like 0001 recur from corpus to corpus; in different corpora, speaker, attack and key must be equal too.
    """
    return sorted(one.trials[row].utt_id for row in _shared_rows(one, other).tolist())


def n_namesakes(one: Partition, other: Partition) -> int:
    """Number of `namesakes`, which is found without a list of them."""
    return len(_shared_rows(one, other))


def _shared_rows(one: Partition, other: Partition) -> NDArray[np.int64]:
    """The rows of one partition that the other one has, too."""
    own, others = (TrialTable.of(each.trials) for each in (one, other))
    if one.corpus == other.corpus:
        rows = TextIndex(own.names).rows_of(others.names)
    else:
        described, asked = (map("\0".join, _described(table)) for table in (own, others))  # no cell contains NUL
        rows = TextIndex(Texts(described)).rows_of(asked)
    return np.unique(rows[rows >= 0])


def _described(trials: Sequence[Trial]) -> Iterator[tuple[str, ...]]:
    """Name, speaker, attack and key of each trial."""
    table = TrialTable.of(trials)
    columns = (table.column(name, UNKNOWN) for name in ("speaker", "attack", "key"))
    return zip(table.names, *columns, strict=True)


def shared(one: CachedFeatures, other: CachedFeatures) -> list[str]:
    """Names of the utterances that two caches of the same features share.

    If the corpora have different names, the features of some utterances of the same name are compared to find out
    whether they are the same recordings.
    """
    found = namesakes(partition_of(one), partition_of(other))
    if one.plan.corpus == other.plan.corpus or not found:
        return found
    some = {found[place] for place in np.linspace(0, len(found) - 1, N_COMPARED).astype(int)}
    rows = [_rows(cache, some) for cache in (one, other)]
    return found if any(_is_same(rows[0][utt_id], rows[1][utt_id]) for utt_id in some) else []


def require_disjoint(one: CachedFeatures, other: CachedFeatures, harm: str) -> None:
    """RunError, which ends with the harm that it does, if two caches of the same features share utterances."""
    common = shared(one, other)
    if common:
        raise RunError(
            f"{one.folder} and {other.folder} share {len(common)} utterances, {common[0]} among them; expected "
            f"none: {harm}"
        )


def _rows(cache: CachedFeatures, utt_ids: set[str]) -> dict[str, np.ndarray]:
    numbers = {name: row for row, name in enumerate(cache.trials.names) if name in utt_ids}
    return {utt_id: cache[row].features.float().numpy() for utt_id, row in numbers.items()}


def _is_same(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.abs(one - other).mean() <= TOLERANCE * np.abs(one).mean())

"""What a run was trained on: `trained_on.tsv` in its folder, and who else has the same utterances."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spoofcache.common.files import atomic_path
from spoofcache.engine.checkpoint import TRAINED_ON, RunError
from spoofcache.features.dataset import CachedFeatures
from spoofcache.protocols.trial import COLUMNS, ProtocolError, Trial, read_text, table_rows

HEADER = ("corpus", "partition", *COLUMNS)
LOOKED_AT = 16
"""Rows that are compared where two corpora of different names have utterances of the same name."""
ALIKE = 0.05
"""Mean difference, as a share of the mean magnitude, below which two rows are of one utterance: machines and batches
round differently."""


class Partition(NamedTuple):
    """Utterances of a partition."""

    corpus: str
    partition: str
    trials: Sequence[Trial]

    def __str__(self) -> str:
        return f"{self.corpus}/{self.partition}"


def partition_of(cache: CachedFeatures) -> Partition:
    """Of those that have features."""
    return Partition(cache.plan.corpus, cache.plan.partition, cache.trials)


def write_trained_on(run: Path, corpora: Sequence[CachedFeatures]) -> None:
    """Write `trained_on.tsv`, unless it is there."""
    if (run / TRAINED_ON).exists():
        return
    text = io.StringIO()
    table = csv.writer(text, delimiter="\t", lineterminator="\n")
    table.writerow(HEADER)
    for corpus, partition, trials in map(partition_of, corpora):
        table.writerows((corpus, partition, t.utt_id, t.speaker, t.attack, t.key) for t in trials)
    with atomic_path(run / TRAINED_ON) as path:
        path.write_text(text.getvalue(), encoding="utf-8")


def read_trained_on(run: Path) -> list[Partition]:
    """The partitions that a run was trained on, none where nobody wrote them down; RunError for another table."""
    path = run / TRAINED_ON
    if not path.exists():
        return []
    partitions: dict[tuple[str, str], list[Trial]] = {}
    try:
        table = table_rows(read_text(path, f"a table of {' '.join(HEADER)}"), "\t", path)
        found = tuple(next(table, ()))
        if found != HEADER:
            raise ProtocolError(f"{path}:1: header {' '.join(found) or 'missing'}; expected {' '.join(HEADER)}")
        for corpus, partition, utt_id, speaker, attack, key in table:
            partitions.setdefault((corpus, partition), []).append(Trial(utt_id, key, attack, speaker))
    except ProtocolError as error:
        raise RunError(str(error)) from error
    return [Partition(*name, trials) for name, trials in partitions.items()]


def namesakes(one: Partition, other: Partition) -> list[str]:
    """Utterances that both have, by name. Names like 0001 recur from corpus to corpus: across corpora speaker, attack
    and key must be the same too."""
    if one.corpus == other.corpus:
        return sorted({trial.utt_id for trial in one.trials} & {trial.utt_id for trial in other.trials})
    return sorted(utt_id for utt_id, *_ in _described(one) & _described(other))


def _described(partition: Partition) -> set[tuple[str, str, str, str]]:
    return {(trial.utt_id, trial.speaker, trial.attack, trial.key) for trial in partition.trials}


def shared(one: CachedFeatures, other: CachedFeatures) -> list[str]:
    """Utterances that two caches of the same features share. In corpora of different names the features decide whether
    namesakes are one utterance: those of some are compared."""
    found = namesakes(partition_of(one), partition_of(other))
    if one.plan.corpus == other.plan.corpus or not found:
        return found
    some = {found[place] for place in np.linspace(0, len(found) - 1, LOOKED_AT).astype(int)}
    rows = [_rows(cache, some) for cache in (one, other)]
    return found if any(_alike(rows[0][utt_id], rows[1][utt_id]) for utt_id in some) else []


def _rows(cache: CachedFeatures, utt_ids: set[str]) -> dict[str, np.ndarray]:
    numbers = {trial.utt_id: row for row, trial in enumerate(cache.trials) if trial.utt_id in utt_ids}
    return {utt_id: cache[row].features.float().numpy() for utt_id, row in numbers.items()}


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.abs(one - other).mean() <= ALIKE * np.abs(one).mean())

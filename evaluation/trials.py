"""The trials of a test set, column by column, and the groups in which they are judged."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spoofcache.common.text_index import TextIndex, different
from spoofcache.common.texts import Texts, as_array, shared
from spoofcache.metrics.det import ScoreError
from spoofcache.metrics.scores import UNKNOWN, CmScores
from spoofcache.protocols.trial import CLASS_INDEX, ProtocolError, Trial
from spoofcache.protocols.trial_table import TrialTable

POOLED = "pooled"
"""Name of the group of all trials."""


class Columns(Mapping[str, NDArray[np.str_]]):
    """Columns of N texts, each of which becomes an array [N] when it is asked for: four bytes for every letter."""

    def __init__(self, texts: Mapping[str, Sequence[str]]) -> None:
        self._texts = texts

    def __getitem__(self, name: str) -> NDArray[np.str_]:
        return as_array(self._texts[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


@dataclass(frozen=True, eq=False)
class TrialList:
    """The N trials of a test set with their keys; the scores of a system are an array [N] in the same order."""

    utt_ids: Sequence[str]
    is_bonafide: NDArray[np.bool_]
    """Key of each trial [N]."""
    columns: Mapping[str, NDArray[np.str_]]
    """The columns of the protocol [N] by name: `attack`, `speaker`, `codec`, …; `-` means that a value is unknown."""
    excluded: Set[str] = frozenset()
    """Utterances of the protocol that a condition (`--where`) excludes; their scores are ignored."""


def trials_of_scores(scores: CmScores) -> TrialList:
    """The trials of scores that carry keys, for use without a protocol; the only column is `attack`.

    Raises:
        ScoreError: the scores have no keys, or a single class.
    """
    is_bonafide = scores.require_keys()
    attacks = scores.attacks or shared([UNKNOWN], np.zeros(is_bonafide.size, np.uint8))
    return TrialList(scores.utt_ids, is_bonafide, Columns({"attack": attacks}))


def list_trials(chosen: Sequence[Trial], everything: Sequence[Trial], source: Path) -> TrialList:
    """Arrange the trials that were `chosen` from `everything` that a protocol lists.

    Raises:
        ProtocolError: all chosen trials are of one class; the message begins with their `source`.
    """
    table = TrialTable.of(chosen)
    labels = np.frombuffer(table.labels, np.int8)
    if len(set(labels.tolist())) < 2:
        raise ProtocolError(f"{source}: all {len(table)} trials are {table[0].key}; expected both bonafide and spoof")
    utt_ids, excluded = table.names_as_written, Texts()
    if len(table) < len(everything):
        written = TrialTable.of(everything).names_as_written
        is_excluded = TextIndex(utt_ids).rows_of(written) < 0
        excluded = Texts(compress(written, is_excluded.tobytes()))
    names = ("attack", "speaker", *table.condition_names())
    columns = Columns({name: table.column(name, UNKNOWN) for name in names})
    return TrialList(utt_ids, labels == CLASS_INDEX["bonafide"], columns, different(excluded))


def phase_warnings(trials: TrialList) -> Iterator[str]:
    """A sentence where several phases of ASVspoof 2021 are pooled, which moves an EER by whole percents."""
    phases = sorted(set(trials.columns["phase"].tolist())) if "phase" in trials.columns else []
    if len(phases) > 1:
        yield (
            f"the phases {', '.join(phases)} are pooled; published figures are of phase eval alone (--where phase=eval)"
        )


@dataclass(frozen=True, eq=False)
class Group:
    """A group of trials: all of them (POOLED), or those with one `value` in one `column`."""

    column: str
    value: str
    members: NDArray[np.bool_]
    """Which trials [N] belong to it."""
    takes_every_asv_spoof: bool = False
    """Whether the ASV spoof trials of all attacks count for the group, even of attacks that none of its trials has."""


def pooled_group(trials: TrialList) -> Group:
    """The group of all trials."""
    return Group(POOLED, POOLED, np.ones(trials.is_bonafide.size, dtype=bool))


def groups_of(trials: TrialList, by: Sequence[str]) -> tuple[list[Group], list[str]]:
    """List the group of all trials and the groups of each column in `by`, with notes on the groups that are omitted.

    A group is omitted if it lacks one of the classes. If no bona fide trial has a value in a column (such as attack or
    vocoder), all bona fide trials belong to every group; otherwise each belongs to its own group only.

    Raises:
        ScoreError: the trials do not have a column, or no group of the column has both classes.
    """
    groups, notes = [pooled_group(trials)], []
    for column_name in by:
        found, n_without = _groups_by(trials, column_name)
        if n_without:
            notes.append(f"By {column_name}: {n_without:,} trials have no {column_name} and are in none of the groups.")
        whole = [group for group in found if len(set(trials.is_bonafide[group.members].tolist())) == 2]
        groups += whole
        if not whole:
            raise ScoreError(f"no group by {column_name} has both bona fide and spoof trials; expected at least one")
        lacking = [group.value for group in found if group not in whole]
        if lacking:
            notes.append(
                f"By {column_name}: {len(lacking)} of {len(found)} groups have trials of one class only and are "
                f"omitted ({first_of(lacking)})."
            )
    return groups, notes


def values_of(trials: TrialList, name: str) -> NDArray[np.str_]:
    """The column of that name [N].

    Raises:
        ScoreError: the trials do not have the column, or none of them has a value in it.
    """
    known = {column for column, values in trials.columns.items() if (values != UNKNOWN).any()}
    if name not in known:
        raise ScoreError(f"the trials have no column {name}; expected one of {', '.join(sorted(known)) or 'none'}")
    return trials.columns[name]


def first_of(names: Sequence[str], most: int = 5) -> str:
    """The first names, with an ellipsis where there are more of them."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _groups_by(trials: TrialList, name: str) -> tuple[list[Group], int]:
    """The groups of a column, and the number of trials that belong to none of them."""
    values = values_of(trials, name)
    unknown = values == UNKNOWN
    shared = trials.is_bonafide & unknown & unknown[trials.is_bonafide].all()
    known_values = np.unique(values[~unknown])
    groups = [Group(name, str(value), (values == value) | shared) for value in known_values]
    return groups, int(np.count_nonzero(unknown & ~shared))

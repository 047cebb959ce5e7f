"""The trials of a test set, column by column."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spoofcache.metrics.scores import UNKNOWN, CmScores
from spoofcache.protocols.forms import column
from spoofcache.protocols.trial import ProtocolError, Trial


@dataclass(frozen=True, eq=False)
class TrialList:
    """The N trials of a test set with their keys; the scores of a system are an array [N] in the same order."""

    utt_ids: list[str]
    is_bonafide: NDArray[np.bool_]
    """Key of each trial [N]."""
    columns: Mapping[str, NDArray[np.str_]]
    """What the protocol states about each trial [N], by name: `attack`, `speaker`, `codec`, …; `-` where unknown."""
    excluded: frozenset[str] = frozenset()
    """Utterances of the protocol that a condition (`--where`) excludes; their scores are ignored."""


def trials_of_scores(scores: CmScores) -> TrialList:
    """The trials of scores that carry keys, for use without a protocol; the only column is `attack`.

    Raises:
        ScoreError: scores without keys, or with a single class.
    """
    is_bonafide = scores.require_keys()
    attacks = scores.attacks or [UNKNOWN] * is_bonafide.size
    return TrialList(scores.utt_ids, is_bonafide, {"attack": np.array(attacks)})


def list_trials(chosen: Sequence[Trial], everything: Sequence[Trial], source: Path) -> TrialList:
    """The trials of a protocol that were `chosen` among `everything` in it.

    Raises:
        ProtocolError: all chosen trials are of one class; the message begins with their `source`.
    """
    names = ["attack", "speaker", *sorted({name for trial in chosen for name in trial.conditions})]
    keys = [trial.key for trial in chosen]
    if len(set(keys)) < 2:
        raise ProtocolError(f"{source}: all {len(keys)} trials are {keys[0]}; expected both bonafide and spoof")
    utt_ids = [trial.utt_id for trial in chosen]
    return TrialList(
        utt_ids,
        np.array([trial.label for trial in chosen], dtype=bool),
        {name: np.array(column(chosen, name)) for name in names},
        frozenset(trial.utt_id for trial in everything).difference(utt_ids),
    )


def phase_warnings(trials: TrialList) -> Iterator[str]:
    """A sentence where several phases of ASVspoof 2021 are pooled, which moves an EER by whole percents."""
    phases = sorted(set(trials.columns["phase"].tolist())) if "phase" in trials.columns else []
    if len(phases) > 1:
        yield (
            f"the phases {', '.join(phases)} are pooled; published figures are of phase eval alone (--where phase=eval)"
        )

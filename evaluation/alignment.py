"""Scores in the order of the trials that they stand for."""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from spoofcache.evaluation.trials import TrialList, first_of
from spoofcache.metrics.det import FloatArray, ScoreError
from spoofcache.metrics.score_files import without_ending
from spoofcache.metrics.scores import UNKNOWN, AsvScores, CmScores


def align(scores: CmScores, trials: TrialList, where: str) -> FloatArray:
    """Scores [N] in the order of the N `trials`, matched by name without the ending of an audio file.

    Scores of utterances that the trial list excludes are dropped.

    Args:
        where: what an error begins with: the two files.

    Raises:
        ScoreError: trials without a score, scores of no trial, trials that share a name, keys or attacks that
            contradict the protocol's (an attack that one side does not know is no contradiction). The message counts
            each of these and names the first.
    """
    names = [without_ending(utt_id) for utt_id in trials.utt_ids]
    row_of = {utt_id: row for row, utt_id in enumerate(scores.utt_ids)}
    rows = np.array([row_of.get(name, -1) for name in names], dtype=np.intp)
    wanted = {*names, *map(without_ending, trials.excluded)}
    twice = [name for name, count in Counter(names).items() if count > 1] if len(set(names)) < len(names) else []
    faults = (
        (f"of {len(names)} trials have no score", _where(names, rows < 0)),
        (f"of {len(row_of)} scores belong to no trial", [name for name in row_of if name not in wanted]),
        (f"of {len(names)} trials share their name with another", twice),
        ("keys differ", _where(names, (rows >= 0) & _keys_differ(scores, trials, rows))),
        ("attacks differ", _where(names, (rows >= 0) & _attacks_differ(scores, trials, rows))),
    )
    faulty = [f"{len(utt_ids)} {what} ({first_of(utt_ids)})" for what, utt_ids in faults if utt_ids]
    if faulty:
        raise ScoreError(f"{where}: {'; '.join(faulty)}; expected one score for every trial, with its key")
    return scores.scores[rows]


def check_attacks(attacks: Collection[str], asv: AsvScores, where: str) -> None:
    """ScoreError when one of the CM trials' spoof `attacks` has no ASV trial: its t-DCF would be undefined."""
    known = sorted(set(asv.spoof_attacks))
    missing = sorted(set(attacks).difference(known))
    if missing:
        raise ScoreError(
            f"{where}: the ASV scores lack {first_of(missing)} of the CM scores; they hold {first_of(known)} "
            "(another partition?); expected ASV trials of every attack"
        )


def _keys_differ(scores: CmScores, trials: TrialList, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    stated = scores.is_bonafide
    return np.zeros(rows.size, bool) if stated is None else stated[rows] != trials.is_bonafide


def _attacks_differ(scores: CmScores, trials: TrialList, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    if scores.attacks is None or "attack" not in trials.columns:
        return np.zeros(rows.size, bool)
    stated, expected = np.array(scores.attacks)[rows], trials.columns["attack"]
    return (stated != expected) & (stated != UNKNOWN) & (expected != UNKNOWN)


def _where(names: Sequence[str], chosen: NDArray[np.bool_]) -> list[str]:
    return [names[i] for i in np.flatnonzero(chosen).tolist()]

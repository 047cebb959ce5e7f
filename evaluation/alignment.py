"""Puts scores in the order of the trials of a protocol."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spoofcache.common.names import NameCollision, match_names
from spoofcache.common.texts import as_array
from spoofcache.evaluation.trials import TrialList, first_of
from spoofcache.metrics.det import FloatArray, ScoreError
from spoofcache.metrics.scores import UNKNOWN, AsvScores, CmScores


class Aligned(NamedTuple):
    """Scores in the order of trials, and how they were matched."""

    scores: FloatArray
    """Score of each trial [N]."""
    rule: str
    """The differences that were disregarded to match the names, such as endings of audio files; empty if none."""
    warnings: tuple[str, ...]
    """Sentences on what the score file says beside the scores and the protocol contradicts."""


def align(scores: CmScores, trials: TrialList, where: str) -> FloatArray:
    """The scores of `aligned`, without the information on how the names were matched."""
    return aligned(scores, trials, where).scores


def aligned(scores: CmScores, trials: TrialList, where: str) -> Aligned:
    """Scores [N] in the order of the N `trials`, matched by name (see `match_names`).

    Scores of utterances that the trial list excludes are dropped.

    Args:
        scores: the scores of a system.
        trials: the trials of the test set.
        where: the beginning of an error message, which names the two files.

    Raises:
        ScoreError: trials without a score, scores of no trial, keys or attacks that contradict the protocol's (an
            attack that one side does not know is no contradiction), or names that match only under a rule that makes
            two of them one. The message counts each of these, names the first, and says how the columns of the score
            file were understood.
    """
    try:
        match = match_names(scores.utt_ids, trials.utt_ids, trials.excluded)
    except NameCollision as error:
        raise ScoreError(f"{where}: {error}") from error
    rows, names = match.rows, trials.utt_ids
    found = rows >= 0
    faults = (
        (f"of {len(names)} trials have no score", _where(names, ~found)),
        (f"of {len(scores.utt_ids)} scores belong to no trial", match.strangers),
        ("keys differ", _where(names, found & _keys_differ(scores, trials, rows))),
        ("attacks differ", _where(names, found & _attacks_differ(scores, trials, rows))),
    )
    faulty = [f"{len(utt_ids)} {what} ({first_of(utt_ids)})" for what, utt_ids in faults if utt_ids]
    if faulty:
        understood = f" (understood: {scores.understood})" if scores.understood else ""
        expected = "one score for every trial, with its key"
        if any("keys differ" in fault for fault in faulty):
            expected += ", or --column key=none if the column is not a key"
        raise ScoreError(f"{where}: {'; '.join(faulty)}; expected {expected}{understood}")
    return Aligned(scores.scores[rows], match.rule, _polarity(scores, trials, rows))


def _polarity(scores: CmScores, trials: TrialList, rows: NDArray[np.intp]) -> tuple[str, ...]:
    """A sentence if a column of 0 and 1 is not the key of the protocol with 1 for bona fide."""
    if scores.ones is None:
        return ()
    agreeing, n = int((scores.ones[rows] == trials.is_bonafide).sum()), rows.size
    column = f"{scores.path}: the column of 0 and 1"
    if agreeing == n:
        return ()
    if agreeing == 0:
        return (f"{column} says 1 for spoof, against the usual polarity; check that higher scores mean bona fide",)
    return (f"{column} agrees with the protocol's keys in {agreeing} of {n} trials; the protocol's are used",)


def check_attacks(attacks: Collection[str], asv: AsvScores, where: str) -> None:
    """Check that every attack of the countermeasure's spoof trials has ASV trials; else its t-DCF is undefined.

    Raises:
        ScoreError: one of the `attacks` has no ASV trial; the message begins with `where`.
    """
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
    stated, expected = as_array(scores.attacks)[rows], trials.columns["attack"]
    return (stated != expected) & (stated != UNKNOWN) & (expected != UNKNOWN)


def _where(names: Sequence[str], chosen: NDArray[np.bool_]) -> list[str]:
    return [names[i] for i in np.flatnonzero(chosen).tolist()]

"""Which of several test sets a score file belongs to."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

from spoofcache.common.names import NameCollision, match_names
from spoofcache.evaluation.evaluation_set import EvaluationSet
from spoofcache.evaluation.trials import TrialList
from spoofcache.metrics.det import ScoreError
from spoofcache.metrics.scores import CmScores


class SystemName(NamedTuple):
    """The name of a system and the test set that the user wants its scores to be judged on."""

    system: str
    test_set: str = ""
    """Empty where the contents of the score file decide."""


def parse_system_name(name: str, test_sets: Collection[str]) -> SystemName:
    """Split `SYSTEM@SET` where there is a test set of that name; any other name is the system's as a whole.

    Raises:
        ScoreError: with several test sets, none of them is called SET; or the name of the system is empty.
    """
    system, at, test_set = name.rpartition("@")
    if not at or (test_set not in test_sets and len(test_sets) < 2):
        return SystemName(name)
    if test_set not in test_sets:
        raise ScoreError(f"{name}: no protocol is called {test_set!r}; expected one of {', '.join(test_sets)}")
    if not system:
        raise ScoreError(f"{name}: the system has no name; expected SYSTEM@{test_set}=FILE")
    return SystemName(system, test_set)


class Assignment(NamedTuple):
    """The scores of a system, and the trials that they are judged on."""

    test_set: str
    scores: CmScores
    trials: TrialList
    """The trials of the test set. Where the user chose it, scores of the other test sets' utterances are ignored."""


def assign(scores: CmScores, test_sets: Sequence[EvaluationSet], name: SystemName) -> Assignment:
    """Assign scores to the test set that the user chose, or else to the only one whose trials all have a score.

    Where no test set is covered wholly, the scores belong to the only one that has any of the utterances (`align` then
    reports the trials without a score).

    Raises:
        ScoreError: the user chose none, and the scores cover several test sets, or parts of several, or none.
    """
    if not name.test_set:
        test = _only_covered(scores, test_sets, name.system)
        return Assignment(test.name, scores, test.trials)
    test = next(one for one in test_sets if one.name == name.test_set)
    others = (other.trials for other in test_sets if other.name != test.name)
    elsewhere = {utt_id for trials in others for utt_id in (*trials.utt_ids, *trials.excluded)}
    ignored = test.trials.excluded | elsewhere.difference(test.trials.utt_ids)
    return Assignment(test.name, scores, replace(test.trials, excluded=ignored))


def _n_found(scores: CmScores, trials: TrialList) -> int:
    """Number of trials that have a score."""
    try:
        return int((match_names(scores.utt_ids, trials.utt_ids, trials.excluded).rows >= 0).sum())
    except NameCollision:  # `aligned` reports it where the test set is the only one
        return 0


def _only_covered(scores: CmScores, test_sets: Sequence[EvaluationSet], system: str) -> EvaluationSet:
    if len(test_sets) == 1:
        return test_sets[0]  # if it does not fit, `align` raises the more precise error
    n_found = {test.name: _n_found(scores, test.trials) for test in test_sets}
    covered = [test for test in test_sets if n_found[test.name] == len(test.trials.utt_ids)]
    touched = covered or [test for test in test_sets if n_found[test.name]]
    if len(touched) == 1:
        return touched[0]
    if covered:
        sets = " and ".join(f"{test.name} ({len(test.trials.utt_ids):,})" for test in covered)
        choice = " or ".join(f"{system}@{test.name}={scores.path}" for test in covered)
        raise ScoreError(f"{scores.path}: it scores all trials of {sets}; expected {choice}, or both, to choose")
    names = ", ".join(test.name for test in test_sets)
    if touched:
        parts = [f"{n_found[test.name]:,} of {len(test.trials.utt_ids):,} trials of {test.name}" for test in touched]
        raise ScoreError(f"{scores.path}: it scores {' and '.join(parts)}; expected all trials of one of {names}")
    raise ScoreError(f"{scores.path}: it scores none of the utterances of {names}; expected those of one of them")

"""Read the ASV scores for a test set, and check that both belong to the same edition of a challenge."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from spoofcache.evaluation.alignment import check_attacks
from spoofcache.evaluation.evaluation_set import EvaluationSet
from spoofcache.evaluation.reading import Reading
from spoofcache.metrics.asv_files import is_asv_2021, read_asv_2021, read_asv_scores
from spoofcache.metrics.det import ScoreError
from spoofcache.metrics.scores import UNKNOWN, AsvScores
from spoofcache.metrics.track2_files import FORM, is_track_2


class Counts(NamedTuple):
    """Numbers of ASV trials."""

    target: int
    nontarget: int
    spoof: int


EDITIONS: Mapping[Counts, tuple[str, int]] = {
    Counts(1_484, 5_768, 22_296): ("ASVspoof 2019 LA dev", 24_844),
    Counts(5_370, 33_327, 63_882): ("ASVspoof 2019 LA eval", 71_237),
}
"""Editions and their numbers of countermeasure trials, by the counts in the ASV score files that ASVspoof published."""
COLUMNS_2021 = {"phase", "trim"}
"""Columns that only the keys of ASVspoof 2021 have."""


def read_asv(path: Path, test: EvaluationSet, reading: Reading, has_protocol: bool) -> AsvScores:
    """Read ASV scores for a test set.

    Raises:
        ScoreError: a file cannot be read; the scores have no classes and there is no list of their trials; the scores
            lack an attack of the test set, or seem to belong to another edition.
    """
    if is_asv_2021(path):
        if reading.asv_key is None:
            raise ScoreError(
                f"{path}: ASV scores of ASVspoof 2021, which do not state the class of each trial; expected "
                "--asv-key with the list of their trials (keys/LA/ASV/trial_metadata.txt)"
            )
        phases = set(test.trials.columns["phase"].tolist()) if "phase" in test.trials.columns else set()
        known = {*test.trials.utt_ids, *test.trials.excluded}
        asv = read_asv_2021(path, reading.asv_key, phases, frozenset() if reading.asv_anyway else known)
    else:
        asv = read_asv_scores(path)
        if has_protocol and not reading.asv_anyway:
            _require_same_edition(path, asv, test)
    attacks = test.trials.columns["attack"][~test.trials.is_bonafide]
    check_attacks(set(attacks.tolist()) - {UNKNOWN}, asv, f"{test.name} with {path}")
    return asv


def require_use(key: Path, files: Sequence[Path]) -> None:
    """Check that one of the files needs a key of ASV trials.

    Raises:
        ScoreError: all of them state the classes of their trials, or there are none.
    """
    if not any(is_asv_2021(path) or is_track_2(path) for path in files):
        raise ScoreError(
            f"--asv-key {key} is of no use for {', '.join(map(str, files)) or 'score files alone'}; expected "
            f"--asv-scores of ASVspoof 2021, or --sasv-scores of ASVspoof 5 track 2, {FORM}"
        )


def _require_same_edition(path: Path, asv: AsvScores, test: EvaluationSet) -> None:
    edition, n_trials = EDITIONS.get(Counts(*(scores.size for scores in asv.classes)), ("", 0))
    n = len(test.trials.utt_ids) + len(test.trials.excluded)
    insist = "or --asv-anyway to use these"
    if edition and n != n_trials:
        raise ScoreError(
            f"{path}: its numbers of trials are those of {edition}, which has {n_trials:,} countermeasure trials, but "
            f"the protocol {test.name} has {n:,}; expected the ASV scores of the protocol's edition, {insist}"
        )
    if test.trials.columns.keys() >= COLUMNS_2021:
        raise ScoreError(
            f"{path}: ASV scores in the form of ASVspoof 2019, but the protocol {test.name} is one of ASVspoof 2021; "
            f"expected the ASV scores of 2021 (keys/LA/ASV/ASVTorch_Kaldi/score.txt with --asv-key), {insist}"
        )

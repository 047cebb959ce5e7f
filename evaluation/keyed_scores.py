"""One score file with the keys of its trials, which it carries itself or a protocol states."""

from pathlib import Path

import numpy as np

from spoofcache.evaluation.alignment import align
from spoofcache.evaluation.reading import Reading
from spoofcache.evaluation.trials import TrialList
from spoofcache.metrics.score_columns import names_in
from spoofcache.metrics.score_files import read_scores
from spoofcache.metrics.scores import CmScores
from spoofcache.protocols.forms import read_key_file
from spoofcache.protocols.trial import CLASS_INDEX, UNKNOWN
from spoofcache.protocols.trial_table import TrialTable


def read_keyed_scores(source: Path, protocol: Path | None, reading: Reading) -> tuple[CmScores, list[str]]:
    """Read a score file, with keys, attacks and order of a protocol if there is one.

    Returns:
        The scores, and sentences on what was doubtful in the files.

    Raises:
        ScoreError: a file cannot be read, or the trials of the two differ.
    """
    key = read_key_file(protocol, reading.of_protocol(protocol), lambda: names_in(source)) if protocol else None
    wanted = key.trials.names_as_written if key else ()
    scores = read_scores(source, reading.of_scores(source, key is not None), lambda: wanted)
    remarks = [*scores.remarks, *([key.polarity] if key and key.polarity else [])]
    return (with_protocol(scores, key.trials, f"{source} against {protocol}") if key else scores), remarks


def with_protocol(scores: CmScores, trials: TrialTable, where: str) -> CmScores:
    """The scores in the order of a protocol's trials, with their keys and attacks.

    Raises:
        ScoreError: the trials of the scores are not exactly those of the protocol, or their keys or attacks differ; the
            message begins with `where`.
    """
    utt_ids, attacks = trials.names_as_written, trials.column("attack", UNKNOWN)
    is_bonafide = np.frombuffer(trials.labels, np.int8) == CLASS_INDEX["bonafide"]
    wanted = TrialList(utt_ids, is_bonafide, {"attack": np.array(attacks)})
    return CmScores(utt_ids, attacks, is_bonafide, align(scores, wanted, where))

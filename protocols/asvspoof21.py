"""ASVspoof 2021 LA, DF and PA: the keys and meta labels, `keys/<scenario>/CM/trial_metadata.txt`.

The columns are known from secondary sources: the README of the evaluation package of the challenge ("On meta-labels")
and sample rows. That README does not name the last four columns of DF (`-` except in trials of VCC 2020, for example
`Task1 team20 FF E`); their names are ours. `phase` is `progress`, `eval` or the hidden track. Papers score `eval` only,
so each phase is a partition here. The counts are quoted from the summary of the challenge, and are consistent (the
phases of LA add up to the total).
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from spoofcache.protocols.audio import find_audio
from spoofcache.protocols.columns import read_columns
from spoofcache.protocols.corpus import Corpus, Location, check_counts, require
from spoofcache.protocols.trial import UNKNOWN, ProtocolError
from spoofcache.protocols.trial_table import TrialTable

COLUMNS: Mapping[str, str] = {
    "LA": "speaker utterance codec transmission attack key trim phase",
    "DF": "speaker utterance codec source attack key trim phase vocoder task team gender_pair language",
    # The fifth column is the distance of whatever speaks to the ASV system, a talker or a replay device.
    "PA": "speaker utterance asv_room asv_microphone asv_distance "
    "attacker_room attacker_microphone replay_device attacker_distance key trim phase",
}


def read_protocol(path: Path, scenario: str) -> TrialTable:
    """Read the trial metadata of `LA`, `DF` or `PA` in its order; ProtocolError names the malformed line.

    All columns except speaker, utterance, attack and key are conditions. PA names no attacks; its spoofs have `-`.
    """
    return read_columns(path, COLUMNS[scenario])


PHASES: Mapping[str, str] = {"eval": "eval", "progress": "progress", "hidden": "hidden", "hidden_track": "hidden"}
"""Spelling of a phase → partition."""

TOTALS: Mapping[str, int] = {"LA": 181_566, "DF": 611_829}
EVAL_TOTALS: Mapping[str, int] = {"LA": 148_176, "DF": 533_928}


def read_partition(where: Location, partition: str, scenario: str) -> TrialTable:
    """The trials of one phase of `LA`, `DF` or `PA` with their audio, in the official layout below the root.

    The root contains `keys/LA/CM/trial_metadata.txt` and `ASVspoof2021_LA_eval/flac`.

    Raises:
        ProtocolError: a line is malformed, a phase is unknown, or the counts differ from the published ones.
    """
    root = where.folder("root")
    path = require(root / f"keys/{scenario}/CM/trial_metadata.txt", f"the official ASVspoof 2021 layout below {root}")
    trials = read_protocol(path, scenario)
    phases = trials.column("phase", UNKNOWN)
    for line, phase in enumerate(phases, 1):
        if phase not in PHASES:
            raise ProtocolError(f"{path}:{line}: phase {phase!r}; expected one of {', '.join(PHASES)}")
    check_counts(trials, TOTALS.get(scenario, len(trials)), path)
    chosen = trials.take(row for row, phase in enumerate(phases) if PHASES[phase] == partition)
    if partition == "eval":
        check_counts(chosen, EVAL_TOTALS.get(scenario, len(chosen)), path)
    return find_audio(chosen, root / f"ASVspoof2021_{scenario}_eval" / "flac")


LA, DF, PA = (
    Corpus(
        partial(read_partition, scenario=scenario),
        partitions=("eval", "progress", "hidden"),
        published={"eval": EVAL_TOTALS[scenario]} if scenario in EVAL_TOTALS else {},
    )
    for scenario in ("LA", "DF", "PA")
)

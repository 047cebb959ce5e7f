"""ASVspoof 2021 LA, DF and PA: the keys and meta labels, `keys/<scenario>/CM/trial_metadata.txt`.

The columns are known second hand: from the challenge's evaluation package (its README, "On meta-labels") and from
sample rows. That README does not name the last four columns of DF (`-` but in trials of VCC 2020: `Task1 team20 FF E`);
their names are ours. `phase` is `progress`, `eval` or the hidden track; papers score `eval` only.
"""

from collections.abc import Mapping
from pathlib import Path

from protocols.trial import Trial, read_columns

COLUMNS: Mapping[str, str] = {
    "LA": "speaker utterance codec transmission attack key trim phase",
    "DF": "speaker utterance codec source attack key trim phase vocoder task team gender_pair language",
    # Whoever speaks into the verification system, a talker or the replay device, has its distance in the fifth column.
    "PA": "speaker utterance asv_room asv_microphone asv_distance "
    "attacker_room attacker_microphone replay_device attacker_distance key trim phase",
}


def read_protocol(path: Path, scenario: str) -> list[Trial]:
    """Read the trial metadata of `LA`, `DF` or `PA`, in its order; ProtocolError names the line that is wrong.

    All columns but speaker, utterance, attack and key are conditions. PA names no attacks: its spoof trials have `-`.
    """
    return read_columns(path, COLUMNS[scenario])

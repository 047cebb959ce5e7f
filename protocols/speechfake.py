"""SpeechFake BD and MD (arXiv 2507.21463): the CSV of an experiment, `metadata/experiments/<experiment>/*.csv`.

The format is known from two public loaders: the columns are `file` and `label`, and others (language, generator) become
conditions. Files are in `BD/<system>/<corpus>/` and `Real/<corpus>/`, so the system is a condition too. Each CSV file
is a partition; if an experiment has none, tools/prepare_corpus.py can split it 6:1:3.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from spoofcache.protocols.audio import find_audio
from spoofcache.protocols.corpus import Corpus, Location
from spoofcache.protocols.table import read_table
from spoofcache.protocols.trial import KEYS, Trial
from spoofcache.protocols.trial_table import TrialTable

SETS = ("BD", "MD")


def read_protocol(path: Path) -> TrialTable:
    """Read the CSV of an experiment in its order; ProtocolError names the malformed line."""
    return TrialTable(map(_with_system, read_table(path, KEYS)))


def _with_system(trial: Trial) -> Trial:
    folders = trial.utt_id.split("/")[:-1]
    if trial.key == "bonafide" or len(folders) < 2 or folders[0] not in SETS:
        return trial
    conditions: Mapping[str, str] = {**trial.conditions, "set": folders[0], "system": folders[1]}
    return replace(trial, conditions=conditions)


def read_corpus(where: Location, partition: str) -> TrialTable:
    """The trials of one CSV with their audio, which is below the folder that contains `BD` and `Real`."""
    return find_audio(read_protocol(where.folder("protocol")), where.folder("audio_dir"))


CORPUS = Corpus(read_corpus, needs=("protocol", "audio_dir"))

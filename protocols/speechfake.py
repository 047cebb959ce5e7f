"""SpeechFake BD and MD (arXiv 2507.21463): an experiment's CSV, `metadata/experiments/<experiment>/*.csv`.

Known second hand, from two public loaders: columns `file` and `label`; others (language, generator) become conditions.
Files lie in `BD/<system>/<corpus>/` and `Real/<corpus>/`, so the system is a condition too. A CSV is a partition;
where an experiment has none, tools/prepare_corpus.py splits 6:1:3.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from spoofcache.protocols.audio import find_audio
from spoofcache.protocols.corpus import Corpus, Location
from spoofcache.protocols.table import read_table
from spoofcache.protocols.trial import KEYS, Trial

SETS = ("BD", "MD")


def read_protocol(path: Path) -> list[Trial]:
    """Read an experiment's CSV, in its order; ProtocolError names the line that is wrong."""
    return [_with_system(trial) for trial in read_table(path, KEYS)]


def _with_system(trial: Trial) -> Trial:
    folders = trial.utt_id.split("/")[:-1]
    if trial.key == "bonafide" or len(folders) < 2 or folders[0] not in SETS:
        return trial
    conditions: Mapping[str, str] = {**trial.conditions, "set": folders[0], "system": folders[1]}
    return replace(trial, conditions=conditions)


def read_corpus(where: Location, partition: str) -> list[Trial]:
    """Trials of one CSV, with their audio below the folder that holds `BD` and `Real`."""
    return find_audio(read_protocol(where.folder("protocol")), where.folder("audio_dir"))


CORPUS = Corpus(read_corpus, needs=("protocol", "audio_dir"))

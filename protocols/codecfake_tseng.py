"""CodecFake (Wu, Tseng and Lee, arXiv 2406.07237): `processed/<codec>+<speaker>_….wav`, spoofs only.

This is not the corpus Codecfake, despite the similar name. Its spoofs are resynthesised speech of VCTK. The bona fide
speech is VCTK itself, which is given with --bonafide-dir. The layout is known from secondary sources.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from spoofcache.protocols.corpus import Corpus, Location, require
from spoofcache.protocols.folders import read_bonafide, read_folder
from spoofcache.protocols.trial import ProtocolError, Trial
from spoofcache.protocols.trial_table import TrialTable

FOLDER = "processed"
NAME = re.compile(r"(?P<codec>[^+]+)\+(?P<speaker>[^_+]+)_.+")
VCTK_NAME = re.compile(r"(?P<speaker>[ps]\d+)_.+")


def read_corpus(where: Location, partition: str) -> TrialTable:
    """All spoofs, and the bona fide speech that the user gives; ProtocolError if a file has an unexpected name."""
    folder = require(where.folder("root") / FOLDER, "the folder of CodecFake's resynthesised speech")
    return TrialTable(chain(read_folder(folder, "spoof", FOLDER, _tell), read_bonafide(where, _tell_speaker)))


def _tell(trial: Trial, folders: Sequence[str]) -> Trial:
    match = NAME.fullmatch(trial.utt_id.rpartition("/")[2])
    if not match:
        raise ProtocolError(f"{trial.path}: not the name of a resynthesised file; expected <codec>+<speaker>_….wav")
    codec = match["codec"]
    return replace(trial, attack=codec, speaker=match["speaker"], conditions={"codec": codec})


def _tell_speaker(trial: Trial, folders: Sequence[str]) -> Trial:
    match = VCTK_NAME.fullmatch(trial.utt_id.rpartition("/")[2])
    return replace(trial, speaker=match["speaker"]) if match else trial


CORPUS = Corpus(read_corpus, may=("bonafide_dir",))

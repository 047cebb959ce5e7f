"""WaveFake (Frank and Schönherr 2021): `generated_audio/<model>/…`, spoofs only.

The bona fide speech is LJSpeech and JSUT, which are given with --bonafide-dir. The folder of a model is the attack. Its
name begins with the training data (`ljspeech_melgan`, `jsut_multi_band_melgan`), and the rest is the vocoder.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from spoofcache.protocols.audio import word
from spoofcache.protocols.corpus import Corpus, Location, require
from spoofcache.protocols.folders import read_bonafide, read_folder
from spoofcache.protocols.trial import ProtocolError, Trial
from spoofcache.protocols.trial_table import TrialTable

FOLDER = "generated_audio"
SOURCES = ("ljspeech", "jsut")


def read_corpus(where: Location, partition: str) -> TrialTable:
    """All spoofs, and the bona fide speech that the user gives; ProtocolError if the layout is another."""
    folder = require(where.folder("root") / FOLDER, "WaveFake's folder of its models")
    return TrialTable(chain(read_folder(folder, "spoof", FOLDER, _tell), read_bonafide(where)))


def _tell(trial: Trial, folders: Sequence[str]) -> Trial:
    if not folders:
        raise ProtocolError(f"{trial.path}: audio outside the folders of the models; expected {FOLDER}/<model>/…")
    model = word(folders[0])
    source, _, vocoder = model.partition("_")
    conditions = {"source": source, "vocoder": vocoder} if source in SOURCES and vocoder else {"vocoder": model}
    return replace(trial, attack=model, conditions=conditions)


CORPUS = Corpus(read_corpus, may=("bonafide_dir",))

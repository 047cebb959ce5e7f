"""WaveFake (Frank and Schönherr 2021): `generated_audio/<model>/…`, spoofs only.

Bona fide are LJSpeech and JSUT, given apart (--bonafide-dir). A model's folder is the attack; its name begins with the
data that it was trained on (`ljspeech_melgan`, `jsut_multi_band_melgan`), the rest is the vocoder.
"""

from collections.abc import Sequence
from dataclasses import replace

from spoofcache.protocols.audio import word
from spoofcache.protocols.corpus import Corpus, Location, require
from spoofcache.protocols.folders import read_bonafide, read_folder
from spoofcache.protocols.trial import ProtocolError, Trial

FOLDER = "generated_audio"
SOURCES = ("ljspeech", "jsut")


def read_corpus(where: Location, partition: str) -> list[Trial]:
    """All spoofs, and the bona fide speech that the user adds; ProtocolError for another layout."""
    folder = require(where.folder("root") / FOLDER, "WaveFake's folder of its models")
    return read_folder(folder, "spoof", FOLDER, _tell) + read_bonafide(where)


def _tell(trial: Trial, folders: Sequence[str]) -> Trial:
    if not folders:
        raise ProtocolError(f"{trial.path}: audio outside the models' folders; expected {FOLDER}/<model>/…")
    model = word(folders[0])
    source, _, vocoder = model.partition("_")
    told = {"source": source, "vocoder": vocoder} if source in SOURCES and vocoder else {"vocoder": model}
    return replace(trial, attack=model, conditions=told)


CORPUS = Corpus(read_corpus, may=("bonafide_dir",))

"""Fake-or-Real (Reimao and Tzerpos 2019): `{training,validation,testing}/{real,fake}` in each of four versions.

The root is one version: `for-original`, `for-norm`, `for-2seconds` or `for-rerecorded`. File names have several endings
(`file9273.mp3.wav_16k.wav_norm.wav`); only the last one is removed to obtain the utterance.
"""

from collections.abc import Mapping

from spoofcache.protocols.corpus import OFFICIAL, Corpus, Location, require
from spoofcache.protocols.folders import read_classes
from spoofcache.protocols.trial_table import TrialTable

SPELLINGS: Mapping[str, str] = {"real": "bonafide", "fake": "spoof"}
FOLDERS: Mapping[str, str] = dict(zip(OFFICIAL, ("training", "validation", "testing"), strict=True))


def read_partition(where: Location, partition: str) -> TrialTable:
    """The trials of one partition with their audio; ProtocolError if the layout is another."""
    root, name = where.folder("root"), FOLDERS[partition]
    folder = require(root / name, "a version of Fake-or-Real, for-norm or the like, with training, validation, testing")
    return read_classes(folder, SPELLINGS, f"{name}/")


CORPUS = Corpus(read_partition, partitions=OFFICIAL)

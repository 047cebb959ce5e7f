"""Codecfake (Xie et al., arXiv 2405.04880): `label/<partition>.txt` with lines `file real|fake codec`.

The layout is known from the repository of the corpus: `train` and `dev` are beside `label`, and the test sets are in
`test` (C1 to C6 with seen codecs, C7 with unseen codecs, A1 to A3 with language models). The third column is the number
of the codec of a fake. The totals are those in the README of the repository; they agree with its six codecs and bona
fide speech (7 × 105,821, 2 × 13,228).
"""

from collections.abc import Mapping
from pathlib import Path

from spoofcache.protocols.audio import find_audio, utterance_of
from spoofcache.protocols.columns import read_columns
from spoofcache.protocols.corpus import Corpus, Location, check_counts, require
from spoofcache.protocols.trial import UNKNOWN
from spoofcache.protocols.trial_table import TrialTable

COLUMNS = "utterance key codec"
SPELLINGS: Mapping[str, str] = {"real": "bonafide", "fake": "spoof"}
TEST_SETS = ("C1", "C2", "C3", "C4", "C5", "C6", "C7", "A1", "A2", "A3")
TOTALS: Mapping[str, int] = {"train": 740_747, "dev": 92_596, **dict.fromkeys(TEST_SETS[:6], 26_456)}


def read_protocol(path: Path) -> TrialTable:
    """Read a label file in its order; ProtocolError names the malformed line."""
    return read_columns(path, COLUMNS, _split, SPELLINGS, utterance_of)


def _split(line: str) -> list[str]:
    values = line.split()
    if len(values) == 3:
        file, key, codec = values
        return [file, key, UNKNOWN if key == "real" else codec]
    return values


def read_partition(where: Location, partition: str) -> TrialTable:
    """The trials of one partition with their audio.

    Raises:
        ProtocolError: a line is malformed, or the number of trials differs from the published one.
    """
    root = where.folder("root")
    path = require(root / "label" / f"{partition}.txt", f"Codecfake's label files in {root / 'label'}")
    trials = read_protocol(path)
    check_counts(trials, TOTALS.get(partition, len(trials)), path)
    return find_audio(trials, root / "test" / partition if partition in TEST_SETS else root / partition)


CORPUS = Corpus(read_partition, partitions=("train", "dev", *TEST_SETS), published=TOTALS)

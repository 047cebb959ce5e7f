"""In-the-Wild (Müller et al. 2022): `meta.csv` with `file,speaker,label`, and the audio beside it.

The whole corpus is a test set, without partitions and attacks. The counts are those of published score files.
"""

from collections.abc import Mapping
from pathlib import Path

from spoofcache.protocols.audio import find_audio
from spoofcache.protocols.corpus import Corpus, Counts, Location, check_counts, require
from spoofcache.protocols.table import read_table
from spoofcache.protocols.trial_table import TrialTable

SPELLINGS: Mapping[str, str] = {"bona-fide": "bonafide", "spoof": "spoof"}
COUNTS = Counts(19_963, 11_816)


def read_protocol(path: Path) -> TrialTable:
    """Read a `meta.csv` in its order; ProtocolError names the malformed line."""
    return read_table(path, SPELLINGS)


def read_corpus(where: Location, partition: str) -> TrialTable:
    """All trials with their audio.

    Raises:
        ProtocolError: a line is malformed, or the counts differ from the published ones.
    """
    root = where.folder("root")
    path = require(root / "meta.csv", f"In-the-Wild's table in {root}")
    trials = read_protocol(path)
    check_counts(trials, COUNTS, path)
    return find_audio(trials, root)


CORPUS = Corpus(read_corpus, partitions=("eval",), published={"eval": COUNTS.total})

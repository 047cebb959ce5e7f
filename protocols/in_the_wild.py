"""In-the-Wild (Müller et al. 2022): `meta.csv` with `file,speaker,label`, the audio beside it.

All of it is a test set; there are no partitions, no attacks. Counts: of the published score files.
"""

from collections.abc import Mapping
from pathlib import Path

from spoofcache.protocols.audio import find_audio
from spoofcache.protocols.corpus import Corpus, Counts, Location, check_counts, require
from spoofcache.protocols.table import read_table
from spoofcache.protocols.trial import Trial

SPELLINGS: Mapping[str, str] = {"bona-fide": "bonafide", "spoof": "spoof"}
COUNTS = Counts(19_963, 11_816)


def read_protocol(path: Path) -> list[Trial]:
    """Read a `meta.csv`, in its order; ProtocolError names the line that is wrong."""
    return read_table(path, SPELLINGS)


def read_corpus(where: Location, partition: str) -> list[Trial]:
    """All trials with their audio; ProtocolError for a broken line or another number than the published one."""
    root = where.folder("root")
    path = require(root / "meta.csv", f"In-the-Wild's table in {root}")
    trials = read_protocol(path)
    check_counts(trials, COUNTS, path)
    return find_audio(trials, root)


CORPUS = Corpus(read_corpus, partitions=("eval",), published={"eval": COUNTS.total})

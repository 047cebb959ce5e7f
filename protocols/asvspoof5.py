"""ASVspoof 5, track 1: `ASVspoof5.{train,dev.track_1,eval.track_1}.tsv`, in spite of their ending mostly with blanks.

A line has ten columns, known second hand (sample rows and public parsers); rows of bona fide trials have been seen with
nine. A codec of `-` says that none was used: that condition is called `none` here, for `-` is the unknown. Counts: as
other projects quote them from the database's paper (arXiv 2502.08857).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from spoofcache.protocols.audio import find_audio
from spoofcache.protocols.corpus import OFFICIAL, Corpus, Counts, Location, check_counts, require
from spoofcache.protocols.trial import UNKNOWN, Trial, read_columns

COLUMNS = "speaker utterance sex codec codec_quality codec_seed attack_tag attack key column_10"
CODEC = COLUMNS.split().index("codec")
NO_CODEC = "none"


class Partition(NamedTuple):
    """Where a partition lies below the root, and how many trials it has."""

    protocol: str
    audio_dir: str
    counts: Counts


PARTITIONS: Mapping[str, Partition] = {
    "train": Partition("ASVspoof5.train.tsv", "flac_T", Counts(18_797, 163_560)),
    "dev": Partition("ASVspoof5.dev.track_1.tsv", "flac_D", Counts(31_334, 109_616)),
    "eval": Partition("ASVspoof5.eval.track_1.tsv", "flac_E_eval", Counts(138_688, 542_086)),
}


def read_protocol(path: Path) -> list[Trial]:
    """Read a protocol of track 1, in its order; ProtocolError names the line that is wrong."""
    return read_columns(path, COLUMNS, _split)


def _split(line: str) -> list[str]:
    values = line.split()
    if len(values) == 9 and values[-2] == "bonafide":
        values.insert(6, UNKNOWN)  # there is no attack to tag; of spoof the missing column could be any
    if len(values) == 10 and values[CODEC] == UNKNOWN:
        values[CODEC] = NO_CODEC
    return values


def read_partition(where: Location, partition: str) -> list[Trial]:
    """Trials of one partition with their audio; the root holds the protocols and `flac_T`, `flac_D`, `flac_E_eval`.

    Raises:
        ProtocolError: a broken line, or counts that differ from the published ones.
    """
    root, about = where.folder("root"), PARTITIONS[partition]
    path = require(root / about.protocol, f"the official ASVspoof 5 layout below {root}")
    trials = read_protocol(path)
    check_counts(trials, about.counts, path)
    return find_audio(trials, root / about.audio_dir)


CORPUS = Corpus(
    read_partition,
    partitions=OFFICIAL,
    published={partition: about.counts.total for partition, about in PARTITIONS.items()},
)

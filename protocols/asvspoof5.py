"""ASVspoof 5, track 1: `ASVspoof5.{train,dev.track_1,eval.track_1}.tsv`.

Despite their ending, the columns are mostly separated by spaces. Each line has ten columns, which are known from
secondary sources (sample rows and public parsers); bona fide rows with nine columns exist. A codec of `-` means that no
codec was used. This condition is called `none` here, because `-` means unknown. The counts are those that other
projects quote from the paper of the database (arXiv 2502.08857).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from spoofcache.protocols.audio import find_audio
from spoofcache.protocols.columns import read_columns
from spoofcache.protocols.corpus import OFFICIAL, Corpus, Counts, Location, check_counts, require
from spoofcache.protocols.trial import UNKNOWN
from spoofcache.protocols.trial_table import TrialTable

COLUMNS = "speaker utterance sex codec codec_quality codec_seed attack_tag attack key column_10"
CODEC = COLUMNS.split().index("codec")
NO_CODEC = "none"


class Partition(NamedTuple):
    """The files of a partition below the root, and its number of trials."""

    protocol: str
    audio_dir: str
    counts: Counts


PARTITIONS: Mapping[str, Partition] = {
    "train": Partition("ASVspoof5.train.tsv", "flac_T", Counts(18_797, 163_560)),
    "dev": Partition("ASVspoof5.dev.track_1.tsv", "flac_D", Counts(31_334, 109_616)),
    "eval": Partition("ASVspoof5.eval.track_1.tsv", "flac_E_eval", Counts(138_688, 542_086)),
}


def read_protocol(path: Path) -> TrialTable:
    """Read a protocol of track 1 in its order; ProtocolError names the malformed line."""
    return read_columns(path, COLUMNS, _split)


def _split(line: str) -> list[str]:
    values = line.split()
    if len(values) == 9 and values[-2] == "bonafide":
        values.insert(6, UNKNOWN)  # the attack tag is missing; in a spoof row, any column could be
    if len(values) == 10 and values[CODEC] == UNKNOWN:
        values[CODEC] = NO_CODEC
    return values


def read_partition(where: Location, partition: str) -> TrialTable:
    """The trials of one partition with their audio.

    The root contains the protocols and the folders `flac_T`, `flac_D` and `flac_E_eval`.

    Raises:
        ProtocolError: a line is malformed, or the counts differ from the published ones.
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

"""ASVspoof 5, track 1: `ASVspoof5.{train,dev.track_1,eval.track_1}.tsv`, in spite of their ending mostly with blanks.

A line has ten columns, known second hand (sample rows and public parsers); rows of bona fide trials have been seen with
nine. A codec of `-` says that none was used: that condition is called `none` here, for `-` is the unknown.
"""

from pathlib import Path

from protocols.trial import UNKNOWN, Trial, read_columns

COLUMNS = "speaker utterance sex codec codec_quality codec_seed attack_tag attack key column_10"
CODEC = COLUMNS.split().index("codec")
NO_CODEC = "none"


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

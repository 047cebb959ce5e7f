"""Protocols as tables with a header, their cells parted by commas or tabs: named columns in any order.

In-the-Wild's meta.csv, the trial list of a cache (trials.tsv), the CSV files of SpeechFake, and a user's own.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from protocols import AUDIO_ENDINGS
from protocols.trial import (
    UNKNOWN,
    ProtocolError,
    Seen,
    Trial,
    check_attack,
    check_unique,
    known,
    read_text,
    table_rows,
)

FILE = ("file", "filename")
UTTERANCE = ("utt_id", "utterance", "trial", *FILE)
KEY = ("key", "label", "cm-label")
"""Names by which a header may call the two columns that every table has."""

SPELLINGS: Mapping[str, str] = {"bonafide": "bonafide", "bona-fide": "bonafide", "spoof": "spoof"}


def is_header(line: str) -> bool:
    """Whether a first line names the column of the utterances or of the keys."""
    return any(cell.strip('"') in (*UTTERANCE, *KEY) for cell in line.strip().split(_delimiter(line)))


def read_table(path: Path) -> list[Trial]:
    """Read a table with one of UTTERANCE, one of KEY, and `speaker` and `attack` where it has them, in its order.

    A column called `file` or `filename` may hold paths: the utterance is the name without the folders and without the
    ending of an audio file. Every other column is a condition under its own name; one without a name (the row numbers
    that data frames write) is left out. A cell that is empty or `-` tells nothing, the attack of spoof included.

    Raises:
        ProtocolError: a header that does not name the two once; no row; a row that is not as wide as the header; an
            unknown key; bona fide with an attack; an utterance that stands twice.
    """
    text = read_text(path, "a table with a header")
    rows = table_rows(text, _delimiter(text.partition("\n")[0]), path)
    header = next(rows, [])
    utterance, key = _only(header, UTTERANCE, path, "utterance"), _only(header, KEY, path, "key")
    if len(set(header)) < len(header):
        raise ProtocolError(f"{path}:1: header {' '.join(header)}; expected every name once")
    trials = []
    seen: Seen = {}
    for line, row in enumerate(rows, 2):
        cells = dict(zip(header, row, strict=True))
        trials.append(_trial(path, line, _utt_id(utterance, cells.pop(utterance)), cells.pop(key), cells, seen))
    if not trials:
        raise ProtocolError(f"{path}: no line below the header; expected one per trial")
    check_unique(trials, path, start=2)
    return trials


def _delimiter(header: str) -> str:
    return "\t" if "\t" in header else ","


def _only(header: Sequence[str], names: Sequence[str], path: Path, meaning: str) -> str:
    found = [name for name in header if name in names]
    if len(found) != 1:
        many = f"{len(found)} columns" if found else "no column"
        raise ProtocolError(
            f"{path}:1: header {' '.join(header)} has {many} for the {meaning}; expected one of {', '.join(names)}"
        )
    return found[0]


def _utt_id(column: str, cell: str) -> str:
    if column not in FILE:
        return cell
    name = cell.replace("\\", "/").rpartition("/")[2]
    stem, ending = os.path.splitext(name)
    return stem if ending.lower() in AUDIO_ENDINGS else name


def _trial(path: Path, line: int, utt_id: str, spelling: str, cells: dict[str, str], seen: Seen) -> Trial:
    if not utt_id:
        raise ProtocolError(f"{path}:{line}: no utterance; expected its name")
    if spelling not in SPELLINGS:
        raise ProtocolError(f"{path}:{line}: key {spelling!r}; expected one of {', '.join(SPELLINGS)}")
    key = SPELLINGS[spelling]
    speaker, attack = cells.pop("speaker", UNKNOWN) or UNKNOWN, cells.pop("attack", UNKNOWN) or UNKNOWN
    if (attack, key) != (UNKNOWN, "spoof"):
        check_attack(attack, key, path, line)
    cells.pop("", None)
    return Trial(utt_id, key, attack if key == "spoof" else UNKNOWN, speaker, conditions=known(cells, key, seen))

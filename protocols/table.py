"""Protocols as tables with a header, their cells parted by commas or tabs: named columns in any order.

In-the-Wild's meta.csv, the trial list of a cache (trials.tsv), the CSV files of SpeechFake, and a user's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from spoofcache.protocols.audio import find_audio, utterance_of, word
from spoofcache.protocols.corpus import Corpus, Location
from spoofcache.protocols.trial import (
    UNKNOWN,
    ProtocolError,
    Seen,
    Trial,
    check_attack,
    check_unique,
    check_utterance,
    key_of,
    known,
    read_text,
    table_rows,
)

FILE = ("file", "filename")
UTTERANCE = ("utt_id", "utterance", "trial", *FILE)
KEY = ("key", "label", "cm-label")
"""Names by which a header may call the two columns that every table has."""

SPELLINGS: Mapping[str, str] = {"bonafide": "bonafide", "bona-fide": "bonafide", "spoof": "spoof"}

OWN_SPELLINGS: Mapping[str, str] = {
    **dict.fromkeys(("bonafide", "bona-fide", "genuine", "human", "real"), "bonafide"),
    **dict.fromkeys(("spoof", "fake"), "spoof"),
}
"""What a user's own table may write. 1 and 0 tell nothing: corpora differ in which is which."""


def is_header(line: str) -> bool:
    """Whether a first line names the column of the utterances or of the keys."""
    return any(cell.strip('"') in (*UTTERANCE, *KEY) for cell in line.strip().split(_delimiter(line)))


def read_table(
    path: Path, spellings: Mapping[str, str] = SPELLINGS, columns: Mapping[str, str] | None = None
) -> list[Trial]:
    """Read a table with one of UTTERANCE, one of KEY, and `speaker` and `attack` where it has them, in its order.

    A column called `file` or `filename` may hold paths: see `utterance_of`. Every other column is a condition under
    its own name; one without a name or called `Unnamed: 0` (the row numbers that data frames write) is left out. A
    cell that is empty or `-` tells nothing, the attack of spoof included.

    Args:
        path: the table.
        spellings: how the corpus writes the keys.
        columns: name of ours (`file`, `label`, `speaker`, `attack`, a condition) → what the header calls it.

    Raises:
        ProtocolError: a header that does not name the two once, or lacks one of `columns`; no row; a row that is not
            as wide as the header; an unknown key; bona fide with an attack; an utterance that stands twice.
    """
    text = read_text(path, "a table with a header")
    rows = table_rows(text, _delimiter(text.partition("\n")[0]), path)
    first = next(rows, [])
    header = _rename(first, columns or {}, path)
    shown, hint = f"{path}:1: header {' '.join(first)}", "" if columns is None else ", or --column "
    utterance = _only(header, UTTERANCE, shown, "utterance", hint and f"{hint}file=NAME")
    key = _only(header, KEY, shown, "key", hint and f"{hint}label=NAME")
    trials = []
    seen: Seen = {}
    for line, row in enumerate(rows, 2):
        cells = dict(zip(header, row, strict=True))
        name, spelling = cells.pop(utterance), cells.pop(key)
        utt_id = utterance_of(name) if utterance in FILE else word(name)
        check_utterance(utt_id, path, line)
        trial = _trial(path, line, utt_id, key_of(spelling, spellings, path, line), cells, seen)
        trials.append(replace(trial, file=name) if utterance in FILE else trial)
    if not trials:
        raise ProtocolError(f"{path}: no line below the header; expected one per trial")
    check_unique(trials, path, start=2)
    return trials


def _delimiter(header: str) -> str:
    return "\t" if "\t" in header else ","


def _rename(header: Sequence[str], columns: Mapping[str, str], path: Path) -> list[str]:
    """The header in our names; a column of the same meaning as one that the user names loses its own."""
    if len(set(header)) < len(header):
        raise ProtocolError(f"{path}:1: header {' '.join(header)}; expected every name once")
    for name, called in columns.items():
        if called not in header:
            raise ProtocolError(
                f"{path}:1: header {' '.join(header)} has no column {called!r}; expected it (--column {name}={called})"
            )
    ours = {called: name for name, called in columns.items()}
    if len(ours) < len(columns):
        raise ProtocolError(f"--column {' --column '.join(map('='.join, columns.items()))}; expected every column once")
    taken = {alias for name in columns for alias in _aliases(name)}
    nameless = {called for called in header if called in taken or called.startswith("Unnamed: ")}
    return [ours.get(called, "" if called in nameless else called) for called in header]


def _aliases(name: str) -> Sequence[str]:
    return next((names for names in (UTTERANCE, KEY) if name in names), (name,))


def _only(header: Sequence[str], names: Sequence[str], shown: str, meaning: str, hint: str) -> str:
    found = [name for name in header if name in names]
    if len(found) != 1:
        many = f"{len(found)} columns" if found else "no column"
        raise ProtocolError(f"{shown} has {many} for the {meaning}; expected one of {', '.join(names)}{hint}")
    return found[0]


def _trial(path: Path, line: int, utt_id: str, key: str, cells: dict[str, str], seen: Seen) -> Trial:
    speaker, attack = cells.pop("speaker", UNKNOWN) or UNKNOWN, word(cells.pop("attack", UNKNOWN)) or UNKNOWN
    if (attack, key) != (UNKNOWN, "spoof"):
        check_attack(attack, key, path, line)
    cells.pop("", None)
    return Trial(utt_id, key, attack if key == "spoof" else UNKNOWN, speaker, conditions=known(cells, key, seen))


def read_own(where: Location, partition: str) -> list[Trial]:
    """Trials of a user's own table, with the audio of a folder."""
    trials = read_table(where.folder("protocol"), OWN_SPELLINGS, where.columns)
    return find_audio(trials, where.folder("audio_dir"))


CSV = Corpus(read_own, needs=("protocol", "audio_dir"), may=("columns",))

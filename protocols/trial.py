"""The trial of a countermeasure protocol, the class indices of the whole package, and what all readers share."""

import csv
import hashlib
import io
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from spoofcache.common.errors import InputError

CLASS_INDEX: Mapping[str, int] = {"spoof": 0, "bonafide": 1}
"""Class index of each key in the whole package: bona fide = 1, spoof = 0. A higher score means more bona fide."""

UNKNOWN = "-"
"""The value of a column that is unknown or does not apply, such as the attack of a bona fide trial."""

NO_ATTACK = (UNKNOWN, "bonafide", "bona-fide")
"""The attack of a bona fide utterance in the protocols of different corpora; a `Trial` has UNKNOWN."""

COLUMNS = ("utt_id", "speaker", "attack", "key")


class ProtocolError(InputError):
    """A protocol is malformed; the message names the file, the line, the value and what was expected."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One utterance to be judged.

    `path` is None if the audio is not available (in a trial that is read from the snapshot of a cache). `conditions`
    are the other columns of the protocol (such as `environment` in ASVspoof 2019 PA) by their names; columns that are
    empty for this utterance are omitted. `file` is the audio file as the protocol names it, for which `find_audio`
    searches; it is empty if the protocol names none.
    """

    utt_id: str
    key: str
    attack: str = UNKNOWN
    speaker: str = UNKNOWN
    path: Path | None = None
    conditions: Mapping[str, str] = field(default_factory=dict, hash=False)
    file: str = field(default="", compare=False)

    @property
    def label(self) -> int:
        """The class index of the key."""
        return CLASS_INDEX[self.key]

    @property
    def audio(self) -> Path:
        """The path of a trial that has one."""
        assert self.path is not None, self.utt_id
        return self.path


Seen = dict[tuple[str, ...], dict[str, str]]
"""Cells of the conditions, of a protocol also the key → the conditions without empty cells."""


def check_unique(trials: Iterable[Trial], source: Path, start: int = 1) -> None:
    """Raise ProtocolError for the first duplicate utterance; `source` is the file to name, `start` its first line."""
    first_line: dict[str, int] = {}
    for line, trial in enumerate(trials, start):
        if trial.utt_id in first_line:
            raise ProtocolError(
                f"{source}:{line}: utterance {trial.utt_id} is already on line "
                f"{first_line[trial.utt_id]}; expected every utterance once"
            )
        first_line[trial.utt_id] = line


def snapshot(trials: Sequence[Trial]) -> bytes:
    """The trial list as tab-separated text with a header, the content of a cache's `trials.tsv`.

    The columns are `utt_id speaker attack key`, then the conditions. Paths are not included, so that the same protocol
    gives the same bytes on every machine.
    """
    conditions = sorted({name for trial in trials for name in trial.conditions})
    text = io.StringIO()
    table = csv.writer(text, delimiter="\t", lineterminator="\n")
    table.writerow((*COLUMNS, *conditions))
    for t in trials:
        row = (t.utt_id, t.speaker, t.attack, t.key)
        table.writerow((*row, *(t.conditions.get(name, UNKNOWN) for name in conditions)))
    return text.getvalue().encode()


def snapshot_sha256(content: bytes) -> str:
    """The hash by which a shard identifies the trial list to which it belongs."""
    return hashlib.sha256(content).hexdigest()


def read_snapshot(path: Path) -> list[Trial]:
    """Read the `trials.tsv` of a cache. The trials have no paths."""
    table = table_rows(read_text(path, f"a table of {' '.join(COLUMNS)}"), "\t", path)
    header = tuple(next(table, ()))
    if header[: len(COLUMNS)] != COLUMNS:
        raise ProtocolError(f"{path}:1: header {' '.join(header) or 'missing'}; expected {' '.join(COLUMNS)}")
    seen: Seen = {}
    return [_from_row(path, line, header, row, seen) for line, row in enumerate(table, 2)]


def _from_row(path: Path, line: int, header: tuple[str, ...], row: list[str], seen: Seen) -> Trial:
    """The trial of a row; equal texts and conditions are shared, which halves the memory of a million trials."""
    utt_id, speaker, attack, key = row[: len(COLUMNS)]
    key, values = key_of(key, KEYS, path, line), tuple(row[len(COLUMNS) :])
    if values not in seen:
        named = zip(header[len(COLUMNS) :], values, strict=True)
        seen[values] = {name: value for name, value in named if value != UNKNOWN}
    return Trial(utt_id, key, sys.intern(attack), sys.intern(speaker), conditions=seen[values])


def table_rows(text: str, delimiter: str, source: Path, quotes: bool = True) -> Iterator[list[str]]:
    """The header and the rows of a table with one row per line; ProtocolError if a row is not as wide as the header.

    Without `quotes`, quotation marks are ordinary characters.
    """
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    header: list[str] | None = None
    for number, line in enumerate(io.StringIO(text), 1):
        try:  # each line by itself, so that an open quote ends with its line
            (row,) = csv.reader((line,), delimiter=delimiter, strict=True, quoting=quoting)
        except csv.Error as error:
            found = f"{error} in {line.strip()[:60]!r}"
            raise ProtocolError(f"{source}:{number}: {found}; expected a row of cells on one line") from error
        header = row if header is None else header
        if len(row) != len(header):
            raise ProtocolError(f"{source}:{number}: {len(row)} columns; expected {len(header)}: {' '.join(header)}")
        yield row


KEYS: Mapping[str, str] = {"bonafide": "bonafide", "spoof": "spoof"}
"""Spelling → key, for corpora that spell keys as we do."""


def read_columns(
    path: Path,
    columns: str,
    split: Callable[[str], list[str]] = str.split,
    spellings: Mapping[str, str] = KEYS,
    utterance_of: Callable[[str], str] | None = None,
) -> list[Trial]:
    """Read a protocol without a header, in its order.

    Args:
        path: the protocol.
        columns: names of the columns: `utterance key`, usually `speaker attack`, and the conditions.
        split: line → its values.
        spellings: spelling of a key in this corpus → key.
        utterance_of: audio file → utterance, if the column `utterance` names files.

    Raises:
        ProtocolError: the file is empty; a line has another number of columns, no utterance or an unknown key; a bona
            fide trial has an attack, or a spoof has none (if there is such a column); an utterance is listed twice.
    """
    names, trials = columns.split(), []
    seen: Seen = {}
    for number, line in enumerate(io.StringIO(read_text(path, f"lines of {columns}")), 1):
        values = split(line)
        if len(values) != len(names):
            found = f"{len(values)} columns in {line.strip()[:60]!r}"
            raise ProtocolError(f"{path}:{number}: {found}; expected {len(names)}: {columns}")
        row = dict(zip(names, values, strict=True))
        trials.append(_from_columns(path, number, row, spellings, seen, utterance_of))
    if not trials:
        raise ProtocolError(f"{path}: empty; expected lines of {columns}")
    check_unique(trials, path)
    return trials


def _from_columns(
    path: Path,
    line: int,
    row: dict[str, str],
    spellings: Mapping[str, str],
    seen: Seen,
    utterance_of: Callable[[str], str] | None,
) -> Trial:
    name, speaker, attack = row.pop("utterance"), row.pop("speaker", UNKNOWN), row.pop("attack", None)
    utt_id, file = (utterance_of(name), name) if utterance_of else (name, "")
    key = key_of(row.pop("key"), spellings, path, line)
    check_utterance(utt_id, path, line)
    if attack is not None:
        check_attack(attack, key, path, line)
    if attack is None or key == "bonafide":
        attack = UNKNOWN
    return Trial(utt_id, key, attack, speaker, conditions=known(row, key, seen), file=file)


def known(row: Mapping[str, str], key: str, seen: Seen) -> Mapping[str, str]:
    """The columns with a value: neither empty nor `-` nor, for a bona fide utterance, `bonafide`.

    The caller keeps one `seen` per file, so that equal rows share a mapping, which halves time and memory.
    """
    cells = (key, *row.values())
    if cells not in seen:
        nothing = ("", *NO_ATTACK) if key == "bonafide" else ("", UNKNOWN)
        seen[cells] = {name: value for name, value in row.items() if value not in nothing}
    return seen[cells]


def read_text(path: Path, expected: str) -> str:
    """The text of a UTF-8 file, without blank lines at its end.

    Raises:
        ProtocolError: the file is not text; the message names the line, and what was `expected`.
    """
    try:
        return path.read_bytes().decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        raise ProtocolError(f"{path}:{line}: byte 0x{byte:02x} is not text; expected {expected}") from error


def key_of(spelling: str, spellings: Mapping[str, str], source: Path, line: int) -> str:
    """The key with that spelling; ProtocolError if the corpus has no such spelling."""
    if spelling not in spellings:
        raise ProtocolError(f"{source}:{line}: key {spelling!r}; expected {' or '.join(spellings)}")
    return spellings[spelling]


def check_utterance(utt_id: str, source: Path, line: int) -> None:
    """Raise ProtocolError if the name of the utterance is missing, or has characters that no file of lines can hold."""
    if utt_id in ("", UNKNOWN):
        raise ProtocolError(f"{source}:{line}: no utterance; expected its name")
    require_printable(utt_id, f"{source}:{line}")


def require_printable(utt_id: str, source: Path | str) -> None:
    """Raise ProtocolError if the name of an utterance contains a control character; `source` is named first."""
    if not utt_id.isprintable() and any(unicodedata.category(letter) == "Cc" for letter in utt_id):
        raise ProtocolError(f"{source}: utterance {utt_id!r}; expected a name without control characters")


def check_attack(attack: str, key: str, source: Path, line: int) -> None:
    """Raise ProtocolError unless the trial is a spoof with an attack, or bona fide without one."""
    if (key == "spoof") == (attack in NO_ATTACK):
        raise ProtocolError(f"{source}:{line}: attack {attack!r} with key {key}; expected '-' for bona fide only")

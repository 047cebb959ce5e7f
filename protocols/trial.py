"""The trial of a countermeasure protocol, the class indices of the whole package, and what all readers share."""

import csv
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from itertools import chain
from pathlib import Path

from spoofcache.common.errors import InputError
from spoofcache.common.tables.source import Source

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


def table_rows(lines: Iterable[str], delimiter: str, source: Path, quotes: bool = True) -> Iterator[list[str]]:
    """The header and the rows of a table with one row per line; ProtocolError if a row is not as wide as the header.

    Without `quotes`, quotation marks are ordinary characters.
    """
    header: list[str] | None = None
    for number, line in enumerate(lines, 1):
        try:
            row = _cells(line, delimiter, quotes)
        except csv.Error as error:
            found = f"{error} in {line.strip()[:60]!r}"
            raise ProtocolError(f"{source}:{number}: {found}; expected a row of cells on one line") from error
        header = row if header is None else header
        if len(row) != len(header):
            raise ProtocolError(f"{source}:{number}: {len(row)} columns; expected {len(header)}: {' '.join(header)}")
        yield row


def _cells(line: str, delimiter: str, quotes: bool) -> list[str]:
    """The cells of a line by itself, so that an open quote ends with its line."""
    text = line.removesuffix("\n")
    if text and '"' not in text and "\r" not in text and len(text) < csv.field_size_limit():  # csv would do the same
        return text.split(delimiter)
    (row,) = csv.reader(
        (line,), delimiter=delimiter, strict=True, quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    )
    return row


KEYS: Mapping[str, str] = {"bonafide": "bonafide", "spoof": "spoof"}
"""Spelling → key, for corpora that spell keys as we do."""


def known(row: Mapping[str, str], key: str) -> Mapping[str, str]:
    """The columns with a value: neither empty nor `-` nor, for a bona fide utterance, `bonafide`."""
    nothing = ("", *NO_ATTACK) if key == "bonafide" else ("", UNKNOWN)
    return {name: value for name, value in row.items() if value not in nothing}


def text_lines(path: Path, expected: str) -> Iterator[str]:
    """Read the lines of a UTF-8 file one after the other, with their ends, without blank lines at the end of the file.

    Raises:
        ProtocolError: a line is not text; the message names the line, and what was `expected`.
    """
    blank: list[str] = []
    lines = chain.from_iterable(map(BytesIO, Source(path).blocks_as_they_are()))
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise ProtocolError(f"{path}:{number}: byte 0x{byte:02x} is not text; expected {expected}") from error
        if text.strip("\r\n"):
            yield from blank
            blank.clear()
            yield text
        else:
            blank.append(text)


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
    """Raise ProtocolError if a name has a control character or, from a file's name, bytes that are not UTF-8.

    The message begins with `source`.
    """
    kinds = set() if utt_id.isprintable() else {unicodedata.category(letter) for letter in utt_id}
    if "Cc" in kinds:
        raise ProtocolError(f"{source}: utterance {utt_id!r}; expected a name without control characters")
    if "Cs" in kinds:
        where = repr(str(source))[1:-1]  # as escapes, because such a name cannot be printed
        raise ProtocolError(f"{where}: utterance {utt_id!r}; expected a name in UTF-8")


def check_attack(attack: str, key: str, source: Path, line: int) -> None:
    """Raise ProtocolError unless the trial is a spoof with an attack, or bona fide without one."""
    if (key == "spoof") == (attack in NO_ATTACK):
        raise ProtocolError(f"{source}:{line}: attack {attack!r} with key {key}; expected '-' for bona fide only")

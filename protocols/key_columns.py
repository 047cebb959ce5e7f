"""Find the meaning of the columns of a key file or a table of trials from their headers, or else their contents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

from spoofcache.common.names import is_audio
from spoofcache.common.tables.columns import Column, Table
from spoofcache.common.tables.foreign import refuse_foreign
from spoofcache.common.tables.layout import read_lines
from spoofcache.common.tables.roles import (
    Asked,
    Names,
    asked_columns,
    find_attack,
    find_key,
    find_utterance,
    named_by_header,
    refuse_hidden_rows,
    table_error,
    understand,
)
from spoofcache.common.tables.words import FILE_NAMES, HEADERS, NO_ATTACK, class_of, plain

EXPECTED = "one line per trial with the name of the utterance and the word bonafide or spoof, such as `LA_E_1 bonafide`"
SYNONYMS: Mapping[str, str] = {"utt_id": "utterance", "trial": "utterance", "label": "key", "filename": "file"}
"""Other names of columns that --column accepts."""
POLARITY: Mapping[str, str] = {"bonafide": "1", "spoof": "0"}
"""Class by which --column names a column of 0 and 1, in which 1 means that class → the number that means bona fide."""


@dataclass(frozen=True, eq=False)
class KeyColumns:
    """The columns of a key file by their meaning; a column that the file does not have is None."""

    table: Table
    utterance: Column
    key: Column
    one_means: str
    """The meaning of 1 in a key of 0 and 1, `bonafide` or `spoof`; empty if the key is written in words."""
    attack: Column | None
    speaker: Column | None
    conditions: Mapping[str, Column] = field(default_factory=dict)
    """All other columns, by their headers or as `column_3`."""

    def __str__(self) -> str:
        named = {"utterance": self.utterance, "key": self.key, "attack": self.attack, "speaker": self.speaker}
        said = [f"{name} = {column}" for name, column in named.items() if column]
        if self.one_means:
            said.append(f"1 means {self.one_means}")
        others = f"; conditions: {', '.join(map(str, self.conditions.values()))}" if self.conditions else ""
        return f"{self.table.describe()}; {', '.join(said)}{others}"

    @property
    def holds_files(self) -> bool:
        """Whether the utterances are named by their audio files."""
        header = plain(self.utterance.header)
        if header in HEADERS["utterance"][0]:
            return header in FILE_NAMES
        return header in FILE_NAMES or any(map(is_audio, self.utterance.cells[:200]))


def key_columns(
    path: Path, asked: Asked, known: Names | None = None, names: Mapping[int, str] | None = None
) -> KeyColumns:
    """Read a key file and find the meaning of its columns.

    Args:
        path: the file.
        asked: columns that the user names: `file` or `utterance`, `key` or `label`, `attack`, `speaker`, `bonafide`
            or `spoof` (a column that says 1 for that class), or any condition.
        known: returns names of utterances, which decide between several possible columns.
        names: number of columns → names, separated by blanks, of the columns of a form without a header.

    Raises:
        TableError: the text is not a table, has no utterances or classes, or can be read in two ways.
    """
    asked = {SYNONYMS.get(name, name): reference for name, reference in asked.items()}
    asked = {("utterance" if name == "file" else name): reference for name, reference in asked.items()}
    lines = read_lines(path, EXPECTED, printable=False)
    found = understand(lines, asked, lambda table: _key_columns(table, asked, known, names or {}))
    refuse_hidden_rows(found.table, found.key, lambda cell: class_of(cell) is not None)
    return found


def _key_columns(table: Table, asked: Asked, known: Names | None, names: Mapping[int, str]) -> KeyColumns:
    table = _named(table, names)
    chosen = asked_columns(table, asked)
    if not asked:
        refuse_foreign(table, EXPECTED)
    taken = {one.number for one in chosen.values() if one}
    free = [one for one in table.columns if one.number not in taken]
    key, one_means = _find_key(table, free, chosen)
    free = [one for one in free if one is not key]
    utterance = chosen.get("utterance") or find_utterance(table, free, known)
    free = [one for one in free if one is not utterance]
    attack = chosen["attack"] if "attack" in chosen else _find_attack(table, free, key)
    free = [one for one in free if one is not attack]
    speakers = [] if "speaker" in chosen else named_by_header("speaker", free)
    speaker = chosen["speaker"] if "speaker" in chosen else (speakers[0] if len(speakers) == 1 else None)
    named = {name: one for name, one in chosen.items() if one and name not in (*HEADERS, *POLARITY)}
    conditions = named | {
        one.header or f"column_{one.number}": one
        for one in free
        if one is not speaker and not _is_nameless(table, one, asked)
    }
    return KeyColumns(table, utterance, key, one_means, attack, speaker, conditions)


def _find_key(table: Table, free: Sequence[Column], chosen: Mapping[str, Column | None]) -> tuple[Column, str]:
    """The column of the classes and, if it holds 0 and 1, the class that 1 means."""
    for name in POLARITY:
        column = chosen.get(name)
        if column:
            return column, name
    key = chosen.get("key")
    if key:
        return key, "bonafide" if key.is_binary else ""
    found = find_key(table, free)
    binary = [one for one in [found, *free] if one and one.is_binary and _may_be_key(one)]
    if binary and (found is None or found.is_binary):
        _ask_what_one_means(table, binary[0])
    if found is None:
        raise table_error(table, "no column says bonafide or spoof", f"{EXPECTED}, or --column key=…")
    return found, ""


def _may_be_key(column: Column) -> bool:
    """Whether a column of 0 and 1, or True and False, may be the key: many tables have flags of another meaning."""
    if column.is_index:
        return False
    words = plain(column.header).split("_")
    return column.is_numeric or not column.header or column.meaning == "key" or any(map(class_of, words))


def _ask_what_one_means(table: Table, column: Column) -> NoReturn:
    reference = column.header or column.number
    zero, one = ("0", "1") if column.is_numeric else ("False", "True")
    raise table_error(
        table,
        f"{column} holds {zero} and {one}, which do not say which of them is bona fide,",
        f"--column bonafide={reference} where {one} means bona fide, or --column spoof={reference} where {one} means "
        "spoof",
    )


def _find_attack(table: Table, free: Sequence[Column], key: Column) -> Column | None:
    """The column of the attacks: found by its header or, without a header, by its contents for bona fide trials."""
    if not table.header:
        return find_attack(table, free, key.means_bonafide)
    named = named_by_header("attack", free)
    if len(named) != 1 or plain(named[0].header) == "attack":
        return named[0] if len(named) == 1 else None
    genuine = {cell.lower() for cell in named[0].cells.where(key.means_bonafide)}
    return named[0] if genuine <= NO_ATTACK else None


def _is_nameless(table: Table, column: Column, asked: Asked) -> bool:
    """Whether a column is not a condition: it has row numbers of a data frame, or the user gave its name to another."""
    if table.header and (not column.header or column.header.startswith("Unnamed: ")):
        return True
    return any(plain(column.header) in (name, *HEADERS.get(name, [()])[0]) for name in asked)


def _named(table: Table, names: Mapping[int, str]) -> Table:
    """The table with the headers of the form that has this number of columns, if the contents fit these headers."""
    columns, headers = table.columns, names.get(len(table.columns), "").split()
    if table.header or not headers:
        return table
    key, utterance = columns[headers.index("key")], columns[headers.index("utterance")]
    if not (key.is_class or key.is_broken_class) or 2 * len(utterance.values) < table.n_rows:
        return table
    return replace(table, columns=[replace(one, header=name) for one, name in zip(columns, headers, strict=True)])

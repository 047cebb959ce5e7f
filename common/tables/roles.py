"""Determines the meaning of the columns of a table: which one names the utterance, the class, and the attack.

If a header names a column, it decides. Otherwise, the contents decide. If two columns could have the same meaning, an
error shows the first line and both readings.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from spoofcache.common.names import utterance_of
from spoofcache.common.tables.columns import NUMBER_LIKE, Column, Table, tables
from spoofcache.common.tables.layout import DECIMAL_COMMA, Lines, TableError, shown
from spoofcache.common.tables.words import ATTACK_ID, HEADERS, MEANING, NO_ATTACK, NOT_KEYS, UNKNOWN, class_of, plain

Asked = Mapping[str, str]
"""Our name of a column → the header or the number by which the user names it (`--column NAME=HEADER-or-number`)."""
Names = Callable[[], Collection[str]]
"""Returns the names of the utterances in another file, by which one of several columns is recognised."""
Understood = TypeVar("Understood")


class OpenTable(TableError):
    """Several columns of a table could have the same meaning; the message shows the readings."""


NO_COLUMN = "none"
"""What a user writes instead of a header to state that no column has this meaning."""


def understand(lines: Lines, asked: Asked, meaning_of: Callable[[Table], Understood]) -> Understood:
    """The result of `meaning_of` for the most likely separator for which it does not fail.

    Raises:
        OpenTable: with that separator, several columns could have the same meaning.
        TableError: `meaning_of` fails for every separator; the error is that of the most likely one.
    """
    refused: TableError | None = None
    candidates: Iterable[Table] = tables(lines, list(asked.values()))
    if lines.has(","):  # else the likeliest table usually suffices
        candidates = list(candidates)
        for table in candidates:
            _refuse_decimal_commas(table)
    for table in candidates:
        try:
            return meaning_of(table)
        except OpenTable:
            raise
        except TableError as error:
            refused = refused or error
    assert refused is not None  # `tables` yields at least one
    raise refused


def _refuse_decimal_commas(table: Table) -> None:
    """Raise TableError for decimal commas: `u1 0,5` could also be split at the comma, which nobody intends."""
    for column in table.columns if table.separator != "," else ():
        if not column.cells.has(","):
            continue
        if not all(NUMBER_LIKE.fullmatch(cell.replace(",", ".", 1)) for cell in column.cells):
            continue
        row = next((row for row, cell in enumerate(column.cells) if DECIMAL_COMMA.fullmatch(cell)), None)
        if row is not None:
            found = f"{shown(column.cells[row])} in {column}"
            table.lines.refuse(row, found, "numbers with a decimal point, not a comma")


def asked_columns(table: Table, asked: Asked) -> dict[str, Column | None]:
    """Our name → the column that the user selected for it; None if the user stated that there is no such column.

    Raises:
        TableError: the table has no such header or column number, or one column was selected for two names.
    """
    columns: dict[str, Column | None] = {}
    for name, reference in asked.items():
        column = table.column(reference)
        if column is None and reference != NO_COLUMN:
            raise TableError(
                f"{table.lines.path}: {shown(table.first)} has no column {reference!r}; expected a header of the "
                f"table or a number from 1 to {len(table.columns)} (--column)"
            )
        columns[name] = column
    named = [column.number for column in columns.values() if column]
    if len(set(named)) < len(named):
        listed = " ".join(f"--column {name}={reference}" for name, reference in asked.items())
        raise TableError(f"{table.lines.path}: {listed}: one column with two meanings; expected a column for each")
    return columns


def named_by_header(meaning: str, free: Iterable[Column]) -> list[Column]:
    """The columns among `free` whose headers have a meaning, from the first group of HEADERS that occurs."""
    columns = list(free)
    found = [[one for one in columns if plain(one.header) in names] for names in HEADERS[meaning]]
    return next(filter(None, found), [])


def find_utterance(table: Table, free: Sequence[Column], known: Names | None = None) -> Column:
    """Find the column that names the utterances: by its header, or the column of text whose cells all differ.

    Args:
        table: the table.
        free: the columns that have no other meaning.
        known: names of the utterances of another file. Of several columns, the one that contains most of them is taken.

    Raises:
        TableError: there is no such column, or several columns are possible.
    """
    found = named_by_header("utterance", free)
    if len(found) != 1:
        found = _by_content(table, found or free)
    if not found:
        raise table_error(
            table, "no column names the utterances", "a column of names that all differ (--column utterance=…)"
        )
    if len(found) == 1 or _contain_the_same_names(found):
        return found[0]
    hits = _known_names_in(found, known) if known else [0] * len(found)
    if hits.count(max(hits)) == 1:
        return found[hits.index(max(hits))]
    raise two_readings(table, "utterance", found)


def _by_content(table: Table, free: Sequence[Column]) -> list[Column]:
    texts = [one for one in free if not (one.is_numeric or one.is_class or one.is_empty or one.is_constant)]
    texts = [one for one in texts if UNKNOWN not in one.values and "" not in one.values]
    texts = [one for one in texts if not one.is_attack_like] or texts
    if not texts:  # In-the-Wild's files are called 0.wav, 1.wav, …
        return [one for one in free if one.is_unique and all(cell.isdecimal() for cell in one.cells)]
    most = max(len(one.values) for one in texts)
    return [one for one in texts if len(one.values) == most] if 2 * most > table.n_rows else []


def _contain_the_same_names(columns: Sequence[Column]) -> bool:
    """Whether columns contain the same names, such as a path and the name of its file."""
    names = [(utterance_of(cell).rpartition("/")[2] for cell in one.cells) for one in columns]
    return all(len(set(of_row)) == 1 for of_row in zip(*names, strict=True))


def _known_names_in(columns: Sequence[Column], known: Names) -> list[int]:
    names = {utterance_of(name).rpartition("/")[2] for name in known()}
    return [sum(utterance_of(cell).rpartition("/")[2] in names for cell in one.values) for one in columns]


def find_key(table: Table, free: Sequence[Column]) -> Column | None:
    """Find the column of the classes: by its header, or the one whose cells all mean bona fide or spoof.

    Columns with words for the classes come first, because 0 and 1 do not state which of them is bona fide. A column of
    0 and 1 that is called a key is returned only if no column has such words.

    Raises:
        TableError: several columns that contradict each other.
    """
    named = named_by_header("key", free)
    in_words = [one for one in free if one.is_class and plain(one.header) not in NOT_KEYS]
    called_keys = [one for one in in_words if one.meaning == "key"]
    found = called_keys or [one for one in named if not one.is_binary][:1] or in_words or named[:1]
    if not found:
        broken = [one for one in free if one.is_broken_class]
        return broken[0] if len(broken) == 1 else None
    if any((one.means_bonafide != found[0].means_bonafide).any() for one in found[1:]):
        raise two_readings(table, "key", found)
    key = found[-1]  # if both the attack and the class are `bonafide`, the class is the later column
    if key.is_class:
        _require_agreement(table, key, [one for one in free if one.meaning == "key" and one.is_binary])
    return key


def _require_agreement(table: Table, key: Column, binary: Sequence[Column]) -> None:
    """Raise a TableError if a column of 0 and 1 that is called a key agrees with the classes in some rows only.

    It is not known which of 0 and 1 means bona fide, so a column that is opposite in all rows agrees, too.
    """
    for column in binary:
        differs = column.is_one != key.means_bonafide
        if 2 * int(differs.sum()) > differs.size:
            differs = ~differs
        if differs.any():
            row = int(np.argmax(differs))
            found = f"{shown(column.cells[row])} in {column} and {shown(key.cells[row])} in {key}"
            reference = key.header or key.number
            table.lines.refuse(
                row,
                f"{found} contradict the other rows",
                f"two columns that agree, or --column key={reference} to disregard {column}",
            )


def require_classes(table: Table, column: Column, expected: str) -> None:
    """Raise a TableError for the first cell that means neither bona fide nor spoof; it states what was `expected`."""
    strange = {value for value in column.kinds if class_of(value) is None}
    if strange:
        row = next(row for row, cell in enumerate(column.cells) if cell in strange)
        table.lines.refuse(row, f"key {shown(column.cells[row])}", expected)


def find_attack(table: Table, free: Sequence[Column], is_bonafide: NDArray[np.bool_] | None) -> Column | None:
    """Find the column of the attacks: by its header, or by its cells for bona fide trials.

    For bona fide trials, it states that there is no attack, or contains one word that no spoof has. If the classes are
    not known, ids of attacks are recognised by their form.
    """
    named = named_by_header("attack", free)
    if named:
        return named[0]
    texts = [one for one in free if not (one.is_numeric or one.is_empty or one.is_binary)]
    texts = [one for one in texts if one.classes != {"bonafide", "spoof"}]
    found = [one for one in texts if _is_attack(one, is_bonafide)]
    return found[0] if len(found) == 1 else None


def _is_attack(column: Column, is_bonafide: NDArray[np.bool_] | None) -> bool:
    if is_bonafide is None or not is_bonafide.any():
        ids = [value for value in column.kinds if ATTACK_ID.fullmatch(value)]
        return column.is_attack_like and bool(ids)
    genuine, attacks = column.cells.where(is_bonafide), column.cells.where(~is_bonafide)
    if not attacks or attacks <= {UNKNOWN, ""}:
        return False
    return any(cell.lower() in NO_ATTACK for cell in genuine) or (len(genuine) == 1 and not genuine & attacks)


def is_of_asv(column: Column) -> bool:
    """Whether a score is that of speaker verification, with or without a countermeasure, according to its header."""
    return plain(column.header).startswith(("asv", "sasv"))


def known_header(column: Column) -> bool:
    """Whether the meaning of the header is known."""
    return plain(column.header) in MEANING


def refuse_hidden_rows(table: Table, column: Column, fits: Callable[[str], bool]) -> None:
    """Raise a TableError if a line that begins with # has as many cells as the rows and a cell that fits the column.

    It may be a comment, or a trial that would be lost.
    """
    for number, line in table.lines.comments:
        text = line.lstrip("# ")
        cells = text.split() if table.separator == " " else text.split(table.separator)
        if len(cells) == len(table.columns) and fits(cells[column.number - 1].strip(' "')):
            raise TableError(
                f"{table.lines.path}:{number}: {shown(line)} begins with # as a comment does, but has the form of a "
                "trial; expected the trial without #, or no such line"
            )


def table_error(table: Table, found: str, expected: str) -> TableError:
    """The error about a table as a whole; the message shows its first line."""
    return TableError(f"{table.lines.path}: {found} in {shown(table.first)} ({table.describe()}); expected {expected}")


def two_readings(table: Table, name: str, columns: Sequence[Column], why: str = "") -> OpenTable:
    """The error that shows the first line and the columns that could have one meaning."""
    readings = " or ".join(f"{name} = {one}, {shown(one.cells[0], 30)}" for one in columns)
    wanted = " or ".join(f"--column {name}={one.header or one.number}" for one in columns)
    return OpenTable(
        f"{table.lines.path}:{table.lines.numbers[0]}: {shown(table.first)} can be read in {len(columns)} ways"
        f"{f' ({why})' if why else ''}: {readings}; expected {wanted}"
    )

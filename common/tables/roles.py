"""What the columns of a table mean: which one names the utterance, which one the class, which one the attack.

A header is believed where it names a column; everything else is told from the contents. Where two columns could be
meant, nothing is guessed: the error shows the first line and both readings.
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
"""Gives the names of utterances that another file has, by which one column of several is recognised."""
Understood = TypeVar("Understood")


class OpenTable(TableError):
    """A table of which several columns could have one meaning; the message shows the readings."""


NO_COLUMN = "none"
"""What a user writes instead of a header to say that no column has this meaning."""


def understand(lines: Lines, asked: Asked, meaning_of: Callable[[Table], Understood]) -> Understood:
    """What `meaning_of` makes of the table under the likeliest separator that gives it a meaning.

    Raises:
        OpenTable: under that separator, several columns could have one meaning.
        TableError: there is no such separator; the error is that of the likeliest one.
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
    """`u1 0,5` has two cells, or two others with a comma between them: nobody means the latter."""
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
    """The columns that the user names, by our names; None where the user says that there is none.

    Raises:
        TableError: a header that the table does not have, a number beyond its columns, or one column for two names.
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
    """The columns among `free` whose headers have a meaning, of the first group of HEADERS that is there."""
    columns = list(free)
    found = [[one for one in columns if plain(one.header) in names] for names in HEADERS[meaning]]
    return next(filter(None, found), [])


def find_utterance(table: Table, free: Sequence[Column], known: Names | None = None) -> Column:
    """The column that names the utterances: by its header, or the text whose cells all differ.

    Args:
        table: the table.
        free: its columns that have no other meaning.
        known: names of utterances of another file; of several columns the one that has most of them is taken.

    Raises:
        TableError: no column, or several that could be meant.
    """
    found = named_by_header("utterance", free)
    if len(found) != 1:
        found = _by_content(table, found or free)
    if not found:
        raise table_error(
            table, "no column names the utterances", "a column of names that all differ (--column utterance=…)"
        )
    if len(found) == 1 or _say_the_same(found):
        return found[0]
    hits = _hits(found, known) if known else [0] * len(found)
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


def _say_the_same(columns: Sequence[Column]) -> bool:
    """Whether columns hold the same names, as a path and the name of its file are."""
    names = [(utterance_of(cell).rpartition("/")[2] for cell in one.cells) for one in columns]
    return all(len(set(of_row)) == 1 for of_row in zip(*names, strict=True))


def _hits(columns: Sequence[Column], known: Names) -> list[int]:
    names = {utterance_of(name).rpartition("/")[2] for name in known()}
    return [sum(utterance_of(cell).rpartition("/")[2] in names for cell in one.values) for one in columns]


def find_key(table: Table, free: Sequence[Column]) -> Column | None:
    """The column of the classes: by its header, or the one whose cells all mean bona fide or spoof.

    Words for the classes precede 0 and 1, which do not say which of them is bona fide. A column of 0 and 1 that is
    called a key is returned only where no column has such words.

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
    key = found[-1]  # the class stands behind the attack where both say `bonafide`
    if key.is_class:
        _require_agreement(table, key, [one for one in free if one.meaning == "key" and one.is_binary])
    return key


def _require_agreement(table: Table, key: Column, binary: Sequence[Column]) -> None:
    """Raise a TableError where a column of 0 and 1 that is called a key follows the classes in some rows only.

    Which of 0 and 1 means bona fide is open, so a column that is opposite in all rows agrees, too.
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
    """Raise a TableError about the first cell that means neither bona fide nor spoof; it says what was `expected`."""
    strange = {value for value in column.kinds if class_of(value) is None}
    if strange:
        row = next(row for row, cell in enumerate(column.cells) if cell in strange)
        table.lines.refuse(row, f"key {shown(column.cells[row])}", expected)


def find_attack(table: Table, free: Sequence[Column], is_bonafide: NDArray[np.bool_] | None) -> Column | None:
    """The column of the attacks: by its header, or by what it says of bona fide trials.

    There it says that there is no attack, or one word that no spoof has. Without classes, ids of attacks are known by
    their look.
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
    """Whether a header says that a score is that of speaker verification, alone or together with a countermeasure."""
    return plain(column.header).startswith(("asv", "sasv"))


def known_header(column: Column) -> bool:
    """Whether we know what the header means."""
    return plain(column.header) in MEANING


def refuse_hidden_rows(table: Table, column: Column, fits: Callable[[str], bool]) -> None:
    """Raise a TableError where a line that begins with # is as wide as the rows and has a cell that fits the column.

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
        f"{table.lines.path}:{table.lines.numbers[0]}: {shown(table.first)} is open to {len(columns)} readings"
        f"{f' ({why})' if why else ''}: {readings}; expected {wanted}"
    )

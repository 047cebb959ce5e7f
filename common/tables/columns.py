"""The columns of a table, and the kind of their contents: numbers, names, classes or attacks; the header of a table.

A column is judged as a whole. If a single cell does not fit, the cell is an error, and the kind of the column does not
change: `nan` in a column of numbers is a wrong number.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from operator import eq

import numpy as np
from numpy.typing import NDArray

from spoofcache.common.tables.layout import (
    DECIMAL_COMMA,
    NUMBER,
    SEPARATORS,
    Cells,
    Lines,
    TableError,
    readings,
    shown,
)
from spoofcache.common.tables.words import ATTACK_ID, BINARY, CLASSES, MEANING, NO_ATTACK, UNKNOWN, class_of, plain
from spoofcache.common.text_index import different
from spoofcache.common.texts import SharedTexts, Texts, compact

NUMBER_LIKE = re.compile(NUMBER, re.IGNORECASE | re.ASCII)
BETWEEN = r"(?:\s*[,;|/]\s*|\s+)"
LIST = re.compile(
    rf"(?:tensor|array)?\(?[\[(]?\s*({NUMBER}(?:{BETWEEN}{NUMBER})+)\s*[\])]?\)?", re.IGNORECASE | re.ASCII
)
"""Several numbers in one cell, in brackets or not, or as PyTorch and NumPy print them."""
PART = re.compile(r"(.+)\[(\d+)\]", re.ASCII)
"""How a user selects one number in the cells of a column: `logits[2]`, or `3[2]` by the number of the column."""
INDEX_HEADER = re.compile(r"|unnamed: \d+|index", re.IGNORECASE)
LOOKED_AT = 200
"""Number of cells, evenly spread over a column, from which it is decided whether most cells are numbers."""
FIRST = 8
"""Number of cells that are checked first. For most columns, they suffice to see that not all cells are of one kind."""


@dataclass(frozen=True, eq=False)
class Column:
    """One column below its header."""

    number: int
    """1 for the first."""
    header: str
    """The header as it is written; empty if there is none."""
    cells: Texts | SharedTexts

    def __str__(self) -> str:
        return f"column {self.number}" + f" (`{self.header}`)" * bool(self.header)

    @cached_property
    def values(self) -> Set[str]:
        """The distinct cells. For a million names, counting them takes as long as reading them."""
        return different(self.cells)

    @property
    def kinds(self) -> Iterable[str]:
        """Every different cell, where most are different perhaps repeatedly, which takes no memory."""
        return self.cells.values if isinstance(self.cells, SharedTexts) else self.cells

    def consists_of(self, words: Collection[str]) -> bool:
        """Whether every cell is one of the words."""
        return all(cell in words for cell in self.kinds)

    @property
    def meaning(self) -> str | None:
        """The meaning that the header states, a key of words.HEADERS; None if it states none."""
        return MEANING.get(plain(self.header))

    @property
    def is_unique(self) -> bool:
        """Whether every cell occurs once."""
        return len(self.values) == len(self.cells)

    @cached_property
    def is_numeric(self) -> bool:
        """Whether most cells are numbers, NaN and infinity included."""
        sample = self.cells[:: max(1, len(self.cells) // LOOKED_AT)]
        return 2 * sum(bool(NUMBER_LIKE.fullmatch(cell)) for cell in sample) > len(sample)

    @cached_property
    def numbers(self) -> NDArray[np.float64] | None:
        """The cells as numbers [N]; None if a cell is not a number."""
        try:
            if isinstance(self.cells, SharedTexts):
                values = np.fromiter(map(float, self.cells.values), np.float64, len(self.cells.values))
                return values[self.cells.codes]
            return np.fromiter(map(float, self.cells), np.float64, len(self.cells))
        except ValueError:
            return None

    @property
    def is_constant(self) -> bool:
        """Whether there are two cells or more, and all are the same."""
        return len(self.cells) > 1 and all(map(self.cells[0].__eq__, self.kinds))

    @property
    def is_binary(self) -> bool:
        """Whether all cells are 0 or 1, or words for them (BINARY)."""
        return all(value.lower() in BINARY for value in self.kinds)

    @property
    def is_one(self) -> NDArray[np.bool_]:
        """Whether each cell of a binary column is 1 or a word for it [N]."""
        return self.cells.are_among({value for value in self.kinds if BINARY.get(value.lower()) == "1"})

    @cached_property
    def is_index(self) -> bool:
        """Whether the cells number the rows, from 0 or 1 on."""
        first, n = self.cells[0], len(self.cells)
        if n < 3 or first not in ("0", "1") or self.cells[-1] != str(n - 1 + int(first)):
            return False
        return all(map(eq, self.cells, map(str, range(int(first), n + int(first)))))

    @cached_property
    def classes(self) -> frozenset[str | None]:
        """The classes that cells mean, `bonafide` and `spoof`, and None if a cell means neither."""
        if self.numbers is not None:  # a number means neither class
            return frozenset({None})
        return frozenset(map(CLASSES.get, map(str.lower, self.kinds)))

    @property
    def is_class(self) -> bool:
        """Whether every cell means bona fide or spoof."""
        return all(map(class_of, islice(self.kinds, FIRST))) and None not in self.classes

    @cached_property
    def means_bonafide(self) -> NDArray[np.bool_]:
        """Whether each cell means bona fide [N]."""
        return self.cells.are_among({value for value in self.kinds if class_of(value) == "bonafide"})

    @property
    def is_broken_class(self) -> bool:
        """Whether some cells mean bona fide and others spoof, but not all of them mean a class."""
        return self.classes == {"bonafide", "spoof", None}

    @cached_property
    def is_attack_like(self) -> bool:
        """Whether every cell is the id of an attack, or states that there is no attack."""
        return all(ATTACK_ID.fullmatch(value) or value.lower() in NO_ATTACK for value in self.kinds)

    @cached_property
    def parts(self) -> list["Column"]:
        """A column for the first, the second, … number in each cell, if most cells contain equally many numbers.

        A cell that does not fit becomes a cell of each of these columns. The list is empty for all other columns.
        """
        sample = self.cells[:: max(1, len(self.cells) // LOOKED_AT)]
        n = len(_numbers_in(sample[0]))
        if n < 2 or 2 * sum(len(_numbers_in(cell)) == n for cell in sample) <= len(sample):
            return []
        columns = [Texts() for _ in range(n)]
        for cell in self.cells:
            numbers = _numbers_in(cell)
            for column, number in zip(columns, numbers if len(numbers) == n else [cell] * n, strict=True):
                column.append(number)
        name = self.header or self.number
        return [Column(self.number, f"{name}[{k}]", compact(cells)) for k, cells in enumerate(columns, 1)]

    @property
    def is_empty(self) -> bool:
        """Whether no cell has any content."""
        return self.consists_of(("", UNKNOWN))


@dataclass(frozen=True, eq=False)
class Table:
    """A text that was split by one separator: its columns and its header, if it has one."""

    lines: Lines
    """The lines of the rows, without the header."""
    separator: str
    columns: list[Column]
    header: str
    """The line of the header as it is written; empty if there is none."""
    first: str
    """The first line that is neither blank nor a comment; it may be the header."""

    @property
    def n_rows(self) -> int:
        return len(self.lines.numbers)

    def column(self, reference: str) -> Column | None:
        """The column with a header (exactly, or else in any letter case) or with a number from 1 on; None if missing.

        `logits[2]` or `3[2]` selects the second number in the cells of a column that contains several.
        """
        same = [one for one in self.columns if one.header == reference]
        same = same or [one for one in self.columns if one.header and plain(one.header) == plain(reference)]
        if len(same) == 1:
            return same[0]
        if reference.isascii() and reference.isdecimal() and 1 <= int(reference) <= len(self.columns):
            return self.columns[int(reference) - 1]
        part = PART.fullmatch(reference)
        whole = self.column(part[1]) if part else None
        return dict(enumerate(whole.parts, 1)).get(int(part[2])) if part and whole else None

    def describe(self) -> str:
        """How the text was split, in words."""
        head = "a header" if self.header else "no header"
        n = len(self.lines.comments)
        comments = f", {n} comment line{'s' * (n != 1)}" if n else ""
        split = f"{len(self.columns)} columns separated by {SEPARATORS[self.separator]}"
        return f"{self.n_rows:,} row{'s' * (self.n_rows != 1)} of {split}, {head}{comments}"


def tables(lines: Lines, asked: Sequence[str] = ()) -> Iterator[Table]:
    """Yield the table for each separator that splits every line into equally many cells, the most likely one first.

    Args:
        lines: the text.
        asked: headers or numbers by which the user selects columns. A first line that contains one of them is a header.

    Raises:
        TableError: there is no such separator, or there is a header without rows.
    """
    refused: TableError | None = None
    n_found = 0
    for cells in readings(lines):
        try:
            table = _table(lines, cells, asked)
        except TableError as error:
            refused = refused or error
            continue
        n_found += 1
        yield table
    if refused and not n_found:
        raise refused


def _table(lines: Lines, cells: Cells, asked: Sequence[str]) -> Table:
    first = cells.first
    below = [Column(n, "", column) for n, column in enumerate(cells.below, 1)]
    has_header = _is_header(first, below, asked)
    if cells.is_first_short and not (
        has_header and below[0].is_index
    ):  # otherwise, the missing name may be that of any column
        lines.refuse(0, f"{len(first) - 1} columns in {shown(lines.first)}", f"{len(first)}, as in the lines below")
    if not has_header:
        _refuse_unlike_first(lines, first, below)
        columns = [Column(n, "", column) for n, column in enumerate(cells.take_columns(), 1)]
        return Table(lines, cells.separator, columns, "", lines.first)
    if len(lines.numbers) == 1:
        lines.refuse(0, "no row below the header", "one row per trial")
    twice = next((name for name in first if name and first.count(name) > 1), None)
    if twice is not None:
        found = f"header {' '.join(first)} has {first.count(twice)} columns {shown(twice)}"
        lines.refuse(0, found, "every name once")
    columns = [Column(n, name, column.cells) for n, (name, column) in enumerate(zip(first, below, strict=True), 1)]
    return Table(lines.below_first(), cells.separator, columns, lines.first, lines.first)


def _refuse_unlike_first(lines: Lines, first: Sequence[str], below: Sequence[Column]) -> None:
    """Raise a TableError where the first row is no header that we know, but stands above a column of 0 and 1."""
    for cell, column in zip(first, below, strict=True):
        if len(column.cells) > 1 and cell.lower() not in BINARY and column.is_binary:
            found = f"{shown(cell)} above the 0 and 1, or True and False, of {column}"
            lines.refuse(0, found, "a header of names, or a trial like those below")


def _is_header(first: Sequence[str], below: Sequence[Column], asked: Sequence[str]) -> bool:
    """Whether the first row is a header, and not a trial.

    A number, or a word for a class, is not a name of a column. Unknown names count as a header only if the row cannot
    be a trial: if every cell is a word of letters, unlike the cells below it.
    """
    if any(NUMBER_LIKE.fullmatch(cell) or cell == UNKNOWN for cell in first):
        return False
    pairs = list(zip(first, below, strict=True))
    if any(cell.lower() in CLASSES and not _may_be_called_a_class(one) for cell, one in pairs):
        return False
    if any(plain(cell) in MEANING or cell in asked for cell in first):
        return True
    if not below[0].cells or not any(one.is_numeric or one.is_class for one in below):
        return False
    return all(_is_word(cell, one) for cell, one in pairs)


def _may_be_called_a_class(column: Column) -> bool:
    """Whether a column can have the header `bonafide` or `fake`: one of numbers, or one that says yes or no."""
    return bool(column.cells) and (column.is_numeric or column.is_binary)


def _is_word(cell: str, column: Column) -> bool:
    if INDEX_HEADER.fullmatch(cell):
        return column.is_index
    if not re.fullmatch(r"[^\W\d][^\W\d]*(?:[-_ .][^\W\d]+)*", cell):
        return False
    return column.is_numeric or column.is_class or not any(map(_is_plain_word, column.cells[:LOOKED_AT]))


def _numbers_in(cell: str) -> list[str]:
    """The numbers in a cell if there are several; otherwise none. `2,5` is one number with a decimal comma."""
    found = LIST.fullmatch(cell)
    return re.split(BETWEEN, found[1]) if found and not DECIMAL_COMMA.fullmatch(cell) else []


def _is_plain_word(cell: str) -> bool:
    return cell.replace("_", "").replace("-", "").isalpha()

"""Splits a text into the cells of a table. Other modules determine the meaning of the columns."""

import csv
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import NoReturn

import numpy as np

from spoofcache.common.names import ASCII_BLANKS
from spoofcache.common.tables.source import Source, TableError
from spoofcache.common.texts import SharedTexts, Texts, TextsBuilder

SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas", "|": "vertical bars", " ": "blanks"}
"""The separators of cells, the preferred one first, since a name may contain blanks, and a number a decimal comma."""

COMMENT = "#"
"""What a line of comment begins with."""
END_OF_LINE = "\0"
"""A cell that marks the end of a line while a text is split as a whole; no text that is read contains it."""
VISIBLE = bytes((9, 10, *range(32, 127)))
"""The characters of ASCII that can be seen, blanks, tabs and line feeds."""
DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
NUMBER = r"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|inf(?:inity)?)"
"""A decimal number, NaN or infinity, as a part of other patterns that disregard case and know no other digits."""
BARE_LIST = re.compile(
    rf"(?<![^\s,;|])([\[(]\s*{NUMBER}(?:\s*[,;]\s*{NUMBER}|\s+{NUMBER})+\s*[\])])(?![^\s,;|])", re.IGNORECASE | re.ASCII
)
"""Numbers in brackets that are a whole cell, outside quotation marks: `[-2.1, 2.1]`."""
JSON = re.compile(r"\s*[\[{]\s*(?:[\[{\"]|$)")


@dataclass(frozen=True, eq=False)
class Lines:
    """The lines of a file without its blank lines and its comments. Their texts are read when they are needed."""

    path: Path
    first: str
    """The first line."""
    numbers: Sequence[int]
    """The number of each line in the file, from 1 on."""
    comments: list[tuple[int, str]]
    """Number and text of each line that begins with COMMENT."""
    source: Source
    is_below: bool = False
    """Whether the first line of the source that counts is not one of these."""

    def blocks(self) -> Iterator[str]:
        """The lines, joined by line feeds, in blocks without a line feed at the end.

        Raises:
            TableError: the file changed since it was first read.
        """
        to_omit = self.is_below
        for content in self.source.blocks():
            block = content.decode("utf-8")
            if not _all_lines_have_content(content):
                block = "\n".join(text for text in block.split("\n") if _counts(text))
            if to_omit and block:
                block = block.partition("\n")[2]
                to_omit = False
            if block:
                yield block

    def has(self, part: str) -> bool:
        """Whether some line contains the part."""
        return any(part in block for block in self.blocks())

    @cached_property
    def texts(self) -> list[str]:
        """The lines one by one. Regular tables are split as a whole and do not need them."""
        return "\n".join(self.blocks()).split("\n")

    def below_first(self) -> "Lines":
        """The lines without the first one; there must be others."""
        second = next(self._without_first().blocks()).partition("\n")[0]
        return replace(self._without_first(), first=second)

    def _without_first(self) -> "Lines":
        return replace(self, numbers=self.numbers[1:], is_below=True)

    def refuse(self, row: int, found: str, expected: str) -> NoReturn:
        """Raise a TableError about the line of a row."""
        raise TableError(f"{self.path}:{self.numbers[row]}: {found}; expected {expected}")


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of all lines, split by one separator, column by column. The first row may be a header."""

    separator: str
    first: list[str]
    """The cells of the first row."""
    below: list[Texts | SharedTexts]
    """The columns without their first cells."""
    is_first_short: bool = False
    """Whether the first line lacks the first cell, as R and pandas write the header of a table with row names."""

    def take_columns(self) -> list[Texts | SharedTexts]:
        """The columns with their first cells, which are put into `below`; the cells must not be used any more."""
        for cell, column in zip(self.first, self.below, strict=True):
            column.insert_first(cell)
        return self.below


def shown(text: str, most: int = 60) -> str:
    """A text in quotation marks, shortened if it is long."""
    return repr(text if len(text) <= most else text[: most - 1] + "…")


def read_lines(path: Path, expected: str, printable: bool = True) -> Lines:
    """Read the lines of a UTF-8 file, which may begin with a byte-order mark, without blank lines and comments.

    Args:
        path: the file.
        expected: what an error message says was expected.
        printable: whether invisible characters are refused, because they would divide or join columns unnoticed.

    Raises:
        TableError: the file is not UTF-8 text, contains invisible characters, or has no line with any content.
    """
    source, n_lines, is_regular, is_visible = Source(path), 0, True, True
    for content in source.blocks():
        text = _decoded(path, content, n_lines, expected)
        n_lines += text.count("\n") + 1
        is_regular = is_regular and _all_lines_have_content(content)
        is_visible = is_visible and _is_visible(content, text, printable)
    lines = Lines(path, "", range(1, n_lines + 1), [], source)
    if not is_visible:
        _refuse_invisible_character(source)
    if not is_regular:
        return _without_comments(lines, expected)
    return replace(lines, first=next(lines.blocks()).partition("\n")[0])


def _decoded(path: Path, content: bytes, n_before: int, expected: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = n_before + content.count(b"\n", 0, error.start) + 1
        found = f"byte {content[error.start]:#04x} is not text"
        raise TableError(f"{path}:{line}: {found}; expected {expected}") from error


def _is_visible(content: bytes, text: str, printable: bool) -> bool:
    return not content.translate(None, VISIBLE) or ("\0" not in text and (not printable or _is_printable(text)))


def _is_printable(text: str) -> bool:
    return text.replace("\n", "").replace("\t", "").isprintable()


def _all_lines_have_content(content: bytes) -> bool:
    """Whether every line begins with a visible ASCII character that no comment begins with.

    Then no line is blank or a comment. Where the answer is no, the lines have to be examined one by one.
    """
    characters = np.frombuffer(content, dtype=np.uint8)
    starts = characters[np.flatnonzero(characters[:-1] == ord("\n")) + 1]
    if not characters.size or characters[-1] == ord("\n"):
        return False
    starts = np.concatenate([characters[:1], starts])
    return bool(((starts > ord(" ")) & (starts <= ord("~")) & (starts != ord(COMMENT))).all())


def _counts(text: str) -> bool:
    """Whether a line is neither blank nor a comment."""
    return bool(text.strip()) and not text.startswith(COMMENT)


def _without_comments(lines: Lines, expected: str) -> Lines:
    comments, numbers, first = [], array("I"), ""
    texts = chain.from_iterable(content.decode("utf-8").split("\n") for content in lines.source.blocks())
    for number, text in enumerate(texts, 1):
        if _counts(text):
            first = first or text
            numbers.append(number)
        elif text.strip():
            comments.append((number, text))
    if not numbers:
        raise TableError(f"{lines.path}: {'nothing but comments' if comments else 'empty'}; expected {expected}")
    return replace(lines, first=first, numbers=numbers, comments=comments)


def _refuse_invisible_character(source: Source) -> NoReturn:
    texts = b"\n".join(source.blocks()).decode("utf-8").split("\n")
    nul = any("\0" in text for text in texts)
    row, line = next(
        (r, t) for r, t in enumerate(texts) if ("\0" in t if nul else not t.replace("\t", "").isprintable())
    )
    unseen = "\0" if nul else next(c for c in line if c != "\t" and not c.isprintable())
    found = f"character U+{ord(unseen):04X} in {shown(line)}"
    raise TableError(f"{source.path}:{row + 1}: {found}; expected plain text, blanks and tabs")


def readings(lines: Lines) -> Iterator[Cells]:
    """Split the lines by each separator that divides all of them into the same number of cells, two or more.

    Raises:
        TableError: no separator does; the message names the first line that differs from those above it.
    """
    found = False
    for separator in SEPARATORS:
        cells = _split(lines, separator)
        if cells is not None:
            found = True
            yield cells
    if not found:
        _refuse_uneven(lines)


def _split(lines: Lines, separator: str) -> Cells | None:
    first, is_short = _cells(_with_quoted_lists(lines.first), separator), False
    if first is None or len(first) < 2:
        return None
    if len(lines.numbers) == 1:
        return Cells(separator, first, [Texts() for _ in first])
    below = lines.below_first()
    second = _cells(_with_quoted_lists(below.first), separator)
    if second is not None and len(second) == len(first) + 1:
        first, is_short = ["", *first], True
    columns = _columns(below, separator, len(first))
    return Cells(separator, first, columns, is_short) if columns else None


def _columns(lines: Lines, separator: str, n: int) -> list[Texts | SharedTexts] | None:
    """The cells of the lines column by column; None where some line does not have `n` of them."""
    builders = [TextsBuilder() for _ in range(n)]
    for block in lines.blocks():
        columns = _columns_of_block(_with_quoted_lists(block), separator)
        if columns is None or len(columns) != n:
            return None
        for builder, column in zip(builders, columns, strict=True):
            builder.extend(column)
    return [builder.built() for builder in builders]


def _with_quoted_lists(text: str) -> str:
    """The text with quotation marks around every cell that is a list of numbers in brackets."""
    if "[" not in text and "(" not in text:
        return text
    return "\n".join(BARE_LIST.sub(r'"\1"', line) for line in text.split("\n"))


def _columns_of_block(text: str, separator: str) -> list[list[str]] | None:
    """The cells of a text column by column; None where its lines do not have the same number of them, two or more.

    Each line has the cells that `_cells` gives it. Where no cell is quoted, one split of the whole text yields the
    same cells, several times faster; where every quotation ends on its line, so does one reader of the whole text.
    """
    if '"' not in text:
        return _columns_at_once(text, separator)
    return _quoted_columns(text, separator) or _columns_by_line(text, separator)


def _quoted_columns(text: str, separator: str) -> list[list[str]] | None:
    """The same as `_columns_by_line`, but faster; None where this is not certain."""
    if separator == " ":
        return None
    lines = text.split("\n")
    try:
        rows = [*csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True)]
    except csv.Error:
        return None
    if len(rows) != len(lines) or len(rows[0]) < 2 or len(set(map(len, rows))) > 1:
        return None  # with fewer rows, a quotation goes beyond its line
    columns = [*map(list, zip(*rows, strict=True))]
    return [[*map(str.strip, one)] for one in columns] if _may_have_padding(text, separator) else columns


def _columns_by_line(text: str, separator: str) -> list[list[str]] | None:
    rows: list[list[str]] = []
    for line in text.split("\n"):
        row = _cells(line, separator)
        if row is None or len(row) != len(rows[0] if rows else row) or len(row) < 2:
            return None
        rows.append(row)
    return [list(column) for column in zip(*rows, strict=True)]


def _columns_at_once(text: str, separator: str) -> list[list[str]] | None:
    first = text.partition("\n")[0]
    n_rows, n = text.count("\n") + 1, len(first.split() if separator == " " else first.split(separator))
    if n < 2 or (separator != " " and text.count(separator) != n_rows * (n - 1)):
        return None
    marked = text.replace("\n", f"{separator}{END_OF_LINE}{separator}")
    cells = marked.split() if separator == " " else marked.split(separator)
    if len(cells) != n_rows * (n + 1) - 1 or cells[n :: n + 1].count(END_OF_LINE) != n_rows - 1:
        return None
    columns = [cells[k :: n + 1] for k in range(n)]
    return [list(map(str.strip, one)) for one in columns] if _may_have_padding(text, separator) else columns


def _may_have_padding(text: str, separator: str) -> bool:
    """Whether cells may begin or end with blanks, which do not belong to them."""
    if separator == " ":
        return False
    return not text.isascii() or any(blank in text for blank in ASCII_BLANKS if blank not in (separator, "\n"))


def _cells(line: str, separator: str) -> list[str] | None:
    """The cells of a line; None where a quotation does not end on it."""
    if '"' in line:
        return _quoted_cells(line, separator)
    return line.split() if separator == " " else [cell.strip() for cell in line.split(separator)]


def _quoted_cells(line: str, separator: str) -> list[str] | None:
    line = line.replace("\t", " ").strip() if separator == " " else line
    try:  # each line by itself, so that a quotation that is not closed ends with its line
        (row,) = csv.reader((line,), delimiter=separator, strict=True, skipinitialspace=True)
    except csv.Error:
        return None
    return [cell.strip() for cell in row]


def _refuse_uneven(lines: Lines) -> NoReturn:
    """Name the first line that has another number of cells than the first one."""
    if JSON.match(lines.first):
        raise TableError(f"{lines.path}: this looks like JSON; expected a table with one line per trial")
    separator = next((s for s in SEPARATORS if s in lines.first.strip()), " ")
    rows = [_cells(text, separator) for text in lines.texts]
    if None in rows:
        row = rows.index(None)
        lines.refuse(row, f"a quotation mark without its partner in {shown(lines.texts[row])}", "closed quotations")
    widths = [len(row) for row in rows if row is not None]
    row = next((r for r, n in enumerate(widths) if n != widths[0]), 0)
    found = f"{widths[row]} column{'s' * (widths[row] != 1)} in {shown(lines.texts[row])}"
    if row == 0:
        lines.refuse(0, found, "two columns or more, separated by blanks, tabs, commas or semicolons")
    lines.refuse(row, found, f"{widths[0]}, separated by {SEPARATORS[separator]}, as in line {lines.numbers[0]}")

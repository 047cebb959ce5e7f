"""How a text is a table: its lines, separator, quotes and cells; what the cells mean is another module's matter."""

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

from spoofcache.common.errors import InputError
from spoofcache.common.names import ASCII_BLANKS

SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas", "|": "vertical bars", " ": "blanks"}
"""What may separate cells, the preferred one first: a name may hold blanks, and a number with a decimal comma."""

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


class TableError(InputError):
    """A text that is no table, or whose columns cannot be told; the message names file, line, value and expectation."""


@dataclass(frozen=True, eq=False)
class Lines:
    """The lines of a file without its blank lines and its comments."""

    path: Path
    text: str
    """The lines, joined by line feeds, without one at the end."""
    numbers: Sequence[int]
    """The number of each line in the file, from 1 on."""
    comments: list[tuple[int, str]]
    """Number and text of each line that begins with COMMENT."""

    @property
    def first(self) -> str:
        """The first line."""
        return self.text.partition("\n")[0]

    @cached_property
    def texts(self) -> list[str]:
        """The lines one by one. Regular tables are split as a whole and do not need them."""
        return self.text.split("\n")

    def below_first(self) -> "Lines":
        """The lines without the first one; there must be others."""
        return Lines(self.path, self.text.partition("\n")[2], self.numbers[1:], self.comments)

    def refuse(self, row: int, found: str, expected: str) -> NoReturn:
        """Raise a TableError about the line of a row."""
        raise TableError(f"{self.path}:{self.numbers[row]}: {found}; expected {expected}")


class Cells(NamedTuple):
    """The cells of all lines under one separator, column by column; the first row may be a header."""

    separator: str
    columns: list[list[str]]
    is_first_short: bool = False
    """Whether the first line lacks the first cell, as R and pandas write the header of a table with row names."""


def shown(text: str, most: int = 60) -> str:
    """A text in quotation marks, cut where it is long."""
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
    content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    content = (content.replace(b"\r\n", b"\n") if b"\r" in content else content).removesuffix(b"\n")
    text = _decoded(path, content, expected)
    numbers = range(1, text.count("\n") + 2)
    if content.translate(None, VISIBLE) and ("\0" in text or (printable and not _is_printable(text))):
        _refuse_unseen(Lines(path, text, numbers, []))
    if _all_lines_have_content(content):
        return Lines(path, text, numbers, [])
    return _without_comments(Lines(path, text, numbers, []), expected)


def _decoded(path: Path, content: bytes, expected: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"byte {content[error.start]:#04x} is not text"
        raise TableError(f"{path}:{line}: {found}; expected {expected}") from error


def _is_printable(text: str) -> bool:
    return text.replace("\n", "").replace("\t", "").isprintable()


def _all_lines_have_content(content: bytes) -> bool:
    """Whether every line begins with a visible ASCII character that no comment or quoted cell begins with.

    Then no line is blank or a comment. Where the answer is no, the lines have to be examined one by one.
    """
    characters = np.frombuffer(content, dtype=np.uint8)
    starts = characters[np.flatnonzero(characters[:-1] == ord("\n")) + 1]
    least, most = ord(COMMENT), ord("~")
    if not (characters.size and least < characters[0] <= most and characters[-1] != ord("\n")):
        return False
    return bool(((starts > least) & (starts <= most)).all())


def _without_comments(lines: Lines, expected: str) -> Lines:
    numbered = list(enumerate(lines.texts, 1))
    comments = [(number, text) for number, text in numbered if text.startswith(COMMENT)]
    kept = [(number, text) for number, text in numbered if text.strip() and not text.startswith(COMMENT)]
    if not kept:
        raise TableError(f"{lines.path}: {'nothing but comments' if comments else 'empty'}; expected {expected}")
    return Lines(lines.path, "\n".join(text for _, text in kept), [number for number, _ in kept], comments)


def _refuse_unseen(lines: Lines) -> NoReturn:
    nul = any("\0" in text for text in lines.texts)
    row, line = next(
        (r, t) for r, t in enumerate(lines.texts) if ("\0" in t if nul else not t.replace("\t", "").isprintable())
    )
    unseen = "\0" if nul else next(c for c in line if c != "\t" and not c.isprintable())
    lines.refuse(row, f"character U+{ord(unseen):04X} in {shown(line)}", "plain text, blanks and tabs")


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
    text = _with_quoted_lists(lines.text)
    first_text, _, below = text.partition("\n")
    first = _cells(first_text, separator)
    if first is None or len(first) < 2:
        return None
    columns = _columns(text, separator)
    if columns is not None or not below:
        return Cells(separator, columns) if columns else None
    second = _cells(below.partition("\n")[0], separator)
    if second is None or len(second) != len(first) + 1:
        return None
    columns = _columns(below, separator)
    if columns is None:
        return None
    return Cells(separator, [["", *columns[0]], *([f, *c] for f, c in zip(first, columns[1:], strict=True))], True)


def _with_quoted_lists(text: str) -> str:
    """The text with quotation marks around every cell that is a list of numbers in brackets."""
    if "[" not in text and "(" not in text:
        return text
    return "\n".join(BARE_LIST.sub(r'"\1"', line) for line in text.split("\n"))


def _columns(text: str, separator: str) -> list[list[str]] | None:
    """The cells of a text column by column; None where its lines do not have the same number of them, two or more.

    Each line has the cells that `_cells` gives it. Where no cell is quoted, one split of the whole text yields the
    same cells, several times faster.
    """
    return _columns_by_line(text, separator) if '"' in text else _columns_at_once(text, separator)


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

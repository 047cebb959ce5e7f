"""How a text is a table: its lines, separator, quotes and cells; what the cells mean is another module's matter."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

from spoofcache.common.errors import InputError

SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas", "|": "vertical bars", " ": "blanks"}
"""What may separate cells, the preferred one first: a name may hold blanks, and a number with a decimal comma."""

COMMENT = "#"
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
    """The lines of a text that hold something."""

    path: Path
    texts: list[str]
    numbers: Sequence[int]
    """Line number of each."""
    comments: list[tuple[int, str]]
    """Line number and text of the lines that begin with COMMENT, which are not among `texts`."""

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
    """The lines of a UTF-8 text without blank lines and comments, with or without a byte-order mark.

    Args:
        path: the file.
        expected: what an error says was expected.
        printable: whether characters that cannot be seen are refused. They would part or join columns unnoticed.

    Raises:
        TableError: bytes that are no text, characters that cannot be seen, or no line that holds anything.
    """
    text = _decoded(path, expected)
    texts = text.split("\n")
    if texts[-1] == "":
        texts.pop()  # what follows the last line end is no line
    if "\0" in text or (printable and not text.replace("\n", "").replace("\t", "").isprintable()):
        _refuse_unseen(Lines(path, texts, range(1, len(texts) + 1), []))
    kept, comments = range(1, len(texts) + 1), []  # type: Sequence[int], list[tuple[int, str]]
    if not all(map(str.strip, texts)) or text.lstrip().startswith(COMMENT) or f"\n{COMMENT}" in text:
        comments = [(n, line) for n, line in enumerate(texts, 1) if line.startswith(COMMENT)]
        kept = [n for n, line in enumerate(texts, 1) if line.strip() and not line.startswith(COMMENT)]
        texts = [texts[n - 1] for n in kept]
    if not texts:
        raise TableError(f"{path}: {'nothing but comments' if comments else 'empty'}; expected {expected}")
    return Lines(path, texts, kept, comments)


def _decoded(path: Path, expected: str) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        found = f"byte {error.object[error.start]:#04x} is not text"
        raise TableError(f"{path}:{line}: {found}; expected {expected}") from error


def _refuse_unseen(lines: Lines) -> NoReturn:
    nul = any("\0" in text for text in lines.texts)
    row, line = next(
        (r, t) for r, t in enumerate(lines.texts) if ("\0" in t if nul else not t.replace("\t", "").isprintable())
    )
    unseen = "\0" if nul else next(c for c in line if c != "\t" and not c.isprintable())
    lines.refuse(row, f"character U+{ord(unseen):04X} in {shown(line)}", "plain text, blanks and tabs")


def readings(lines: Lines) -> Iterator[Cells]:
    """The cells under each separator that gives every line the same number of cells, two or more.

    Raises:
        TableError: there is none; the message names the first line that differs from those above it.
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
    texts = lines.texts
    if separator != " " and separator not in texts[0]:
        return None
    columns = _columns(texts, separator)
    if columns is not None or len(texts) < 2:
        return Cells(separator, columns) if columns else None
    columns, first = _columns(texts[1:], separator), _columns(texts[:1], separator)
    if columns is None or first is None or len(first) != len(columns) - 1:
        return None
    return Cells(separator, [["", *columns[0]], *(f + c for f, c in zip(first, columns[1:], strict=True))], True)


def _columns(texts: Sequence[str], separator: str) -> list[list[str]] | None:
    """The cells column by column; None where the lines have not the same number of them, two or more."""
    together = "".join(texts)
    if "[" in together or "(" in together:
        texts = [BARE_LIST.sub(r'"\1"', text) for text in texts]
        together = "".join(texts)
    if '"' in together:
        return _even_columns(_quoted_rows(texts, separator))
    return _bare_blanks(texts) if separator == " " else _bare(texts, separator)


def _bare(texts: Sequence[str], separator: str) -> list[list[str]] | None:
    n = texts[0].count(separator)
    if n == 0 or any(text.count(separator) != n for text in texts):
        return None
    cells = separator.join(texts).split(separator)
    columns = [cells[k :: n + 1] for k in range(n + 1)]
    return [list(map(str.strip, column)) if any(map(_is_padded, column)) else column for column in columns]


def _is_padded(cell: str) -> bool:
    return cell != cell.strip()


def _bare_blanks(texts: Sequence[str]) -> list[list[str]] | None:
    # one split of the whole is several times faster than one of each line; NUL, which no line holds, marks their ends
    n, n_rows = len(texts[0].split()), len(texts)
    cells = " \0 ".join(texts).split()
    if n < 2 or len(cells) != n_rows * (n + 1) - 1 or cells[n :: n + 1].count("\0") != n_rows - 1:
        return None
    return [cells[k :: n + 1] for k in range(n)]


def _quoted_rows(texts: Sequence[str], separator: str) -> list[list[str]] | None:
    """The rows with quotation marks read as CSV does; None where a quotation does not end on its line."""
    rows = [_quoted_row(text, separator) for text in texts]
    return None if None in rows else rows  # type: ignore[return-value]


def _quoted_row(text: str, separator: str) -> list[str] | None:
    text = text.replace("\t", " ").strip() if separator == " " else text
    try:  # line by line: a quotation that is not closed ends with its line
        (row,) = csv.reader((text,), delimiter=separator, strict=True, skipinitialspace=True)
    except csv.Error:
        return None
    return [cell.strip() for cell in row]


def _even_columns(rows: list[list[str]] | None) -> list[list[str]] | None:
    if rows is None or len(rows[0]) < 2 or any(len(row) != len(rows[0]) for row in rows):
        return None
    return [list(column) for column in zip(*rows, strict=True)]


def _refuse_uneven(lines: Lines) -> NoReturn:
    """Name the first line that has another number of cells than the first one."""
    if JSON.match(lines.texts[0]):
        raise TableError(f"{lines.path}: this looks like JSON; expected a table with one line per trial")
    separator = next((s for s in SEPARATORS if s in lines.texts[0].strip()), " ")
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


def _cells(text: str, separator: str) -> list[str] | None:
    if '"' in text:
        return _quoted_row(text, separator)
    return text.split() if separator == " " else text.split(separator)

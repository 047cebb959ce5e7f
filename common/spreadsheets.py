"""CSV files for people: cells that a spreadsheet program would run as a formula are written as text."""

import csv
import io
from collections.abc import Iterable, Sequence

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet program takes for a formula. Source: OWASP, "CSV Injection"."""


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The text of a CSV file.

    >>> csv_text(("system", "value"), [("=1+1", -0.5), ("-5", 1)])
    "system,value\\n'=1+1,-0.5\\n-5,1\\n"
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(header)
    table.writerows([harmless(cell) for cell in row] for row in rows)
    return text.getvalue()


def harmless(cell: object) -> object:
    """The cell, with an apostrophe in front of a text that would be a formula; numbers stay as they are."""
    if not isinstance(cell, str) or not cell.startswith(FORMULA) or len(cell) == 1 or _is_number(cell):
        return cell
    return f"'{cell}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text[-1:].isdigit() or text[-1:] == "."

"""A comparison as text for a terminal, as CSV, LaTeX and JSON; and in the grids that text, LaTeX and HTML share."""

import csv
import io
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from spoofcache.evaluation.comparison import SIGNIFICANT, Comparison, Figure, Table
from spoofcache.evaluation.measures import MEASURES

BEST, SAME = "*", "≈"
UNDEFINED = "–"
TEXT_WIDTH = 100
HEAD_WIDTH = 26
MOST_SIDE_BY_SIDE = 2
"""Columns of a LaTeX table with intervals beside the values; with more of them the page would be too narrow."""
CSV_HEADER = (
    *("test_set", "column", "group", "n_bonafide", "n_spoof", "system", "measure"),
    *("value", "low", "high", "best", "p_value", "warnings"),
)
LATEX_CHARACTERS = {character: f"\\{character}" for character in "{}$&#%_"}
LATEX_CHARACTERS |= {character: f"{{{character}}}" for character in "[*-"}  # `\\ [`, `\\ *` and `--` mean something
LATEX_CHARACTERS |= {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedblright{}",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "−": "$-$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "·": r"$\cdot$",
    "≈": r"$\approx$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "≠": r"$\neq$",
    "∞": r"$\infty$",
    "ρ": r"$\rho$",
    "π": r"$\pi$",
    "τ": r"$\tau$",
}
"""What pdfLaTeX would take for a command, or does not know."""


class Cell(NamedTuple):
    """A figure as it is written."""

    value: str
    """`0.636`; UNDEFINED where there is none."""
    interval: str = ""
    """`[0.58, 0.69]`, one decimal less than the value; empty where none was asked for."""
    mark: str = ""
    """BEST, SAME (it does not differ significantly from the best) or nothing."""
    heat: float | None = None
    """How bad it is, from 0 (perfect) to 1 (it says nothing), where a page is to colour it."""


class Row(NamedTuple):
    """A line of a grid."""

    name: str
    counts: tuple[int, ...]
    cells: list[Cell]


class Grid(NamedTuple):
    """A table ready to be set: `corner`, `count_heads` and `heads` stand above the parts of every row."""

    title: str
    corner: str
    count_heads: tuple[str, ...]
    heads: list[str]
    rows: list[Row]


def as_text(comparison: Comparison) -> str:
    """The comparison as aligned plain text: systems × measures, then groups × systems for each measure."""
    return grids_as_text(_grids(comparison), comparison.notes, comparison.warnings)


def grids_as_text(grids: Sequence[Grid], notes: Sequence[str], warnings: Sequence[str]) -> str:
    """Grids as aligned plain text, then the legend and the remarks that belong to them."""
    remarks = [*map(printable, notes), *(f"WARNING: {printable(warning)}" for warning in warnings)]
    blocks = [
        *(f"{printable(grid.title)}\n\n{_aligned(grid)}" for grid in grids),
        "   ".join(legend(grids)),
        *(textwrap.fill(remark, TEXT_WIDTH, break_long_words=False, break_on_hyphens=False) for remark in remarks),
    ]
    return "\n\n".join(block for block in blocks if block)


def as_csv(comparisons: Sequence[Comparison]) -> str:
    """One line per figure, in full precision, rates as fractions; an undefined value is an empty field.

    The figures of all trials have the column `pooled` and no group. Every line repeats the warnings of its test set.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    for comparison in comparisons:
        warnings = " | ".join(comparison.warnings)
        for column, group, table in _tables(comparison):
            counts = (table.n_bonafide, table.n_spoof)
            for system, measure, figure in _figures(table):
                head = (comparison.test_set, column, group, *counts, system, measure)
                writer.writerow((*head, *asdict(figure).values(), warnings))
    return text.getvalue()


def as_latex(comparison: Comparison) -> str:
    """The tables in LaTeX with booktabs: best figures bold, SAME as a superscript, notes and warnings in the caption.

    Everything that comes from outside is escaped; what pdfLaTeX cannot set without further packages is written as
    its code point, `[U+6F22]`.
    """
    return grids_as_latex(_grids(comparison), comparison.notes, comparison.warnings)


def grids_as_latex(grids: Sequence[Grid], notes: Sequence[str], warnings: Sequence[str]) -> str:
    """Grids as tables in LaTeX; the caption of each has the remarks that belong to them all."""
    remarks = " ".join(map(_latex, [*notes, *(f"Warning: {warning}." for warning in warnings)]))
    return "% needs \\usepackage{booktabs}\n" + "\n".join(_latex_table(grid, remarks) for grid in grids)


def as_record(comparison: Comparison) -> dict[str, Any]:
    """The comparison in plain names and types for JSON: rates as fractions, None where a value is not defined."""
    return {
        "test_set": comparison.test_set,
        **_table_record(comparison.pooled),
        "by": {
            column: {group: _table_record(table) for group, table in groups.items()}
            for column, groups in comparison.by.items()
        },
        "warnings": list(comparison.warnings),
        "notes": list(comparison.notes),
    }


def pooled_grid(comparison: Comparison) -> Grid:
    """Systems × measures on all trials."""
    table = comparison.pooled
    title = f"{comparison.test_set}: {table.n_bonafide:,} bona fide + {table.n_spoof:,} spoof trials"
    heads = [title_of(measure) for measure in comparison.measures]
    rows = [
        Row(system, (), [cell_of(figures[measure], measure) for measure in comparison.measures])
        for system, figures in table.figures.items()
    ]
    return Grid(title, "system", (), heads, rows)


def group_grids(comparison: Comparison, column: str) -> list[Grid]:
    """Groups of a column × systems, the pooled figures last: one grid for each measure that a group has a value of."""
    grids = []
    tables = [*comparison.by[column].items(), ("pooled", comparison.pooled)]
    systems = list(comparison.pooled.figures)
    for measure in measures_of_groups(comparison, column):
        rows = [
            Row(
                group,
                (table.n_bonafide, table.n_spoof),
                [cell_of(table.figures[system][measure], measure) for system in systems],
            )
            for group, table in tables
        ]
        title = f"{title_of(measure)} by {column}, {comparison.test_set}"
        grids.append(Grid(title, column, ("bona fide", "spoof"), systems, rows))
    return grids


def measures_of_groups(comparison: Comparison, column: str) -> list[str]:
    """The measures that are defined for at least one system on at least one group of a column."""
    rows = [row for table in comparison.by[column].values() for row in table.figures.values()]
    return [measure for measure in comparison.measures if any(row[measure].value is not None for row in rows)]


def _grids(comparison: Comparison) -> list[Grid]:
    return [pooled_grid(comparison), *(grid for column in comparison.by for grid in group_grids(comparison, column))]


def legend(grids: Sequence[Grid]) -> list[str]:
    """What the signs in some grids mean, one phrase for each that occurs."""
    cells = [cell for grid in grids for row in grid.rows for cell in row.cells]
    meanings = {
        BEST: f"{BEST} best",
        SAME: f"{SAME} does not differ significantly from the best (p ≥ {SIGNIFICANT})",
        "[": "[low, high] confidence interval",
    }
    seen = {cell.mark for cell in cells} | {cell.interval[:1] for cell in cells}
    return [meaning for sign, meaning in meanings.items() if sign in seen]


def printable(text: str) -> str:
    """The text with what cannot be shown (control characters, bytes of a file name that are no text) as escapes.

    >>> printable("a\\tb")
    'a\\\\tb'
    """
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def title_of(measure: str) -> str:
    """What stands above the figures of a measure: `EER (%)`."""
    return f"{MEASURES[measure].title} (%)" if MEASURES[measure].percent else MEASURES[measure].title


def cell_of(figure: Figure, measure: str) -> Cell:
    """A figure of that measure as it is written."""
    scale, digits = 1, MEASURES[measure].digits
    if figure.value is None:
        return Cell(UNDEFINED)
    if MEASURES[measure].percent:
        scale = 100
    interval = ""
    if figure.low is not None and figure.high is not None:
        interval = f"[{scale * figure.low:.{digits - 1}f}, {scale * figure.high:.{digits - 1}f}]"
    return Cell(f"{scale * figure.value:.{digits}f}", interval, _mark(figure))


def _mark(figure: Figure) -> str:
    if figure.best:
        return BEST
    return SAME if figure.p_value is not None and figure.p_value >= SIGNIFICANT else ""


def _aligned(grid: Grid) -> str:
    parts = [(grid.corner, [printable(row.name) for row in grid.rows], str.ljust)]
    parts += [(head, [f"{row.counts[k]:,}" for row in grid.rows], str.rjust) for k, head in enumerate(grid.count_heads)]
    parts += [(head, _cell_texts([row.cells[k] for row in grid.rows]), str.ljust) for k, head in enumerate(grid.heads)]
    heads = [textwrap.wrap(printable(head), HEAD_WIDTH) for head, _, _ in parts]
    height = max(map(len, heads))
    columns = []
    for head, (_, texts, justify) in zip(heads, parts, strict=True):
        lines = [*[""] * (height - len(head)), *head, *texts]
        width = max(map(len, lines))
        rule = ["-" * width]
        lines[height:height] = rule
        if grid.count_heads:  # the last row is that of all groups together
            lines[-1:-1] = rule
        columns.append([justify(line, width) for line in lines])
    return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))


def _cell_texts(cells: Sequence[Cell]) -> list[str]:
    value_width, interval_width = (max(map(len, texts)) for texts in zip(*(cell[:2] for cell in cells), strict=True))
    return [f"{cell.value:>{value_width}} {cell.interval:<{interval_width}} {cell.mark}".rstrip() for cell in cells]


def _tables(comparison: Comparison) -> Iterator[tuple[str, str, Table]]:
    yield "pooled", "", comparison.pooled
    for column, groups in comparison.by.items():
        for group, table in groups.items():
            yield column, group, table


def _figures(table: Table) -> Iterator[tuple[str, str, Figure]]:
    for system, figures in table.figures.items():
        for measure, figure in figures.items():
            yield system, measure, figure


def _table_record(table: Table) -> dict[str, Any]:
    systems: dict[str, dict[str, Any]] = {system: {} for system in table.figures}
    for system, measure, figure in _figures(table):
        systems[system][measure] = asdict(figure)
    return {"n_bonafide": table.n_bonafide, "n_spoof": table.n_spoof, "systems": systems}


def _latex_table(grid: Grid, notes: str) -> str:
    heads = [grid.corner, *grid.count_heads, *grid.heads]
    lines = [_latex_row(row, stacked=len(grid.heads) > MOST_SIDE_BY_SIDE) for row in grid.rows]
    if grid.count_heads:  # the last row is that of all groups together
        lines.insert(-1, r"\midrule")
    caption = " ".join(filter(None, (f"{_latex(grid.title)}.", _latex_legend(grid), notes)))
    return "\n".join(
        (
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{caption}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
            r"\toprule",
            " & ".join(map(_latex, heads)) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        )
    )


def _latex_row(row: Row, stacked: bool) -> str:
    """The row with intervals beside the values, or beneath them on a line of their own."""
    head = [_latex(row.name), *(f"{count:,}" for count in row.counts)]
    values = [_latex_value(cell) for cell in row.cells]
    intervals = [rf"{{\scriptsize {_latex(cell.interval)}}}" if cell.interval else "" for cell in row.cells]
    if not stacked:
        values = [f"{value} {interval}".rstrip() for value, interval in zip(values, intervals, strict=True)]
    line = " & ".join([*head, *values]) + r" \\"
    return f"{line}\n{' & '.join([*[''] * len(head), *intervals])} \\\\" if stacked and any(intervals) else line


def _latex_value(cell: Cell) -> str:
    value = rf"\textbf{{{cell.value}}}" if cell.mark == BEST else _latex(cell.value)
    return value + r"$^{\approx}$" * (cell.mark == SAME)


def _latex_legend(grid: Grid) -> str:
    """The legend of one grid, where the best figures are bold instead of marked."""
    phrases = [_latex(phrase) for phrase in legend([grid])]
    return "; ".join(phrases).replace(r"{*} best", "Bold: best") + "." * bool(phrases)


def _latex(text: str) -> str:
    return "".join(map(_latex_character, printable(text)))


def _latex_character(character: str) -> str:
    if character in LATEX_CHARACTERS:
        return LATEX_CHARACTERS[character]
    base = unicodedata.normalize("NFD", character)[0]
    accented = "À" <= character <= "ÿ" and base.isascii()
    return character if character.isascii() or accented else f"{{[}}U+{ord(character):04X}]"

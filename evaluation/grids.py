"""A comparison as grids of formatted figures, which the text, LaTeX and HTML tables share."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from spoofcache.evaluation.figures import SIGNIFICANT, Comparison, Figure
from spoofcache.evaluation.measures import MEASURES

BEST, SAME = "*", "≈"
PARTS = re.compile(r"[^\s_./-]*[\s_./-]?")
"""The parts of a name after which a line may break."""
UNDEFINED = "–"


class Cell(NamedTuple):
    """A formatted figure."""

    value: str
    """`0.636`; UNDEFINED where there is none. Blanks behind it align the decimal points of a column."""
    interval: str = ""
    """`[0.58, 0.69]`, with one decimal less than the value; empty if no interval was computed."""
    mark: str = ""
    """BEST, SAME (the figure does not differ significantly from the best one) or empty."""
    heat: float | None = None
    """How bad the figure is, from 0 (perfect) to 1 (no better than chance), if a page should colour it."""


class Row(NamedTuple):
    """A line of a grid."""

    name: str
    counts: tuple[int, ...]
    cells: list[Cell]


class Grid(NamedTuple):
    """A formatted table; `corner`, `count_heads` and `heads` are the headings above the parts of every row."""

    title: str
    corner: str
    count_heads: tuple[str, ...]
    heads: list[str]
    rows: list[Row]


def pooled_grid(comparison: Comparison) -> Grid:
    """The table of systems × measures on all trials, with the threshold at which each system reaches its EER."""
    table = comparison.pooled
    title = f"{comparison.test_set}: {table.n_bonafide:,} bona fide + {table.n_spoof:,} spoof trials"
    heads: list[str] = []
    columns: list[list[Cell]] = []
    for measure in comparison.measures:
        figures = [of_system[measure] for of_system in table.figures.values()]
        heads.append(title_of(measure))
        columns.append([cell_of(figure, measure) for figure in figures])
        if measure == "eer" and any(figure.threshold is not None for figure in figures):
            heads.append("threshold at the EER")
            columns.append(_threshold_cells(figures))
    cells = zip(*columns, strict=True)
    rows = [Row(system, (), list(of_system)) for system, of_system in zip(table.figures, cells, strict=True)]
    return Grid(title, "system", (), heads, rows)


def _threshold_cells(figures: Sequence[Figure]) -> list[Cell]:
    """Thresholds to six digits, with blanks behind them where that brings their decimal points below each other."""
    texts = [UNDEFINED if figure.threshold is None else f"{figure.threshold:.6g}" for figure in figures]
    lengths = [len("".join(text.partition(".")[1:])) for text in texts]  # of the point and the decimals
    return [Cell(text + " " * (max(lengths) - length)) for text, length in zip(texts, lengths, strict=True)]


def group_grids(comparison: Comparison, column: str) -> list[Grid]:
    """The tables of groups × systems, the pooled figures last: one for each measure that is defined for some group."""
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


def grids_of(comparison: Comparison) -> list[Grid]:
    """All tables of a comparison: the pooled one, then those of each column."""
    return [pooled_grid(comparison), *(grid for column in comparison.by for grid in group_grids(comparison, column))]


def legend(grids: Sequence[Grid]) -> list[str]:
    """Explain the signs in some grids, in one phrase for each sign that occurs."""
    cells = [cell for grid in grids for row in grid.rows for cell in row.cells]
    meanings = {
        BEST: f"{BEST} best",
        SAME: f"{SAME} does not differ significantly from the best (p ≥ {SIGNIFICANT})",
        "[": "[low, high] confidence interval",
    }
    seen = {cell.mark for cell in cells} | {cell.interval[:1] for cell in cells}
    return [meaning for sign, meaning in meanings.items() if sign in seen]


def printable(text: str) -> str:
    """Replace what cannot be printed (control characters, undecodable bytes of a file name) by escapes.

    >>> printable("a\\tb")
    'a\\\\tb'
    """
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def parts_of(name: str) -> list[str]:
    """The parts of a printable name, each with the blank, `_`, `-`, `.` or `/` behind it.

    >>> parts_of("XLS-R + LCNN_seed-1")
    ['XLS-', 'R ', '+ ', 'LCNN_', 'seed-', '1']
    """
    return [part for part in PARTS.findall(printable(name)) if part]


def lines_of(name: str, width: int) -> list[str]:
    """The whole of a name on lines of at most `width` characters, broken between its parts where that is possible.

    >>> lines_of("xlsr-53_last_hidden_state_epoch-87", 12)
    ['xlsr-53_', 'last_hidden_', 'state_epoch-', '87']
    """
    lines = [""]
    for part in parts_of(name):
        for piece in (part[start : start + width] for start in range(0, len(part), width)):
            if len(lines[-1]) + len(piece.rstrip()) > width:
                lines.append("")
            lines[-1] += piece
    return [line.rstrip() for line in lines]


def title_of(measure: str) -> str:
    """The heading of a measure, such as `EER (%)`."""
    return f"{MEASURES[measure].title} (%)" if MEASURES[measure].percent else MEASURES[measure].title


def cell_of(figure: Figure, measure: str) -> Cell:
    """Format a figure of a measure."""
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

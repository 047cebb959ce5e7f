"""A comparison as text for a terminal, as CSV and as JSON."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import zip_longest
from typing import Any

from spoofcache.common.spreadsheets import csv_text
from spoofcache.evaluation.figures import Comparison, Figure, Table
from spoofcache.evaluation.grids import Cell, Grid, grids_of, legend, lines_of, printable

TEXT_WIDTH = 100
HEAD_WIDTH = 26
NAME_WIDTH = 40
"""Characters of a name that a line of a table holds; longer names take several lines."""
CSV_HEADER = (
    *("test_set", "column", "group", "n_bonafide", "n_spoof", "system", "measure"),
    *("value", "low", "high", "best", "p_value", "threshold", "warnings"),
)


def as_text(comparison: Comparison) -> str:
    """Format the comparison as aligned plain text: systems × measures, then groups × systems for each measure."""
    return grids_as_text(grids_of(comparison), comparison.notes, comparison.warnings)


def grids_as_text(grids: Sequence[Grid], notes: Sequence[str], warnings: Sequence[str]) -> str:
    """Format grids as aligned plain text, followed by their legend, notes and warnings."""
    remarks = [*map(printable, notes), *(f"WARNING: {printable(warning)}" for warning in warnings)]
    blocks = [
        *(f"{printable(grid.title)}\n\n{_aligned(grid)}" for grid in grids),
        "   ".join(legend(grids)),
        *(textwrap.fill(remark, TEXT_WIDTH, break_long_words=False, break_on_hyphens=False) for remark in remarks),
    ]
    return "\n\n".join(block for block in blocks if block)


def as_csv(comparisons: Sequence[Comparison]) -> str:
    """Format every figure as a line of CSV, in full precision, with rates as fractions; undefined values are empty.

    The figures of all trials have the column `pooled` and no group. Every line repeats the warnings of its test set.
    """
    return csv_text(CSV_HEADER, _csv_rows(comparisons))


def _csv_rows(comparisons: Sequence[Comparison]) -> Iterator[tuple[object, ...]]:
    for comparison in comparisons:
        warnings = " | ".join(comparison.warnings)
        for column, group, table in _tables(comparison):
            counts = (table.n_bonafide, table.n_spoof)
            for system, measure, figure in _figures(table):
                head = (comparison.test_set, column, group, *counts, system, measure)
                yield *head, *asdict(figure).values(), warnings


def as_record(comparison: Comparison) -> dict[str, Any]:
    """The comparison in plain names and types for JSON, with rates as fractions and None for undefined values."""
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


def _aligned(grid: Grid) -> str:
    """The grid as lines of text: the heads, a rule, and the rows; the last row of a grid by group has its own rule."""
    figures = [_cell_texts([row.cells[k] for row in grid.rows]) for k in range(len(grid.heads))]
    head = [lines_of(text, HEAD_WIDTH) for text in (grid.corner, *grid.count_heads, *grid.heads)]
    rows = [
        [
            lines_of(row.name, NAME_WIDTH),
            *([f"{count:,}"] for count in row.counts),
            *([column[k]] for column in figures),
        ]
        for k, row in enumerate(grid.rows)
    ]
    widths = [max(len(line) for cell in column for line in cell) for column in zip(head, *rows, strict=True)]
    n_counts, n_figures = len(grid.count_heads), len(grid.heads)
    layout = list(zip(widths, [str.ljust] + [str.rjust] * n_counts + [str.ljust] * n_figures, strict=True))
    rule = "  ".join("-" * width for width in widths)
    deepest = max(map(len, head))
    lines = [*_lines([[""] * (deepest - len(cell)) + cell for cell in head], layout), rule]
    for k, row in enumerate(rows):
        if grid.count_heads and k == len(rows) - 1:  # the row of all groups together
            lines.append(rule)
        lines += _lines(row, layout)
    return "\n".join(lines)


def _lines(cells: Sequence[Sequence[str]], layout: Sequence[tuple[int, Callable[[str, int], str]]]) -> list[str]:
    """The lines of cells side by side; `layout` holds the width and the alignment of each column."""
    rows = zip_longest(*cells, fillvalue="")
    return [
        "  ".join(put(text, width) for text, (width, put) in zip(row, layout, strict=True)).rstrip() for row in rows
    ]


def _cell_texts(cells: Sequence[Cell]) -> list[str]:
    value_width, interval_width = (max(map(len, texts)) for texts in zip(*(cell[:2] for cell in cells), strict=True))
    gap = " " * bool(interval_width)
    return [f"{cell.value:>{value_width}}{gap}{cell.interval:<{interval_width}} {cell.mark}".rstrip() for cell in cells]


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
    record = {"n_bonafide": table.n_bonafide, "n_spoof": table.n_spoof, "systems": systems}
    if table.decided:
        record["at_dev_threshold"] = {system: found.to_json() for system, found in table.decided.items()}
    return record

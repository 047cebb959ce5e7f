"""A comparison as LaTeX tables."""

import unicodedata
from collections.abc import Sequence

from spoofcache.evaluation.figures import Comparison
from spoofcache.evaluation.grids import BEST, SAME, Cell, Grid, Row, grids_of, legend, printable

MOST_SIDE_BY_SIDE = 2
"""Number of columns up to which a LaTeX table has the intervals beside the values; more would not fit the page."""
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
"""Replacements for the characters that pdfLaTeX reads as commands or does not know."""


def as_latex(comparison: Comparison) -> str:
    """Format the tables in LaTeX with booktabs.

    The best figures are bold, SAME is a superscript, and notes and warnings are in the caption. Names and file names
    are escaped; a character that pdfLaTeX cannot typeset without further packages becomes its code point, `[U+6F22]`.
    """
    return grids_as_latex(grids_of(comparison), comparison.notes, comparison.warnings)


def grids_as_latex(grids: Sequence[Grid], notes: Sequence[str], warnings: Sequence[str]) -> str:
    """Format grids as tables in LaTeX; every caption has the remarks that belong to all of them."""
    remarks = " ".join(map(_latex, [*notes, *(f"Warning: {warning}." for warning in warnings)]))
    return "% needs \\usepackage{booktabs}\n" + "\n".join(_latex_table(grid, remarks) for grid in grids)


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
    value = rf"\textbf{{{cell.value}}}" if cell.mark == BEST else _latex(cell.value.rstrip())
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

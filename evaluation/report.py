"""The report of an evaluation: one self-contained HTML page that needs no network and no script."""

import html
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import NamedTuple

from spoofcache.evaluation import matrix as cross
from spoofcache.evaluation.definitions import DEFINITIONS
from spoofcache.evaluation.evaluation_set import EvaluationSet
from spoofcache.evaluation.figures import Comparison
from spoofcache.evaluation.grids import (
    BEST,
    Cell,
    Grid,
    Row,
    group_grids,
    legend,
    measures_of_groups,
    parts_of,
    pooled_grid,
    printable,
)
from spoofcache.evaluation.matrix import Matrix
from spoofcache.evaluation.measures import MEASURES
from spoofcache.evaluation.report_style import STYLE
from spoofcache.evaluation.tandem import tandem_behind
from spoofcache.evaluation.trials import pooled_group

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Content security policy: the browser itself refuses scripts and everything from elsewhere."""
HEAT, MOST_HEAT = "213, 94, 0", 0.55
"""Colour of the worst cell of a heat map, and its opacity, at which text remains legible."""
FIGURE_SPACE = "\u2007"
"""A blank that is as wide as a digit, and that HTML keeps."""
MOST_NAMED = 6
WIDEST_NAME = 20
"""Number of characters of a system's name that a table fits on one line."""


class Picture(NamedTuple):
    """A picture with its caption, and with an alternative text for readers who cannot see it."""

    svg: str
    caption: str
    alternative: str


def report_page(
    evaluated: Sequence[tuple[EvaluationSet | None, Comparison]],
    title: str,
    made_by: str,
    matrix: Matrix | None = None,
) -> str:
    """Build the report of all test sets, including pictures, as an HTML page.

    Args:
        evaluated: the test sets with their comparisons; one without trials (None) gets tables but no pictures.
        title: the title of the page.
        made_by: the program and the date, for the line below the title.
        matrix: the same figures by training set and test set, which come first as a heat map.
    """
    sections = [(c, list(_pictures(e, c)) if e else []) for e, c in evaluated]
    return as_html(sections, title, made_by, matrix)


def as_html(
    sections: Sequence[tuple[Comparison, Sequence[Picture]]], title: str, made_by: str, matrix: Matrix | None = None
) -> str:
    """Build one page: warnings, the matrix, and a section for each test set with its tables, pictures and notes.

    The page is well-formed XML, too. Names, titles and sentences are escaped.
    """
    numbers = {"Table": count(1), "Figure": count(1)}
    measures = {measure for comparison, _ in sections for measure in comparison.measures}
    body = [
        warnings_html([comparison for comparison, _ in sections]),
        _matrix(matrix, numbers) if matrix else "",
        *(_section(comparison, pictures, numbers) for comparison, pictures in sections),
        definitions_html([measure for measure in MEASURES if measure in measures]),
    ]
    return page_of(body, title, made_by)


def page_of(body: Sequence[str], title: str, made_by: str) -> str:
    """A page with a heading and the given parts, which are well-formed HTML."""
    header = f"<header><h1>{escaped(title)}</h1><p class='made'>{escaped(made_by)}</p></header>"
    head = (
        "<meta charset='utf-8'/>"
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"/>'
        "<meta name='viewport' content='width=device-width, initial-scale=1'/>"
        f"<title>{escaped(title)}</title><link rel='icon' href='data:,'/><style>{STYLE}</style>"
    )
    return f"<!DOCTYPE html>\n<html lang='en'><head>{head}</head>\n<body>\n{joined([header, *body])}\n</body></html>\n"


def _pictures(evaluated: EvaluationSet, comparison: Comparison) -> Iterator[Picture]:
    # imported here because matplotlib is slow to import, and only pictures need it
    from spoofcache.evaluation import det_pictures, pictures

    yield Picture(
        det_pictures.det_curves(evaluated),
        "Detection error trade-off (DET) on normal-deviate axes. Circles mark the equal error rates; a rate of 0 is "
        "drawn on the frame.",
        "DET curves of all systems",
    )
    attacks = evaluated.trials.columns.get("attack")
    if attacks is not None and len(set(attacks[~evaluated.trials.is_bonafide].tolist())) > 1:
        yield Picture(
            det_pictures.det_curves_by_attack(evaluated),
            "DET curves of each attack against all bona fide trials. Black: the three attacks with the highest equal "
            "error rates; grey: the others.",
            "DET curves by attack, a panel for each system",
        )
    yield Picture(
        pictures.histograms(evaluated),
        "Distribution of the scores (higher: more bona fide), bona fide in the system's colour and spoof in grey, "
        "each as a share of its own trials; dashed, the EER threshold. The vertical axis is a square-root scale, which "
        "shows the tails where errors happen.",
        "Score histograms of both classes, a panel for each system",
    )
    yield from _tdcf_picture(evaluated, comparison)
    for column in comparison.by:
        yield from _group_picture(comparison, column)


def _tdcf_picture(evaluated: EvaluationSet, comparison: Comparison) -> Iterator[Picture]:
    """The t-DCF curves, where the comparison has the pooled t-DCF."""
    from spoofcache.evaluation import pictures

    tandem = tandem_behind(
        evaluated, pooled_group(evaluated.trials), [name for name in comparison.measures if name != "t_eer"]
    )
    cost, form = tandem.tdcf_2019 or tandem.tdcf_2021, 2019 if tandem.tdcf_2019 else 2021
    if cost:
        yield Picture(
            pictures.tdcf_curves(evaluated, cost),
            f"Normalised t-DCF in the form of {form} over the share of bona fide trials rejected, the best threshold "
            f"for each share; C0 = {cost.c0:.4g}, C1 = {cost.c1:.4g}, C2 = {cost.c2:.4g}. Circles mark the minima; at "
            "1 (dotted) a countermeasure is no better than accepting or rejecting every trial.",
            "Normalised t-DCF curves of all systems",
        )


def _group_picture(comparison: Comparison, column: str) -> Iterator[Picture]:
    from spoofcache.evaluation import pictures

    measures = [MEASURES[measure].title for measure in measures_of_groups(comparison, column)[:2]]
    if measures:
        yield Picture(
            pictures.figures_by_group(comparison, column),
            f"{' and '.join(measures)} by {column}, on logarithmic axes: a 0 is drawn on the frame. Whiskers are "
            "confidence intervals.",
            f"{' and '.join(measures)} of all systems by {column}",
        )


def _section(comparison: Comparison, pictures: Sequence[Picture], numbers: Mapping[str, Iterator[int]]) -> str:
    parts = [
        f"<section><h2>{escaped(comparison.test_set)}</h2>",
        _summary(comparison),
        table_html(pooled_grid(comparison), numbers),
        *(figure_html(picture, numbers) for picture in pictures),
    ]
    for column in comparison.by:
        tables = [table_html(grid, numbers) for grid in group_grids(comparison, column)]
        parts += [f"<h3>By {escaped(column)}</h3>", *tables] if tables else []
    if comparison.notes:
        parts += ["<h3>How the figures were made</h3>", *(f"<p>{escaped(note)}</p>" for note in comparison.notes)]
    return joined([*parts, "</section>"])


def _matrix(matrix: Matrix, numbers: Mapping[str, Iterator[int]]) -> str:
    repeated = {note for comparison in matrix.comparisons for note in comparison.notes}
    parts = [
        "<section><h2>Train set × test set</h2>",
        "<p>The darker a cell, the worse: white is perfect, and the darkest is no better than chance (an EER of 50 %). "
        "The shade is that of the square root, so that small figures differ too.</p>",
        *(table_html(grid, numbers) for grid in cross.grids(matrix)),
        *(f"<p>{escaped(note)}</p>" for note in matrix.notes if note not in repeated),
    ]
    return joined([*parts, "</section>"])


def warnings_html(comparisons: Sequence[Comparison]) -> str:
    """A box with the warnings of all comparisons; empty if there are none."""
    several = len(comparisons) > 1
    sentences = [
        f"{f'{comparison.test_set}: ' if several else ''}{warning}"
        for comparison in comparisons
        for warning in comparison.warnings
    ]
    items = "".join(f"<li>{escaped(sentence)}</li>" for sentence in sentences)
    heading = "Warning" if len(sentences) == 1 else f"{len(sentences)} warnings"
    return f"<aside class='warnings'><h2>{heading}</h2><ul>{items}</ul></aside>" if sentences else ""


def _summary(comparison: Comparison) -> str:
    table = comparison.pooled
    names = [f"<span class='name'>{_breakable(system)}</span>" for system in table.figures]
    systems = "One system was" if len(names) == 1 else f"{len(names)} systems were"
    named = f": {', '.join(names)}" if len(names) <= MOST_NAMED else ""  # the table names them too
    return (
        f"<p>{systems} judged on {table.n_bonafide + table.n_spoof:,} trials, {table.n_bonafide:,} bona fide and "
        f"{table.n_spoof:,} spoof{named}. Every measure is better when smaller.</p>"
    )


def table_html(grid: Grid, numbers: Mapping[str, Iterator[int]]) -> str:
    """A grid as a table with a caption and a legend; `numbers["Table"]` numbers the tables of the page."""
    systems = " name" if grid.count_heads else ""  # the heads of a table by group are names of systems
    heads = [f"<th scope='col'>{escaped(head)}</th>" for head in (grid.corner, *grid.count_heads)]
    heads += [f"<th scope='col' class='figures{systems}'>{_head(head)}</th>" for head in grid.heads]
    rows = [_row(row) for row in grid.rows]
    body, foot = (rows[:-1], rows[-1:]) if grid.count_heads else (rows, [])  # the last row is that of all groups
    return joined(
        (
            "<figure class='table'>",
            f"<figcaption><b>Table {next(numbers['Table'])}.</b> {escaped(grid.title)}.</figcaption>",
            "<div class='scroll'><table>",
            f"<thead><tr>{''.join(heads)}</tr></thead>",
            f"<tbody>{joined(body)}</tbody>",
            f"<tfoot>{joined(foot)}</tfoot>" if foot else "",
            "</table></div>",
            f"<p class='legend'>{escaped('; '.join(legend([grid])))}</p></figure>",
        )
    )


def _row(row: Row) -> str:
    counts = "".join(f"<td>{number:,}</td>" for number in row.counts)
    width = f"min-width: {min(len(row.name) + 2, WIDEST_NAME)}ch"  # names are broken beyond that only
    return (
        f"<tr><th scope='row' style='{width}'>{_breakable(row.name)}</th>{counts}{''.join(map(_cell, row.cells))}</tr>"
    )


def _cell(cell: Cell) -> str:
    text = cell.value.replace(" ", FIGURE_SPACE)
    value = f"<b>{text}</b>" if cell.mark == BEST else text
    marked = f"<span class='value'>{value}<span class='mark'>{cell.mark}</span></span>"
    shade = "" if cell.heat is None else f" class='heat' style='background: rgba({HEAT}, {MOST_HEAT * cell.heat:.3f})'"
    return f"<td{shade}>{marked}<small>{cell.interval}</small></td>"


def figure_html(picture: Picture, numbers: Mapping[str, Iterator[int]]) -> str:
    """A picture with its caption; `numbers["Figure"]` numbers the pictures of the page."""
    data, alternative = b64encode(picture.svg.encode()).decode(), escaped(picture.alternative)
    return (
        f"<figure><div class='scroll'><img src='data:image/svg+xml;base64,{data}' alt='{alternative}'/>"
        f"</div><figcaption><b>Figure {next(numbers['Figure'])}.</b> {escaped(picture.caption)}</figcaption></figure>"
    )


def definitions_html(measures: Sequence[str]) -> str:
    """A section that defines measures, which are named as in MEASURES."""
    items = "".join(
        f"<dt>{escaped(MEASURES[name].title)}</dt><dd>{escaped(DEFINITIONS[name])}</dd>" for name in measures
    )
    return f"<section><h2>Measures</h2><dl>{items}</dl></section>"


def joined(parts: Iterable[str]) -> str:
    """Parts of a page, each on a line of its own; empty ones are left out."""
    return "\n".join(part for part in parts if part)


def _breakable(name: str) -> str:
    """A name whose lines may break between its parts."""
    return "<wbr/>".join(html.escape(part) for part in parts_of(name))


def _head(title: str) -> str:
    """A heading whose short words, such as `t-EER`, stay whole."""
    return " ".join(
        f"<span class='value'>{html.escape(word)}</span>" if len(word) < 8 else _breakable(word)
        for word in printable(title).split(" ")
    )


def escaped(text: str) -> str:
    """A text in which no character is markup."""
    return html.escape(printable(text))

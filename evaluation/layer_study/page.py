"""A layer study as one self-contained HTML page."""

from collections.abc import Sequence
from itertools import count

from spoofcache.evaluation.layer_study.recommendation import Recommendation
from spoofcache.evaluation.layer_study.study import LayerStudy
from spoofcache.evaluation.layer_study.tables import grids_of, notes_of
from spoofcache.evaluation.report import (
    Picture,
    definitions_html,
    escaped,
    figure_html,
    joined,
    page_of,
    table_html,
    warnings_html,
)

TITLE = "Layer study"


def as_html(study: LayerStudy, recommendations: Sequence[Recommendation], made_by: str) -> str:
    """Build the page: picture, recommended commands, tables, notes and definitions."""
    from spoofcache.evaluation.layer_study.pictures import layers_svg  # imported late: matplotlib is slow to import

    numbers = {"Table": count(1), "Figure": count(1)}
    picture = Picture(
        layers_svg(study),
        "Equal error rate of a probe on each layer. Bands are confidence intervals; dotted lines are means over "
        "attacks that the probe has not seen.",
        "EER by layer, a line for each set",
    )
    body = [
        warnings_html(study.comparisons),
        figure_html(picture, numbers),
        joined(["<section><h2>What to cache</h2>", *map(_recommended, recommendations), "</section>"]),
        joined(["<section><h2>Figures</h2>", *(table_html(grid, numbers) for grid in grids_of(study)), "</section>"]),
        joined(
            [
                "<section><h2>How the figures were made</h2>",
                *(f"<p>{escaped(n)}</p>" for n in notes_of(study)),
                "</section>",
            ]
        ),
        definitions_html(["eer"]),
    ]
    return page_of(body, TITLE, made_by)


def _recommended(one: Recommendation) -> str:
    commands = "\n".join(escaped(command) for command in one.commands)
    remarks = "".join(f"<p>{escaped(remark)}</p>" for remark in one.cost.remarks)
    return f"<h3>{escaped(one.title)}</h3><p>{escaped(str(one.cost))}.</p><pre>{commands}</pre>{remarks}"

"""The picture of a layer study: EER by layer, a line for each set, its interval as a band."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure as Canvas

from spoofcache.evaluation.drawing import as_svg, line_of, picture_with_legend, save, styled, styles_of, wrapped
from spoofcache.evaluation.figures import Figure
from spoofcache.evaluation.layer_study.study import LayerStudy
from spoofcache.metrics.det import FloatArray

MOST_TICKS = 26


@styled
def layers_svg(study: LayerStudy) -> str:
    """Draw the picture as SVG text."""
    return as_svg(_draw(study))


@styled
def draw_layers(study: LayerStudy, path: Path) -> None:
    """Draw the picture as a PNG file."""
    save(_draw(study), path, format="png", dpi=110)


def _draw(study: LayerStudy) -> Canvas:
    canvas, axes = picture_with_legend(height=4.2)
    curves = list(_curves(study))
    places = np.arange(len(study.layers))
    styles = styles_of(dict.fromkeys(study.sets))
    for name, position, dashed, figures in curves:
        style = line_of(styles[position]) | ({"linestyle": (0, (1, 1.2))} if dashed else {})
        low, value, high = 100 * _ends(figures)
        axes.fill_between(places, low, high, color=style["color"], alpha=0.07 if dashed else 0.15, linewidth=0)
        axes.plot(places, value, **style, marker="o", markersize=3.5, label=wrapped(name))
    axes.set_ylim(bottom=0)
    step = -(-len(study.layers) // MOST_TICKS)
    axes.set_xticks(places[::step], study.layers[::step])
    axes.set_xlabel("layer")
    axes.set_ylabel("EER (%)")
    canvas.legend(loc="outside right upper", alignment="left")
    return canvas


def _curves(study: LayerStudy) -> Iterator[tuple[str, int, bool, Sequence[Figure]]]:
    """For each line: its name, the position of its set, if it shows unseen attacks, and a figure for each layer."""
    for position, name in enumerate(study.sets):
        yield name, position, False, [study.figure(layer, name) for layer in study.layers]
        if study.held_out:
            unseen = [study.held_out[name][layer].mean for layer in study.layers]
            if all(figure.value is not None for figure in unseen):
                yield f"{name}, unseen attacks", position, True, unseen


def _ends(figures: Sequence[Figure]) -> FloatArray:
    """Low end, value and high end of each figure [3, n]; a figure without an interval has its value three times."""
    ends = [
        [figure.value if end is None else end for end in (figure.low, figure.value, figure.high)] for figure in figures
    ]
    return np.array(ends, dtype=np.float64).T

"""What all pictures share: colours, lines, panels, axes in normal deviates, and saving.

A system has the same colour and line in every picture, taken from the palette of Okabe and Ito ("Color universal
design", 2008), which colour-blind readers can distinguish.
"""

import io
import warnings
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from statistics import NormalDist
from typing import Any, BinaryIO

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from spoofcache.evaluation.grids import lines_of
from spoofcache.metrics.det import FloatArray

SYSTEM_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The palette of Okabe and Ito without yellow, which is hardly visible on white."""
LINES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))
"""Line styles: solid for the first systems, dashed and dotted for those that use a colour a second or third time."""
MARKERS = ("o", "s", "D")
SPOOF_COLOUR, INK, FAINT, GRID = "#8a8f98", "#222222", "#c3c8d0", "#e6e8ec"
DET_TICKS = (0.0001, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
WIDE_DET_TICKS = (0.0001, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999)
"""Ticks for detectors near or below chance."""
LOG_DIGITS = (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)
RESOLUTION = 0.004
"""Resolution of a curve in normal deviates; an axis spans 2 to 8 of them."""
WIDTH = 8.6
"""Width of a picture in the page, in inches."""
STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # names are file names, not formulas
    "svg.hashsalt": "spoofcache",
    "path.simplify_threshold": 0.3,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.edgecolor": "#8a8f98",
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.labelsize": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}
styled = matplotlib.rc_context(STYLE)


def as_svg(figure: Figure) -> str:
    """The picture as SVG text; equal figures give equal text."""
    file = io.BytesIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))  # the same scores give the same bytes
    save(figure, file, format="svg", metadata=nothing, bbox_inches="tight", pad_inches=0.05)
    return file.getvalue().decode()


def save(figure: Figure, file: Path | BinaryIO, **form: Any) -> None:
    """Save the picture; `form` holds matplotlib's own options."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # a name in a foreign script: drawn as boxes
        figure.savefig(file, **form)


def picture_with_legend(height: float) -> tuple[Figure, Axes]:
    """A picture of the page's width with one panel, which leaves space for a legend outside; `height` in inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def panels_of(
    systems: Mapping[str, Any], most_columns: int, height: Callable[[float], float]
) -> tuple[Figure, list[Axes]]:
    """A panel with a heading for each system, several in a row; `height` computes a panel's height from its width."""
    n_columns = min(len(systems), 2 if len(systems) <= 4 else most_columns)
    n_rows = -(-len(systems) // n_columns)
    width = WIDTH / max(n_columns, 1.5)
    layout = ConstrainedLayoutEngine(h_pad=0.12)
    figure = Figure(figsize=(width * n_columns, n_rows * height(width)), layout=layout)
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel().tolist()
    for unused in panels[len(systems) :]:
        unused.remove()
    for axes, system in zip(panels, systems, strict=False):
        axes.set_title(wrapped(system, int(10 * width)), fontweight="bold", fontsize=9.5)
    return figure, panels[: len(systems)]


def styles_of(systems: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The colour, line and hollow marker of each system, which depend on its position."""
    styles = []
    for place in range(len(systems)):
        turn, colour = divmod(place, len(SYSTEM_COLOURS))
        line, marker = LINES[turn % len(LINES)], MARKERS[turn % len(MARKERS)]
        look = {"color": SYSTEM_COLOURS[colour], "linestyle": line, "marker": marker}
        styles.append({**look, "markersize": 6, "markerfacecolor": "white", "markeredgewidth": 1.5})
    return styles


def line_of(style: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a system's style that concerns lines."""
    return {key: style[key] for key in ("color", "linestyle")}


def point_of(style: Mapping[str, Any]) -> dict[str, Any]:
    """A system's style for a single point without a line."""
    return {**style, "linestyle": "none"}


def wrapped(name: str, width: int = 28) -> str:
    """The whole name, on as many lines of at most `width` characters as it needs."""
    return "\n".join(lines_of(name, width))


def log_ticks(low: float, high: float, most: int = 9) -> list[float]:
    """Round numbers between `low` and `high` for a logarithmic axis, at most about `most` of them."""
    for digits in (LOG_DIGITS, (1, 2, 5), (1,)):
        ticks = [float(f"{digit}e{power}") for power, digit in product(range(-9, 3), digits)]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= most:
            break
    return ticks


def visible_moves(places: FloatArray) -> NDArray[np.bool_]:
    """Which points [n] of a curve [2, n] to draw: those that visibly differ from the point before."""
    cells = np.round(places / RESOLUTION)
    return np.append(True, np.any(np.diff(cells, axis=1) != 0, axis=0))


def deviate_axis(axis: Axis, set_limits: Callable[..., Any], lowest: float, highest: float) -> None:
    ticks = WIDE_DET_TICKS if highest > 0.5 else DET_TICKS
    rates = [rate for rate in ticks if lowest <= rate <= highest]
    axis.set_ticks(normal_deviate(np.array(rates), lowest).tolist(), [f"{100 * rate:g}" for rate in rates])
    set_limits(*normal_deviate(np.array([lowest, highest]), lowest))


def lowest_rate(is_bonafide: NDArray[np.bool_]) -> float:
    """The rate of half an error in the larger class, at which axes without a place for 0 end."""
    n_bonafide = np.count_nonzero(is_bonafide)
    return float(np.clip(0.5 / max(n_bonafide, is_bonafide.size - n_bonafide), DET_TICKS[0], 0.1))


def normal_deviate(rates: FloatArray, lowest: float) -> FloatArray:
    """The inverse of the normal distribution at `rates` [...], which are clipped to `lowest` and 1 − `lowest`."""
    values, places = np.unique(np.clip(rates, lowest, 1 - lowest), return_inverse=True)
    deviates = np.array([NormalDist().inv_cdf(value) for value in values.tolist()])
    return deviates[places].reshape(rates.shape)

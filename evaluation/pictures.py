"""Pictures of an evaluation: DET curves, score histograms, t-DCF curves, figures by attack; as SVG text or PNG file.

Beside it only `track` and `engine.search_picture` import matplotlib. A system has the same colour and line in every
picture, taken from the palette of Okabe and Ito ("Color universal design", 2008), which colour-blind readers can tell
apart.
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
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from spoofcache.evaluation.comparison import Comparison, EvaluationSet, Table
from spoofcache.evaluation.measures import MEASURES
from spoofcache.evaluation.tables import measures_of_groups, printable
from spoofcache.evaluation.trials import trials_of_scores
from spoofcache.metrics.dcf import Coefficients, normalised_cost
from spoofcache.metrics.det import DetCurve, FloatArray, det_curve, equal_error_rate, equal_error_rate_of
from spoofcache.metrics.scores import CmScores

SYSTEM_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, without the yellow, which white paper swallows."""
LINES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))
"""Solid for the first systems, dashed and dotted for those that have a colour the second and third time."""
MARKERS = ("o", "s", "D")
SPOOF_COLOUR, INK, FAINT, GRID = "#8a8f98", "#222222", "#c3c8d0", "#e6e8ec"
HARDEST = ("-", (0, (5, 1.5)), (0, (1, 1.2)))
"""Lines of the attacks with the highest equal error rates, worst first; the other attacks are drawn faintly."""
DET_TICKS = (0.0001, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
WIDE_DET_TICKS = (0.0001, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999)
"""For detectors near or below chance."""
WIDE_FROM = 0.4
"""Equal error rates above this need axes that go up to 100 %; below, axes end at one of DET_ENDS."""
DET_ENDS = (0.02, 0.05, 0.1, 0.2, 0.5)
LOG_DIGITS = (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)
RESOLUTION = 0.004
"""Of a curve in normal deviates; an axis spans 2 to 8 of them."""
SHARES = (0, 1, 5, 10, 20, 40, 60, 80, 100)
"""Ticks of a square-root axis, on which the tails where errors happen are seen beside the bulk."""
MOST_BINS = 80
SMALLEST = 1e-16
"""Probabilities are drawn no nearer to 0 and 1 than this: float64 has no 1 − 1e-17."""
LEAST_COST, MOST_COST = 1e-4, 1.3
"""A t-DCF of 0 has no place on a logarithmic axis: it is drawn on the frame. Above 1 there is nothing to see."""
WIDTH = 8.6
"""Of a picture in the page, in inches."""
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
_styled = matplotlib.rc_context(STYLE)


@_styled
def draw_det(cm: CmScores, title: str, path: Path) -> None:
    """DET curves of one system as PNG, pooled and per attack: see `det_curves` and `det_curves_by_attack`."""
    figure = Figure(figsize=(6.4, 7.2), layout="constrained")  # without pyplot there is no global state
    axes = figure.add_subplot()
    axes.set_title(printable(title), fontsize=11)
    worst = _attack_panel(axes, cm.scores, cm.require_keys(), trials_of_scores(cm).columns["attack"], SYSTEM_COLOURS[0])
    _attack_axes(axes, _lowest(cm.require_keys()), worst)
    _save(figure, path, format="png", dpi=150)


@_styled
def draw_histogram(cm: CmScores, title: str, path: Path) -> None:
    """Histogram of one system's scores as PNG: see `histograms`."""
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(printable(title), fontsize=11)
    _histogram_panel(axes, cm.scores, cm.require_keys(), SYSTEM_COLOURS[0])
    axes.legend()
    _save(figure, path, format="png", dpi=150)


@_styled
def det_curves(evaluated: EvaluationSet) -> str:
    """DET curves of all systems as SVG, on normal-deviate axes, with each equal error rate marked.

    Both axes are warped by the inverse of the normal distribution, so that Gaussian scores give straight lines
    (Martin et al., "The DET curve in assessment of detection task performance", Eurospeech 1997). A rate of 0
    has no place on such an axis: it is drawn on the frame.
    """
    figure, axes = _picture_with_legend(height=5.6)
    is_bonafide = evaluated.trials.is_bonafide
    lowest, rates = _lowest(is_bonafide), []
    for style, (system, scores) in zip(_styles(evaluated.systems), evaluated.systems.items(), strict=True):
        curve = det_curve(scores[is_bonafide], scores[~is_bonafide])
        rates.append(equal_error_rate_of(curve).rate)
        meeting = _normal_deviate(np.array(rates[-1:]), lowest)
        _det_line(axes, curve, lowest, **_line(style), linewidth=1.7)
        axes.plot(meeting, meeting, **_point(style), zorder=4, clip_on=False)
        axes.plot([], [], **style, label=f"{_wrapped(system)}\n{100 * rates[-1]:.2f} %")
    _det_axes(axes, lowest, max(rates))
    figure.legend(loc="outside right upper", title="Equal error rate", alignment="left")
    return _svg(figure)


@_styled
def det_curves_by_attack(evaluated: EvaluationSet) -> str:
    """DET curves as SVG, a panel for each system: all its trials, and each attack against all bona fide trials."""
    is_bonafide, attacks = evaluated.trials.is_bonafide, evaluated.trials.columns["attack"]
    figure, panels = _panels(evaluated.systems, most_columns=2, height=lambda width: width + 1.0)
    worst = max(
        _attack_panel(axes, scores, is_bonafide, attacks, style["color"])
        for axes, style, scores in zip(panels, _styles(evaluated.systems), evaluated.systems.values(), strict=True)
    )
    for axes in panels:
        _attack_axes(axes, _lowest(is_bonafide), worst)
    return _svg(figure)


@_styled
def histograms(evaluated: EvaluationSet) -> str:
    """Histograms of both classes as SVG, a panel for each system; each class as a share of its own trials.

    The EER threshold is marked. Scores that all lie within [0, 1] are drawn as log-odds: a saturated soft-max would
    otherwise be two spikes.
    """
    figure, panels = _panels(evaluated.systems, most_columns=3, height=lambda width: 0.45 * width + 0.9)
    for axes, style, scores in zip(panels, _styles(evaluated.systems), evaluated.systems.values(), strict=True):
        eer_label = _histogram_panel(axes, scores, evaluated.trials.is_bonafide, style["color"])
        axes.set_title(axes.get_title(loc="left"), fontsize=9.5, fontweight="bold", pad=18)
        axes.text(0, 1.02, eer_label, transform=axes.transAxes, fontsize=8.5)
    return _svg(figure)


@_styled
def tdcf_curves(evaluated: EvaluationSet, tdcf: Coefficients) -> str:
    """Normalised t-DCF of all systems as SVG, over the share of bona fide trials that a threshold rejects.

    A share of rejected bona fide trials means the same for systems whose scores do not; of the thresholds that reject
    the same share the best is drawn. The minimum is marked.
    """
    figure, axes = _picture_with_legend(height=4.8)
    is_bonafide, minima = evaluated.trials.is_bonafide, []
    lowest = _lowest(is_bonafide)
    for style, (system, scores) in zip(_styles(evaluated.systems), evaluated.systems.items(), strict=True):
        curve = det_curve(scores[is_bonafide], scores[~is_bonafide])
        last = np.append(np.diff(curve.frr) > 0, True)  # of equal P_miss: where P_fa is smallest
        p_miss, cost = curve.frr[last], normalised_cost(curve, tdcf)[last]
        best, places = int(np.argmin(cost)), _normal_deviate(p_miss, lowest)
        minima.append((float(cost[best]), float(p_miss[best])))
        drawn, height = _moves(places[np.newaxis]), np.maximum(cost, LEAST_COST)
        axes.plot(places[drawn], height[drawn], **_line(style), linewidth=1.7)
        axes.plot(places[best], height[best], **_point(style), zorder=4, clip_on=False)
        axes.plot([], [], **style, label=f"{_wrapped(system)}\n{cost[best]:.4f}")
    _tdcf_axes(axes, lowest, min(minima)[0], wide=max(p_miss for _, p_miss in minima) > WIDE_FROM)
    figure.legend(loc="outside right upper", title="Minimum", alignment="left")
    return _svg(figure)


@_styled
def figures_by_group(comparison: Comparison, column: str) -> str:
    """The first two measures of each group of a column as SVG: a dot for each system, whiskers for its interval.

    The axes are logarithmic; a value of 0 is drawn on the frame.
    """
    groups, measures = comparison.by[column], measures_of_groups(comparison, column)[:2]
    styles = dict(zip(comparison.pooled.figures, _styles(comparison.pooled.figures), strict=True))
    row_height = 0.15 + 0.055 * len(styles)
    figure = Figure(figsize=(WIDTH, 1.1 + 0.2 * len(styles) + row_height * len(groups)), layout="constrained")
    panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    for axes, measure in zip(panels, measures, strict=True):
        _group_panel(axes, groups, measure, styles)
        axes.set_title(MEASURES[measure].title + (" (%)" if MEASURES[measure].percent else ""))
    panels[0].set_yticks(range(len(groups)), [_wrapped(group, 24) for group in groups])
    panels[0].set_ylim(len(groups) - 0.5, -0.5)
    handles = [panels[0].plot([], [], **style, label=_wrapped(system, 90))[0] for system, style in styles.items()]
    figure.legend(handles=handles, loc="outside upper left", ncols=1 if max(map(len, styles)) > 32 else 2)
    return _svg(figure)


def _svg(figure: Figure) -> str:
    file = io.BytesIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))  # the same scores give the same bytes
    _save(figure, file, format="svg", metadata=nothing, bbox_inches="tight", pad_inches=0.05)
    return file.getvalue().decode()


def _save(figure: Figure, file: Path | BinaryIO, **form: Any) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # a name in a foreign script: drawn as boxes
        figure.savefig(file, **form)


def _picture_with_legend(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def _panels(
    systems: Mapping[str, Any], most_columns: int, height: Callable[[float], float]
) -> tuple[Figure, list[Axes]]:
    """A panel with a heading for each system, some side by side; `height` of a panel by its width."""
    n_columns = min(len(systems), 2 if len(systems) <= 4 else most_columns)
    n_rows = -(-len(systems) // n_columns)
    width = WIDTH / max(n_columns, 1.5)
    layout = ConstrainedLayoutEngine(h_pad=0.12)
    figure = Figure(figsize=(width * n_columns, n_rows * height(width)), layout=layout)
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel().tolist()
    for unused in panels[len(systems) :]:
        unused.remove()
    for axes, system in zip(panels, systems, strict=False):
        axes.set_title(_wrapped(system, int(10 * width)), fontweight="bold", fontsize=9.5)
    return figure, panels[: len(systems)]


def _styles(systems: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Colour, line and hollow marker of each system, by its place."""
    styles = []
    for place in range(len(systems)):
        turn, colour = divmod(place, len(SYSTEM_COLOURS))
        line, marker = LINES[turn % len(LINES)], MARKERS[turn % len(MARKERS)]
        look = {"color": SYSTEM_COLOURS[colour], "linestyle": line, "marker": marker}
        styles.append({**look, "markersize": 6, "markerfacecolor": "white", "markeredgewidth": 1.5})
    return styles


def _line(style: Mapping[str, Any]) -> dict[str, Any]:
    return {key: style[key] for key in ("color", "linestyle")}


def _point(style: Mapping[str, Any]) -> dict[str, Any]:
    return {**style, "linestyle": "none"}


def _wrapped(name: str, width: int = 28, most_lines: int = 3) -> str:
    """The name on a few lines; what is too long for them loses its middle."""
    name = printable(name)
    most = width * most_lines
    if len(name) > most:
        name = f"{name[: most // 2]}…{name[-(most - most // 2 - 1) :]}"
    return "\n".join(name[start : start + width] for start in range(0, max(len(name), 1), width))


def _attack_panel(
    axes: Axes, scores: FloatArray, is_bonafide: NDArray[np.bool_], attacks: NDArray[np.str_], colour: str
) -> float:
    """The pooled curve thick, the hardest attacks each with a line of its own, the others faint.

    Returns:
        the highest of their equal error rates, which the axes must hold.
    """
    lowest = _lowest(is_bonafide)
    pooled = det_curve(scores[is_bonafide], scores[~is_bonafide])
    curves = {
        str(attack): det_curve(scores[is_bonafide], scores[~is_bonafide & (attacks == attack)])
        for attack in np.unique(attacks[~is_bonafide])
    }
    rates = {attack: equal_error_rate_of(curve).rate for attack, curve in curves.items()}
    rate = equal_error_rate_of(pooled).rate
    _det_line(axes, pooled, lowest, color=colour, linewidth=2.2, zorder=3, label=_rate("pooled", rate))
    worst_first = sorted(rates, key=lambda attack: -rates[attack]) if len(rates) > 1 else []
    for attack, line in zip(worst_first, HARDEST, strict=False):
        look = {"color": INK, "linestyle": line, "linewidth": 1.1, "zorder": 2.5}
        _det_line(axes, curves[attack], lowest, **look, label=_rate(attack, rates[attack]))
    others = worst_first[len(HARDEST) :]
    for attack in others:
        label = f"{len(others)} more attack{'s' * (len(others) > 1)}" if attack == others[0] else None
        _det_line(axes, curves[attack], lowest, color=FAINT, linewidth=0.9, label=label)
    meeting = _normal_deviate(np.array([rate]), lowest)
    axes.plot(meeting, meeting, "o", color=colour, markersize=6, markerfacecolor="white", zorder=4, clip_on=False)
    return max(rate, *rates.values())


def _attack_axes(axes: Axes, lowest: float, worst: float) -> None:
    _det_axes(axes, lowest, worst)
    longest = max(len(label) for label in axes.get_legend_handles_labels()[1])
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (-0.02, -0.14)}  # beneath: there it hides no curve
    axes.legend(**place, title="Equal error rate", alignment="left", fontsize=8, ncols=1 if longest > 18 else 2)


def _rate(name: str, rate: float) -> str:
    return f"{_wrapped(name, 16, 1)}   {100 * rate:.2f} %"


def _histogram_panel(axes: Axes, scores: FloatArray, is_bonafide: NDArray[np.bool_], colour: str) -> str:
    """Both classes, and a line at the EER threshold with the label that is returned."""
    eer = equal_error_rate(scores[is_bonafide], scores[~is_bonafide])
    probabilities = bool(scores.min() >= 0 and scores.max() <= 1)
    drawn = _log_odds(scores) if probabilities else scores
    classes = {"spoof": (drawn[~is_bonafide], SPOOF_COLOUR), "bona fide": (drawn[is_bonafide], colour)}
    n_bins = int(np.clip(2 * np.sqrt(min(of_class.size for of_class, _ in classes.values())), 10, MOST_BINS))
    edges = np.histogram_bin_edges(drawn, n_bins)
    for name, (of_class, colour_of_class) in classes.items():
        shares = 100 * np.histogram(of_class, edges)[0] / of_class.size
        axes.stairs(shares, edges, fill=True, color=colour_of_class, alpha=0.35)
        axes.stairs(shares, edges, color=colour_of_class, linewidth=1.3, label=name)
    threshold = _log_odds(np.array(eer.threshold)) if probabilities else eer.threshold
    label = f"EER {100 * eer.rate:.2f} % at {eer.threshold:.3g}"
    axes.axvline(float(threshold), color=INK, linestyle="--", linewidth=1.1, label=label)
    axes.set_xlabel("score s, as ln(s / (1 − s))" if probabilities else "score")
    axes.set_ylabel("share of the class (%)")
    axes.margins(x=0.01)
    axes.set_yscale("function", functions=(lambda share: np.sqrt(np.maximum(share, 0)), np.square))
    axes.set_ylim(bottom=0)
    axes.set_yticks(SHARES[: np.searchsorted(SHARES, axes.get_ylim()[1])])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    return label


def _group_panel(
    axes: Axes, groups: Mapping[str, Table], measure: str, styles: Mapping[str, Mapping[str, Any]]
) -> None:
    """Dots with whiskers, a row for each group; the systems of a row stand a little apart."""
    scale = 100 if MEASURES[measure].percent else 1
    found = {system: scale * _values(groups, system, measure) for system in styles}
    floor, ceiling = _log_limits(np.concatenate(list(found.values()), axis=1))
    for place, (system, style) in enumerate(styles.items()):
        rows = np.arange(len(groups)) + 0.7 * ((place + 0.5) / len(styles) - 0.5)
        low, value, high = np.maximum(found[system], floor)
        axes.hlines(rows, low, high, color=style["color"], linewidth=1.3)
        axes.plot(value, rows, **_point(style) | {"markersize": 4.5, "markeredgewidth": 1.3}, clip_on=False)
    axes.set_xscale("log")
    axes.set_xlim(floor, ceiling)
    axes.set_xticks(_log_ticks(floor, ceiling), [f"{tick:g}" for tick in _log_ticks(floor, ceiling)])
    axes.minorticks_off()
    axes.grid(axis="y", visible=False)
    for row in range(0, len(groups), 2):
        axes.axhspan(row - 0.5, row + 0.5, color="#f4f5f7", zorder=0)


def _values(groups: Mapping[str, Table], system: str, measure: str) -> FloatArray:
    """Low end, value and high end of each group [3, groups]; NaN where a value is not defined."""
    figures = [table.figures[system][measure] for table in groups.values()]
    ends = [[f.value if end is None else end for end in (f.low, f.value, f.high)] for f in figures]
    return np.array(ends, dtype=np.float64).T


def _log_limits(values: FloatArray) -> tuple[float, float]:
    """Limits of a logarithmic axis for [3, n] low ends, values and high ends, of which some may be 0."""
    positive = values[1][values[1] > 0]
    if not positive.size:
        return LEAST_COST, 1.0
    lows = values[0][values[0] > positive.min() / 8]  # a whisker that goes down to 0 is cut
    return float(np.append(lows, positive.min()).min() / 1.3), float(np.nanmax(values) * 1.3)


def _log_ticks(low: float, high: float, most: int = 9) -> list[float]:
    for digits in (LOG_DIGITS, (1, 2, 5), (1,)):
        ticks = [float(f"{digit}e{power}") for power, digit in product(range(-9, 3), digits)]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= most:
            break
    return ticks


def _det_line(axes: Axes, curve: DetCurve, lowest: float, **style: Any) -> None:
    places = _normal_deviate(np.stack((curve.far, curve.frr)), lowest)
    axes.plot(*places[:, _moves(places)], **style)


def _moves(places: FloatArray) -> NDArray[np.bool_]:
    """Which points of a curve [2, n] to draw: those that differ from their forerunner on paper."""
    cells = np.round(places / RESOLUTION)
    return np.append(True, np.any(np.diff(cells, axis=1) != 0, axis=0))


def _det_axes(axes: Axes, lowest: float, worst: float) -> None:
    """Axes that hold curves with equal error rates up to `worst`."""
    wide = worst > WIDE_FROM
    highest = 1 - lowest if wide else next(end for end in DET_ENDS if end >= max(6 * worst, 4 * lowest) or end == 0.5)
    for axis, set_limits in ((axes.xaxis, axes.set_xlim), (axes.yaxis, axes.set_ylim)):
        _deviate_axis(axis, set_limits, lowest, highest)
    axes.axline((0, 0), slope=1, color=FAINT, linewidth=0.8, linestyle=":", zorder=1)
    axes.set_box_aspect(1)
    axes.set_xlabel("spoof accepted (%)")
    axes.set_ylabel("bona fide rejected (%)")


def _deviate_axis(axis: Axis, set_limits: Callable[..., Any], lowest: float, highest: float) -> None:
    ticks = WIDE_DET_TICKS if highest > 0.5 else DET_TICKS
    rates = [rate for rate in ticks if lowest <= rate <= highest]
    axis.set_ticks(_normal_deviate(np.array(rates), lowest).tolist(), [f"{100 * rate:g}" for rate in rates])
    set_limits(*_normal_deviate(np.array([lowest, highest]), lowest))


def _tdcf_axes(axes: Axes, lowest: float, smallest: float, wide: bool) -> None:
    _deviate_axis(axes.xaxis, axes.set_xlim, lowest, 1 - lowest if wide else 0.5)
    axes.set_yscale("log")
    floor = max(smallest / 1.5, LEAST_COST)
    axes.set_ylim(floor, MOST_COST)
    axes.set_yticks(_log_ticks(floor, MOST_COST), [f"{tick:g}" for tick in _log_ticks(floor, MOST_COST)])
    axes.minorticks_off()
    axes.axhline(1, color=INK, linewidth=0.8, linestyle=":", zorder=1)
    axes.set_xlabel("bona fide rejected (%)")
    axes.set_ylabel("normalised t-DCF")


def _lowest(is_bonafide: NDArray[np.bool_]) -> float:
    """Half an error of the larger class: the end of axes that have no place for 0."""
    n_bonafide = np.count_nonzero(is_bonafide)
    return float(np.clip(0.5 / max(n_bonafide, is_bonafide.size - n_bonafide), DET_TICKS[0], 0.1))


def _normal_deviate(rates: FloatArray, lowest: float) -> FloatArray:
    """Inverse of the normal distribution, where 0 and 1 become `lowest` and 1 − `lowest`."""
    values, places = np.unique(np.clip(rates, lowest, 1 - lowest), return_inverse=True)
    deviates = np.array([NormalDist().inv_cdf(value) for value in values.tolist()])
    return deviates[places].reshape(rates.shape)


def _log_odds(probabilities: FloatArray) -> FloatArray:
    inside = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
    return np.log(inside) - np.log1p(-inside)

"""Pictures of scores and figures: histograms, t-DCF curves, figures by group; as SVG text or as a PNG file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from spoofcache.evaluation.drawing import (
    INK,
    SPOOF_COLOUR,
    SYSTEM_COLOURS,
    WIDTH,
    as_svg,
    deviate_axis,
    line_of,
    log_ticks,
    lowest_rate,
    normal_deviate,
    panels_of,
    picture_with_legend,
    point_of,
    save,
    styled,
    styles_of,
    visible_moves,
    wrapped,
)
from spoofcache.evaluation.evaluation_set import EvaluationSet
from spoofcache.evaluation.figures import Comparison, Table
from spoofcache.evaluation.grids import measures_of_groups, printable
from spoofcache.evaluation.measures import MEASURES
from spoofcache.metrics.dcf import Coefficients, normalised_cost
from spoofcache.metrics.det import FloatArray, det_curve, equal_error_rate

WIDE_FROM = 0.4
"""Equal error rates above this need axes that go up to 100 %; below, axes end at one of DET_ENDS."""
SHARES = (0, 1, 5, 10, 20, 40, 60, 80, 100)
"""Ticks of a square-root axis, on which the tails where errors happen are seen beside the bulk."""
MOST_BINS = 80
SMALLEST = 1e-16
"""Probabilities are drawn no nearer to 0 and 1 than this: float64 has no 1 − 1e-17."""
LEAST_COST, MOST_COST = 1e-4, 1.3
"""A t-DCF of 0 has no place on a logarithmic axis: it is drawn on the frame. Above 1 there is nothing to see."""


@styled
def draw_histogram(evaluated: EvaluationSet, title: str, path: Path) -> None:
    """Draw the histogram of the first system's scores as a PNG file; see `histograms`."""
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(printable(title), fontsize=11)
    scores = next(iter(evaluated.systems.values()))
    _histogram_panel(axes, scores, evaluated.trials.is_bonafide, SYSTEM_COLOURS[0])
    axes.legend()
    save(figure, path, format="png", dpi=150)


@styled
def histograms(evaluated: EvaluationSet) -> str:
    """Draw a panel for each system, with the histograms of both classes as shares of their trials, as SVG text.

    The EER threshold is marked. Scores that all lie within [0, 1] are drawn as log-odds, since a saturated soft-max
    would otherwise show nothing but two spikes.
    """
    figure, panels = panels_of(evaluated.systems, most_columns=3, height=lambda width: 0.45 * width + 0.9)
    for axes, style, scores in zip(panels, styles_of(evaluated.systems), evaluated.systems.values(), strict=True):
        eer_label = _histogram_panel(axes, scores, evaluated.trials.is_bonafide, style["color"])
        axes.set_title(axes.get_title(loc="left"), fontsize=9.5, fontweight="bold", pad=18)
        axes.text(0, 1.02, eer_label, transform=axes.transAxes, fontsize=8.5)
    return as_svg(figure)


@styled
def tdcf_curves(evaluated: EvaluationSet, tdcf: Coefficients) -> str:
    """Draw the normalised t-DCF of all systems over the share of rejected bona fide trials, as SVG text.

    This share, unlike the scores, has the same meaning for all systems. Of the thresholds that reject the same share,
    the best one is drawn. The minimum is marked.
    """
    figure, axes = picture_with_legend(height=4.8)
    is_bonafide, minima = evaluated.trials.is_bonafide, []
    lowest = lowest_rate(is_bonafide)
    for style, (system, scores) in zip(styles_of(evaluated.systems), evaluated.systems.items(), strict=True):
        curve = det_curve(scores[is_bonafide], scores[~is_bonafide])
        last = np.append(np.diff(curve.frr) > 0, True)  # of equal P_miss: where P_fa is smallest
        p_miss, cost = curve.frr[last], normalised_cost(curve, tdcf)[last]
        best, places = int(np.argmin(cost)), normal_deviate(p_miss, lowest)
        minima.append((float(cost[best]), float(p_miss[best])))
        drawn, height = visible_moves(places[np.newaxis]), np.maximum(cost, LEAST_COST)
        axes.plot(places[drawn], height[drawn], **line_of(style), linewidth=1.7)
        axes.plot(places[best], height[best], **point_of(style), zorder=4, clip_on=False)
        axes.plot([], [], **style, label=f"{wrapped(system)}\n{cost[best]:.4f}")
    _tdcf_axes(axes, lowest, min(minima)[0], wide=max(p_miss for _, p_miss in minima) > WIDE_FROM)
    figure.legend(loc="outside right upper", title="Minimum", alignment="left")
    return as_svg(figure)


@styled
def figures_by_group(comparison: Comparison, column: str) -> str:
    """Draw the first two measures of each group of a column, with dots for systems and whiskers for intervals, as SVG.

    The axes are logarithmic; a value of 0 is drawn on the frame.
    """
    groups, measures = comparison.by[column], measures_of_groups(comparison, column)[:2]
    styles = dict(zip(comparison.pooled.figures, styles_of(comparison.pooled.figures), strict=True))
    row_height = 0.15 + 0.055 * len(styles)
    figure = Figure(figsize=(WIDTH, 1.1 + 0.2 * len(styles) + row_height * len(groups)), layout="constrained")
    panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    for axes, measure in zip(panels, measures, strict=True):
        _group_panel(axes, groups, measure, styles)
        axes.set_title(MEASURES[measure].title + (" (%)" if MEASURES[measure].percent else ""))
    panels[0].set_yticks(range(len(groups)), [wrapped(group, 24) for group in groups])
    panels[0].set_ylim(len(groups) - 0.5, -0.5)
    handles = [panels[0].plot([], [], **style, label=wrapped(system, 90))[0] for system, style in styles.items()]
    figure.legend(handles=handles, loc="outside upper left", ncols=1 if max(map(len, styles)) > 32 else 2)
    return as_svg(figure)


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
        axes.plot(value, rows, **point_of(style) | {"markersize": 4.5, "markeredgewidth": 1.3}, clip_on=False)
    axes.set_xscale("log")
    axes.set_xlim(floor, ceiling)
    ticks = log_ticks(floor, ceiling, most=6)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
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


def _tdcf_axes(axes: Axes, lowest: float, smallest: float, wide: bool) -> None:
    deviate_axis(axes.xaxis, axes.set_xlim, lowest, 1 - lowest if wide else 0.5)
    axes.set_yscale("log")
    floor = max(smallest / 1.5, LEAST_COST)
    axes.set_ylim(floor, MOST_COST)
    axes.set_yticks(log_ticks(floor, MOST_COST), [f"{tick:g}" for tick in log_ticks(floor, MOST_COST)])
    axes.minorticks_off()
    axes.axhline(1, color=INK, linewidth=0.8, linestyle=":", zorder=1)
    axes.set_xlabel("bona fide rejected (%)")
    axes.set_ylabel("normalised t-DCF")


def _log_odds(probabilities: FloatArray) -> FloatArray:
    inside = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
    return np.log(inside) - np.log1p(-inside)

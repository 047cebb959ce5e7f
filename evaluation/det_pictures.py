"""Pictures of detection error trade-off (DET) curves, as SVG text or as a PNG file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spoofcache.evaluation.drawing import (
    FAINT,
    INK,
    SYSTEM_COLOURS,
    as_svg,
    deviate_axis,
    line_of,
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
from spoofcache.evaluation.grids import printable
from spoofcache.evaluation.trials import TrialList
from spoofcache.metrics.det import DetCurve, FloatArray, det_curve, equal_error_rate_of

HARDEST = ("-", (0, (5, 1.5)), (0, (1, 1.2)))
"""Line styles of the attacks with the highest equal error rates, worst first; the other attacks are drawn faintly."""
DET_ENDS = (0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999)
"""Rates at which axes may end; curves that reach further need axes up to 100 %."""


@styled
def draw_det(evaluated: EvaluationSet, title: str, path: Path) -> None:
    """Draw the DET curves of the first system, pooled and per attack, as a PNG file; see `det_curves_by_attack`."""
    figure = Figure(figsize=(6.4, 7.2), layout="constrained")  # without pyplot there is no global state
    axes = figure.add_subplot()
    axes.set_title(printable(title), fontsize=11)
    scores = next(iter(evaluated.systems.values()))
    reach = _attack_panel(axes, scores, evaluated.trials, SYSTEM_COLOURS[0])
    _attack_axes(axes, lowest_rate(evaluated.trials.is_bonafide), reach)
    save(figure, path, format="png", dpi=150)


@styled
def det_curves(evaluated: EvaluationSet) -> str:
    """Draw the DET curves of all systems on normal-deviate axes, with each equal error rate marked, as SVG text.

    Both axes are scaled by the inverse of the normal distribution, so that Gaussian scores give straight lines
    (Martin et al., "The DET curve in assessment of detection task performance", Eurospeech 1997). A rate of 0
    has no place on such an axis: it is drawn on the frame.
    """
    figure, axes = picture_with_legend(height=5.6)
    is_bonafide = evaluated.trials.is_bonafide
    lowest, reaches = lowest_rate(is_bonafide), []
    for style, (system, scores) in zip(styles_of(evaluated.systems), evaluated.systems.items(), strict=True):
        curve = det_curve(scores[is_bonafide], scores[~is_bonafide])
        rate = equal_error_rate_of(curve).rate
        reaches.append(_reach(curve, lowest))
        meeting = normal_deviate(np.array([rate]), lowest)
        _det_line(axes, curve, lowest, **line_of(style), linewidth=1.7)
        axes.plot(meeting, meeting, **point_of(style), zorder=4, clip_on=False)
        axes.plot([], [], **style, label=f"{wrapped(system)}\n{100 * rate:.2f} %")
    _det_axes(axes, lowest, max(reaches))
    figure.legend(loc="outside right upper", title="Equal error rate", alignment="left")
    return as_svg(figure)


@styled
def det_curves_by_attack(evaluated: EvaluationSet) -> str:
    """Draw a panel for each system, with the DET curves of all its trials and of each attack, as SVG text."""
    figure, panels = panels_of(evaluated.systems, most_columns=2, height=lambda width: width + 1.0)
    reach = max(
        _attack_panel(axes, scores, evaluated.trials, style["color"])
        for axes, style, scores in zip(panels, styles_of(evaluated.systems), evaluated.systems.values(), strict=True)
    )
    for axes in panels:
        _attack_axes(axes, lowest_rate(evaluated.trials.is_bonafide), reach)
    return as_svg(figure)


def _attack_panel(axes: Axes, scores: FloatArray, trials: TrialList, colour: str) -> float:
    """Draw the pooled curve thick, each of the hardest attacks with a line of its own, the others faintly.

    Returns:
        How far the axes must reach to show all of these curves.
    """
    is_bonafide, attacks = trials.is_bonafide, trials.columns["attack"]
    lowest = lowest_rate(is_bonafide)
    pooled = det_curve(scores[is_bonafide], scores[~is_bonafide])
    curves = {
        str(attack): det_curve(scores[is_bonafide], scores[~is_bonafide & (attacks == attack)])
        for attack in np.unique(attacks[~is_bonafide])
    }
    rate = equal_error_rate_of(pooled).rate
    _det_line(axes, pooled, lowest, color=colour, linewidth=2.2, zorder=3, label=_rate("pooled", rate))
    if len(curves) > 1:
        _attack_lines(axes, curves, lowest)
    meeting = normal_deviate(np.array([rate]), lowest)
    axes.plot(meeting, meeting, "o", color=colour, markersize=6, markerfacecolor="white", zorder=4, clip_on=False)
    return max(_reach(curve, lowest) for curve in (pooled, *curves.values()))


def _attack_lines(axes: Axes, curves: Mapping[str, DetCurve], lowest: float) -> None:
    rates = {attack: equal_error_rate_of(curve).rate for attack, curve in curves.items()}
    worst_first = sorted(rates, key=lambda attack: -rates[attack])
    for attack, line in zip(worst_first, HARDEST, strict=False):
        look = {"color": INK, "linestyle": line, "linewidth": 1.1, "zorder": 2.5}
        _det_line(axes, curves[attack], lowest, **look, label=_rate(attack, rates[attack]))
    others = worst_first[len(HARDEST) :]
    for attack in others:
        label = f"{len(others)} more attack{'s' * (len(others) > 1)}" if attack == others[0] else None
        _det_line(axes, curves[attack], lowest, color=FAINT, linewidth=0.9, label=label)


def _attack_axes(axes: Axes, lowest: float, reach: float) -> None:
    _det_axes(axes, lowest, reach)
    longest = max(len(label) for label in axes.get_legend_handles_labels()[1])
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (-0.02, -0.14)}  # beneath: there it hides no curve
    axes.legend(**place, title="Equal error rate", alignment="left", fontsize=8, ncols=1 if longest > 18 else 2)


def _rate(name: str, rate: float) -> str:
    return f"{wrapped(name, 32)}   {100 * rate:.2f} %"


def _det_line(axes: Axes, curve: DetCurve, lowest: float, **style: Any) -> None:
    places = normal_deviate(np.stack((curve.far, curve.frr)), lowest)
    axes.plot(*places[:, visible_moves(places)], **style)


def _reach(curve: DetCurve, lowest: float) -> float:
    """The highest rate of a curve before it runs along the frame, where its other rate is at most `lowest`."""
    return float(max(curve.far[curve.frr <= lowest].min(), curve.frr[curve.far <= lowest].min()))


def _det_axes(axes: Axes, lowest: float, reach: float) -> None:
    """Axes that show curves as far as they `reach`."""
    ends = [end for end in (*DET_ENDS, 1 - lowest) if end >= reach and end >= 4 * lowest]
    highest = min(ends, default=1 - lowest)
    for axis, set_limits in ((axes.xaxis, axes.set_xlim), (axes.yaxis, axes.set_ylim)):
        deviate_axis(axis, set_limits, lowest, highest)
    axes.axline((0, 0), slope=1, color=FAINT, linewidth=0.8, linestyle=":", zorder=1)
    axes.set_box_aspect(1)
    axes.set_xlabel("spoof accepted (%)")
    axes.set_ylabel("bona fide rejected (%)")

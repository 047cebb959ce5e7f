"""Pictures of an evaluation, as PNG: the DET curve and the histogram of the scores."""

from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metrics.det import FloatArray, det_curve, equal_error_rate
from metrics.scores import CmScores

BONAFIDE_COLOUR, SPOOF_COLOUR, INK, FAINT = "#2171b5", "#e0701b", "#222222", "#c3c8d0"
HARDEST_COLOURS = ("#d7301f", "#fc8d59", "#9e6ebd")
"""Of the attacks with the highest equal error rates, worst first; the other attacks are drawn faintly."""
DET_TICKS = (0.0001, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
WIDE_DET_TICKS = (0.0001, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999)
"""For detectors near or below chance."""
MOST_BINS = 80
SMALLEST = 1e-16
"""Probabilities are drawn no nearer to 0 and 1 than this: float64 has no 1 − 1e-17."""


def draw_det(cm: CmScores, title: str, path: Path) -> None:
    """DET curves, pooled and per attack, on normal-deviate axes, with the pooled equal error rate marked.

    Both axes are warped by the inverse of the normal distribution, so that Gaussian scores give straight lines
    (Martin et al., "The DET curve in assessment of detection task performance", Eurospeech 1997). A rate of 0
    has no place on such an axis: it is drawn on the frame.
    """
    figure, axes = _figure(title, width=6.4, height=6.6)
    spoof_by_attack = cm.spoof_by_attack()
    eers = {attack: equal_error_rate(cm.bonafide, spoof).rate for attack, spoof in spoof_by_attack.items()}
    pooled = equal_error_rate(cm.bonafide, cm.spoof).rate
    lowest = float(np.clip(0.5 / max(cm.bonafide.size, cm.spoof.size), DET_TICKS[0], 0.1))
    worst = max(pooled, *eers.values())
    pooled_style = {"color": INK, "linewidth": 2.2, "zorder": 3, "label": _rate("pooled", pooled)}
    _det_line(axes, cm.bonafide, cm.spoof, lowest, **pooled_style)
    worst_first = sorted(eers, key=lambda attack: -eers[attack]) if len(eers) > 1 else []
    hardest, others = worst_first[: len(HARDEST_COLOURS)], worst_first[len(HARDEST_COLOURS) :]
    for attack, colour in zip(hardest, HARDEST_COLOURS, strict=False):
        style = {"color": colour, "linewidth": 1.2, "zorder": 2.5, "label": _rate(attack, eers[attack])}
        _det_line(axes, cm.bonafide, spoof_by_attack[attack], lowest, **style)
    for attack in others:
        label = f"{len(others)} more attacks" if attack == others[0] else None
        _det_line(axes, cm.bonafide, spoof_by_attack[attack], lowest, color=FAINT, linewidth=1.0, label=label)
    meeting = _normal_deviate(np.array([pooled]), lowest)
    axes.plot(meeting, meeting, "o", color=INK, markersize=7, markerfacecolor="white", zorder=4, clip_on=False)
    _det_axes(axes, lowest, wide=worst > 0.4)
    legend = axes.legend(title="equal error rate", edgecolor="none", framealpha=0.9, loc="upper right")
    if worst > 0.1:  # the curves leave the other corner free
        legend.set_loc("lower left")
    figure.savefig(path, format="png", dpi=150)


def draw_histogram(cm: CmScores, title: str, path: Path) -> None:
    """Histogram of both classes, each as a share of its own trials, with the EER threshold marked.

    Scores that all lie within [0, 1] are drawn as log-odds: a saturated soft-max would otherwise be two spikes.
    """
    figure, axes = _figure(title, width=7.2, height=4.4)
    eer = equal_error_rate(cm.bonafide, cm.spoof)
    probabilities = bool(cm.scores.min() >= 0 and cm.scores.max() <= 1)
    place = _log_odds if probabilities else np.asarray
    n_bins = int(np.clip(2 * np.sqrt(min(cm.bonafide.size, cm.spoof.size)), 10, MOST_BINS))
    edges = np.histogram_bin_edges(place(cm.scores), n_bins)
    for name, scores, colour in (("spoof", cm.spoof, SPOOF_COLOUR), ("bona fide", cm.bonafide, BONAFIDE_COLOUR)):
        shares = 100 * np.histogram(place(scores), edges)[0] / scores.size
        axes.stairs(shares, edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(shares, edges, color=colour, linewidth=1.4, label=f"{name} ({scores.size:,})")
    axes.axvline(
        float(place(np.array(eer.threshold))),
        color=INK,
        linestyle="--",
        linewidth=1.2,
        label=f"EER {100 * eer.rate:.2f} % at {eer.threshold:.4g}",
    )
    axes.set_xlabel("score s, drawn as log-odds ln(s / (1 − s)), at most ±37" if probabilities else "score")
    axes.set_ylabel("share of the class (%)")
    axes.margins(x=0.01)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    figure.savefig(path, format="png", dpi=150)


def _figure(title: str, width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")  # without pyplot there is no global state
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11, loc="left", parse_math=False)  # a file name, not a formula
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e6e8ec", linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def _rate(name: str, rate: float) -> str:
    return f"{name}   {100 * rate:.2f} %"


def _det_line(axes: Axes, bonafide: FloatArray, spoof: FloatArray, lowest: float, **style: Any) -> None:
    curve = det_curve(bonafide, spoof)
    axes.plot(_normal_deviate(curve.far, lowest), _normal_deviate(curve.frr, lowest), **style)


def _det_axes(axes: Axes, lowest: float, wide: bool) -> None:
    highest = 1 - lowest if wide else 0.5
    rates = [rate for rate in (WIDE_DET_TICKS if wide else DET_TICKS) if lowest <= rate <= highest]
    places = _normal_deviate(np.array(rates), lowest)
    labels = [f"{100 * rate:g}" for rate in rates]
    limits = _normal_deviate(np.array([lowest, highest]), lowest)
    for axis, set_limits in ((axes.xaxis, axes.set_xlim), (axes.yaxis, axes.set_ylim)):
        axis.set_ticks(places, labels)
        set_limits(*limits)
    axes.axline((0, 0), slope=1, color=FAINT, linewidth=0.8, linestyle=":", zorder=1)
    axes.set_aspect("equal")
    axes.set_xlabel("spoof accepted (%)")
    axes.set_ylabel("bona fide rejected (%)")


def _normal_deviate(rates: FloatArray, lowest: float) -> FloatArray:
    """Inverse of the normal distribution, where 0 and 1 become `lowest` and 1 − `lowest`."""
    values, places = np.unique(np.clip(rates, lowest, 1 - lowest), return_inverse=True)
    deviates = np.array([NormalDist().inv_cdf(value) for value in values.tolist()])
    return deviates[places]


def _log_odds(probabilities: FloatArray) -> FloatArray:
    inside = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
    return np.log(inside) - np.log1p(-inside)

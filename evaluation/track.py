"""The picture of a recording's scores over time, as a PNG file."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from spoofcache.evaluation.grids import printable


@matplotlib.rc_context({"text.parse_math": False})  # titles are file names, not formulas
def draw_track(
    times: Sequence[float], scores: Sequence[float], title: str, path: Path, threshold: float | None = None
) -> None:
    """Draw the scores [W] over the middles of their windows, `times` [W] in seconds, and the threshold, if any."""
    figure = Figure(figsize=(8.6, 3.2), layout="constrained")  # without pyplot there is no global state
    axes = figure.add_subplot()
    axes.plot(times, scores, color="#0072B2", marker="o", markersize=3.5, linewidth=1.4)
    if threshold is not None:
        axes.axhline(threshold, color="#222222", linestyle="--", linewidth=0.9)
    axes.set_title(printable(title), fontsize=10.5, loc="left")
    axes.set_xlabel("Middle of the window (s)")
    axes.set_ylabel("Score (higher = more bona fide)")
    axes.grid(color="#e6e8ec", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # a name in a foreign script: drawn as boxes
        figure.savefig(path, format="png", dpi=150)

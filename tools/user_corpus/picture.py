"""Draw a survey: one panel for each property that varies, with both classes in it and the leaks marked."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from spoofcache.evaluation.drawing import INK, SPOOF_COLOUR, STYLE, SYSTEM_COLOURS
from spoofcache.tools.user_corpus.audio import QUANTITIES
from spoofcache.tools.user_corpus.leaks import CLASS_NAMES, KEYS, Counts, FloatArray, percent, short
from spoofcache.tools.user_corpus.survey import Survey

COLOURS = (SYSTEM_COLOURS[0], SPOOF_COLOUR)
"""Colours of the classes in the order of KEYS, the same as in the score histograms."""
LEAK_COLOUR = SYSTEM_COLOURS[1]
N_COLUMNS = 3
WIDTH, HEADING_HEIGHT, HISTOGRAM_HEIGHT, BAR_HEIGHT, AROUND_BARS = 12.0, 1.0, 2.4, 0.3, 0.9
"""Sizes in inches of the picture, its heading, a histogram, a value's pair of bars, and the title and axis of bars."""
MOST_BARS, NAME_LENGTH, HEADING_LENGTH = 8, 24, 100
INSIDE = (0.005, 0.995)
"""Quantiles of all files that limit a histogram; values outside of them are counted in its first and last bin."""
MOST_BINS = 40


@matplotlib.rc_context(STYLE)
def draw(survey: Survey, path: Path) -> None:
    """Write the survey as a PNG file: histograms for numbers, bars for names, each class as a share of its own files.

    Properties that are the same in all files are listed in the heading instead of having a panel.
    """
    varying = {name: counts for name, counts in survey.kinds.items() if len(counts.values) > 1}
    heights = [HISTOGRAM_HEIGHT * -(-len(survey.quantities) // N_COLUMNS), *_bar_heights(list(varying.items()))]
    figure = Figure(figsize=(WIDTH, HEADING_HEIGHT + sum(heights)), layout=ConstrainedLayoutEngine(h_pad=0.1))
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, hspace=0.02, squeeze=False).ravel()
    for axes, (name, numbers) in zip(_panels(parts[0], len(survey.quantities)), survey.quantities.items(), strict=True):
        _histogram(axes, [numbers[key] for key in KEYS], QUANTITIES[name].unit)
        _title(axes, name, survey)
    for part, row in zip(parts[1:], _rows(list(varying.items())), strict=True):
        for axes, (name, counts) in zip(_panels(part, len(row)), row, strict=True):
            _bars(axes, counts)
            _title(axes, name, survey)
    figure.suptitle("\n".join(_heading(survey)), x=0.01, ha="left", fontsize=11)
    handles = [*(Patch(color=colour, alpha=0.8) for colour in COLOURS), Line2D([], [], color=INK, linestyle="--")]
    figure.legend(handles, [*(CLASS_NAMES[key] for key in KEYS), "median"], loc="upper right", ncols=3, fontsize=10)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # characters that the font lacks are drawn as boxes
        figure.savefig(path, format="png", dpi=120)


def _rows(kinds: Sequence[tuple[str, Counts]]) -> list[Sequence[tuple[str, Counts]]]:
    return [kinds[start : start + N_COLUMNS] for start in range(0, len(kinds), N_COLUMNS)]


def _bar_heights(kinds: Sequence[tuple[str, Counts]]) -> list[float]:
    most = [max(min(len(counts.values), MOST_BARS + 1) for _, counts in row) for row in _rows(kinds)]
    return [AROUND_BARS + BAR_HEIGHT * n_bars for n_bars in most]


def _panels(part: FigureBase, n_panels: int) -> list[Axes]:
    """Panels side by side. Each part has its own layout, so that long names narrow only the panels of their row."""
    panels = part.subplots(-(-n_panels // N_COLUMNS), N_COLUMNS, squeeze=False).ravel().tolist()
    for unused in panels[n_panels:]:
        unused.remove()
    return panels[:n_panels]


def _heading(survey: Survey) -> Iterator[str]:
    counts = " and ".join(f"{survey.files.get(key, 0):,} {CLASS_NAMES[key]}" for key in KEYS)
    faults = [f"{len(files):,} {name}" for name, files in survey.faults._asdict().items() if files]
    yield f"{counts} files; {', '.join(faults) if faults else 'no faulty file'}"
    if survey.leaks:
        yield f"Leaks: {short(', '.join(dict.fromkeys(leak.property for leak in survey.leaks)), HEADING_LENGTH)}"
    same = [f"{name} {counts.values[0]}" for name, counts in survey.kinds.items() if len(counts.values) == 1]
    if same:
        yield short(f"The same in all files: {', '.join(same)}", HEADING_LENGTH)


def _title(axes: Axes, name: str, survey: Survey) -> None:
    strength = max((leak.strength for leak in survey.leaks if leak.property == name), default=None)
    if strength is None:
        axes.set_title(short(name, NAME_LENGTH), fontweight="bold", color=INK)
    else:
        measure = f"AUC {strength:.2f}" if name in QUANTITIES else f"{percent(strength)} guessed"
        axes.set_title(f"{short(name, NAME_LENGTH)}: leak, {measure}", fontweight="bold", color=LEAK_COLOUR)


def _histogram(axes: Axes, classes: Sequence[FloatArray], unit: str) -> None:
    """Draw the histograms of both classes, and their medians as lines."""
    together = np.concatenate(classes)
    axes.set_xlabel(unit)
    axes.set_ylabel("files (%)")
    if not together.size:
        return
    low, high = np.quantile(together, INSIDE)
    if low == high:
        low, high = low - 0.5, high + 0.5
    smallest = min(numbers.size for numbers in classes if numbers.size)
    edges = np.linspace(low, high, 1 + int(np.clip(2 * np.sqrt(smallest), 10, MOST_BINS)))
    for numbers, colour in zip(classes, COLOURS, strict=True):
        if numbers.size:
            shares = 100 * np.histogram(np.clip(numbers, low, high), edges)[0] / numbers.size
            axes.stairs(shares, edges, fill=True, color=colour, alpha=0.35)
            axes.stairs(shares, edges, color=colour, linewidth=1.4)
            axes.axvline(float(np.clip(np.median(numbers), low, high)), color=colour, linestyle="--", linewidth=1.2)


def _bars(axes: Axes, counts: Counts) -> None:
    """Draw a pair of bars for each of the most frequent values, and one pair for all other values together."""
    n_more = len(counts.values) - MOST_BARS
    values = [short(value, NAME_LENGTH) for value in counts.values[:MOST_BARS]]
    values += [f"{n_more} more"] if n_more > 0 else []
    places = np.arange(len(values))
    for offset, numbers, colour in ((-0.2, counts.bonafide, COLOURS[0]), (0.2, counts.spoof, COLOURS[1])):
        shown = [*numbers[:MOST_BARS], *([numbers[MOST_BARS:].sum()] if n_more > 0 else [])]
        axes.barh(places + offset, 100 * np.array(shown) / max(numbers.sum(), 1), 0.4, color=colour, alpha=0.8)
    axes.set_yticks(places, values)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("files (%)")

"""A picture of a genotype: one drawing for each kind of cell."""

import math
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spoofcache.common.files import atomic_path
from spoofcache.models.light_darts import KINDS, NODES, Genotype

Place = tuple[float, float]

PICTURE = "cells.png"
NAMES = ("cell k−2", "cell k−1", *(str(node + 1) for node in range(NODES)), "cell k")
"""Labels of the states, followed by that of the cell's output, which concatenates the nodes."""
PLACES = tuple(
    (2.6 * math.cos(math.radians(angle)), math.sin(math.radians(angle))) for angle in (155, 205, 110, 250, 60, 300, 0)
)
"""Positions on an ellipse, so that a straight line between two of them passes through no other one."""
COLOURS = {"max": "#D55E00", "avg": "#CC79A7", "skip": "#555555", "sep": "#0072B2", "dil": "#009E73"}
"""Colour by the first word of an operation, from the palette of Okabe and Ito (2008)."""
INK, FAINT = "#222222", "#c3c8d0"


def draw_cells(path: Path, genotype: Genotype, space: str) -> None:
    """Write the picture of a genotype of space `light` or `pc` as a PNG file."""
    figure = Figure(figsize=(11, 10), layout="constrained")
    for axes, kind in zip(figure.subplots(len(KINDS)), KINDS, strict=True):
        _draw_cell(axes, [(str(name), int(state)) for name, state in genotype[kind]], space)
        axes.set_title(f"{kind} cell", loc="left", fontsize=13, color=INK)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def _draw_cell(axes: Axes, pairs: list[tuple[str, int]], space: str) -> None:
    """Draw a labelled arrow from state to node for each operation, and grey arrows from the nodes to the output."""
    edges = [(state, 2 + position // 2) for position, (_, state) in enumerate(pairs)]
    gathering = [(2 + node, 2 + NODES) for node in range(NODES)]
    for edge in gathering:
        _arrow(axes, edge, FAINT)
    labels: list[Place] = []
    for edge, (name, _) in zip(edges, pairs, strict=True):
        colour = COLOURS[name.partition("_")[0]]
        _arrow(axes, edge, colour)
        lines = [place for other in edges + gathering if other != edge for place in _along(other, 0, 1)]
        labels.append(max(_along(edge, 0.35, 0.65), key=lambda place: _distance(place, [*labels, *lines, *PLACES])))
        box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"}
        axes.text(*labels[-1], _label(name, space), color=colour, ha="center", va="center", fontsize=10, bbox=box)
    for name, place in zip(NAMES, PLACES, strict=True):
        box = {"boxstyle": "round,pad=0.45", "facecolor": "#f2f4f7", "edgecolor": INK}
        axes.text(*place, name, ha="center", va="center", fontsize=12, color=INK, bbox=box, zorder=4)
    axes.set(xlim=(-3.1, 3.1), ylim=(-1.2, 1.2))
    axes.axis("off")


def _arrow(axes: Axes, edge: tuple[int, int], colour: str) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "lw": 1.8, "shrinkA": 16, "shrinkB": 16}
    axes.annotate("", PLACES[edge[1]], PLACES[edge[0]], arrowprops=style, zorder=1)


def _along(edge: tuple[int, int], first: float, last: float) -> list[Place]:
    """Positions on an arrow between two fractions of its length."""
    (x0, y0), (x1, y1) = PLACES[edge[0]], PLACES[edge[1]]
    return [(x0 + share * (x1 - x0), y0 + share * (y1 - y0)) for share in np.linspace(first, last, 26)]


def _distance(place: Place, others: list[Place]) -> float:
    """Distance to the nearest of the others, measured in the size of a label, which is five times as wide as high."""
    return min(math.hypot((place[0] - x) / 5, place[1] - y) for x, y in others)


def _label(name: str, space: str) -> str:
    """The label of an operation: `sep_conv_3x3` becomes `MFM sep conv 3×3`, without MFM in space `pc`."""
    words = name.replace("_", " ").replace("3x3", "3×3").replace("5x5", "5×5")
    return f"MFM {words}" if space == "light" and "conv" in words else words

"""Write a survey as text for a terminal and as JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from spoofcache.tools.user_corpus.audio import QUANTITIES
from spoofcache.tools.user_corpus.leaks import CLASS_NAMES, KEYS, MIN_DIFFERENCE, Counts, FloatArray, percent, short
from spoofcache.tools.user_corpus.survey import Survey

QUANTILES: Mapping[str, float] = {"shortest": 0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "longest": 1}
MOST_VALUES, MOST_FILES, NAME_LENGTH = 8, 10, 40
"""Limits of the text: values of a column, files with one fault, characters of a name. JSON has no limits."""
FAULTS: Mapping[str, tuple[str, str]] = {
    "missing": ("missing file", ""),
    "unreadable": ("unreadable file", ""),
    "silent": ("silent file", ""),
    "clipped": ("clipped file", ""),
    "duplicates": ("group", " of files with the same samples"),
    "contradictions": ("group", " of files with the same samples and both labels"),
}
"""Field of Faults → the noun for one of them, and what follows the noun and its plural `s`."""
NOTHING = "–"


class Row(NamedTuple):
    """A line of the table; without cells, it is a heading."""

    name: str
    cells: Sequence[str] = ()


def as_text(survey: Survey) -> str:
    """A table with the classes side by side, followed by the faulty files and the leaks in sentences."""
    rows = [Row("", [CLASS_NAMES[key] for key in KEYS]), *_rows(survey)]
    width = max(len(row.name) for row in rows)
    cell = max((len(text) for row in rows for text in row.cells), default=0)
    lines = [f"{row.name:<{width}}" + "".join(f"  {text:>{cell}}" for text in row.cells) for row in rows]
    return "\n".join([*(line.rstrip() for line in lines), "", *_fault_lines(survey), *_leak_lines(survey)])


def _rows(survey: Survey) -> Iterator[Row]:
    yield Row("files", [f"{survey.files.get(key, 0):,}" for key in KEYS])
    seconds = survey.quantities["duration"]
    yield Row("hours", [f"{seconds[key].sum() / 3600:.2f}" for key in KEYS])
    yield Row("duration")
    for name, q in QUANTILES.items():
        yield Row(f"  {name}", [_quantile(seconds[key], q, "s") for key in KEYS])
    yield Row("medians")
    for name, numbers in survey.quantities.items():
        if name != "duration":
            yield Row(f"  {name}", [_quantile(numbers[key], 0.5, QUANTITIES[name].unit) for key in KEYS])
    for name, counts in survey.kinds.items():
        yield Row(name)
        yield from _values(counts)


def _quantile(numbers: FloatArray, q: float, unit: str) -> str:
    return f"{np.quantile(numbers, q):.2f} {unit}" if numbers.size else NOTHING


def _values(counts: Counts) -> Iterator[Row]:
    rest = len(counts.values) - MOST_VALUES
    for value, *numbers in zip(counts.values[:MOST_VALUES], counts.bonafide, counts.spoof, strict=False):
        yield Row(f"  {short(value, NAME_LENGTH)}", _shares(numbers, counts))
    if rest > 0:
        others = counts.bonafide[MOST_VALUES:].sum(), counts.spoof[MOST_VALUES:].sum()
        yield Row(f"  {rest} more", _shares(others, counts))


def _shares(numbers: Sequence[int], counts: Counts) -> list[str]:
    totals = counts.bonafide.sum(), counts.spoof.sum()
    return [f"{n:,} {percent(n / total):>6}" if total else NOTHING for n, total in zip(numbers, totals, strict=True)]


def _fault_lines(survey: Survey) -> Iterator[str]:
    for name, (noun, which) in FAULTS.items():
        found = getattr(survey.faults, name)
        if not found:
            continue
        yield f"{len(found):,} {noun}{'s' * (len(found) > 1)}{which}"
        for item in list(found)[:MOST_FILES]:
            yield f"  {_fault(item, found)}"
        if len(found) > MOST_FILES:
            yield f"  and {len(found) - MOST_FILES:,} more"
    if not any(survey.faults):
        yield "No file is missing, unreadable, silent, clipped or a duplicate"


def _fault(item: Any, found: Any) -> str:
    if isinstance(found, dict):
        return f"{item}: {found[item]}"
    return item if isinstance(item, str) else " = ".join(item)


def _leak_lines(survey: Survey) -> Iterator[str]:
    if not all(survey.files.get(key) for key in KEYS):
        yield "Leaks: not examined, because files of both classes are needed"
        return
    yield f"Leaks: {len(survey.leaks) or 'none'} (differences of at least {percent(MIN_DIFFERENCE)} are reported)"
    yield from (f"  {leak.sentence}" for leak in survey.leaks)


def as_json(survey: Survey) -> str:
    """Everything that the text shows, as JSON with all values, all files and no rounding."""
    quantities = {
        name: {"unit": QUANTITIES[name].unit, **{key: _quantiles(numbers[key]) for key in KEYS}}
        for name, numbers in survey.quantities.items()
    }
    kinds = {
        name: {
            value: {"bonafide": int(bonafide), "spoof": int(spoof)}
            for value, bonafide, spoof in zip(*counts, strict=True)
        }
        for name, counts in survey.kinds.items()
    }
    content = {
        "files": {key: survey.files.get(key, 0) for key in KEYS},
        "hours": {key: float(survey.quantities["duration"][key].sum() / 3600) for key in KEYS},
        "quantities": quantities,
        "kinds": kinds,
        "faults": survey.faults._asdict(),
        "leaks": [leak._asdict() for leak in survey.leaks],
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _quantiles(numbers: FloatArray) -> dict[str, float | None]:
    return {name: float(np.quantile(numbers, q)) if numbers.size else None for name, q in QUANTILES.items()}

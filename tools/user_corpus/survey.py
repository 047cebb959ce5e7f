"""Survey a data set class by class: its properties, its faulty files and its leaks."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from spoofcache.protocols.forms import column
from spoofcache.protocols.trial import UNKNOWN, Trial
from spoofcache.tools.user_corpus.audio import KINDS, QUANTITIES, Analysis, AudioProperties, Missing
from spoofcache.tools.user_corpus.leaks import KEYS, Counts, FloatArray, Leak, leak_of_quantity, leaks_of_kind

MOST_VALUES = 0.5
"""A column with more distinct values per file than this identifies files rather than describing them: it is omitted."""


class Faults(NamedTuple):
    """Faulty files, by their names in the list."""

    missing: list[str]
    unreadable: dict[str, str]
    """File → the reason."""
    silent: list[str]
    clipped: list[str]
    duplicates: list[list[str]]
    """Groups of files with the same samples."""
    contradictions: list[list[str]]
    """The groups of duplicates that contain files of both classes."""


@dataclass(frozen=True)
class Survey:
    """A data set, class by class. Audio properties cover the files that could be read, columns cover all files."""

    files: Mapping[str, int]
    """Key → number of files in the list."""
    quantities: Mapping[str, Mapping[str, FloatArray]]
    """Property → key → the number of each file. Of silent files, only the duration is included."""
    kinds: Mapping[str, Counts]
    """Property or column → number of files by value."""
    faults: Faults
    leaks: Sequence[Leak]
    """The leaks in decreasing order of their strength."""


def survey(trials: Sequence[Trial], analyses: Sequence[Analysis]) -> Survey:
    """Combine the columns of the trials with the analyses of their files."""
    readable = [
        (trial, analysis)
        for trial, analysis in zip(trials, analyses, strict=True)
        if isinstance(analysis, AudioProperties)
    ]
    quantities = {
        name: {key: _numbers(name, [file for trial, file in readable if trial.key == key]) for key in KEYS}
        for name in QUANTITIES
    }
    kinds = {name: _count((trial.key, kind(analysis)) for trial, analysis in readable) for name, kind in KINDS.items()}
    columns = {name: _count(zip((t.key for t in trials), column(trials, name), strict=True)) for name in names(trials)}
    surveyed = {
        f"column {name}" if name in (*KINDS, *QUANTITIES) else name: counts
        for name, counts in columns.items()
        if len(counts.values) <= MOST_VALUES * len(trials)
    }
    found = [leak_of_quantity(name, QUANTITIES[name].unit, *numbers.values()) for name, numbers in quantities.items()]
    leaks = [leak for leak in found if leak]
    leaks += [leak for name, counts in {**kinds, **surveyed}.items() for leak in leaks_of_kind(name, counts)]
    return Survey(
        Counter(trial.key for trial in trials),
        quantities,
        {**kinds, **surveyed},
        find_faults(trials, analyses),
        sorted(leaks, key=lambda leak: -leak.strength),
    )


def names(trials: Sequence[Trial]) -> list[str]:
    """The columns that are not empty: `speaker`, `attack`, and the conditions in alphabetical order."""
    fields = [name for name in ("speaker", "attack") if any(getattr(trial, name) != UNKNOWN for trial in trials)]
    return fields + sorted({name for trial in trials for name in trial.conditions})


def _numbers(name: str, readable: Sequence[AudioProperties]) -> FloatArray:
    audible = [h for h in readable if name == "duration" or not h.silent]
    return np.array([QUANTITIES[name].of(h) for h in audible], np.float64)


def _count(pairs: Iterable[tuple[str, str]]) -> Counts:
    """Count pairs of key and value by value, in decreasing order of frequency; unknown values are not counted."""
    counter = Counter((key, value) for key, value in pairs if value != UNKNOWN)
    total: Counter[str] = Counter()
    for (_, value), count in counter.items():
        total[value] += count
    values = sorted(total, key=lambda value: (-total[value], value))
    return Counts(values, *(np.array([counter[key, value] for value in values], np.int64) for key in KEYS))


def find_faults(trials: Sequence[Trial], analyses: Sequence[Analysis]) -> Faults:
    """Missing, unreadable, silent, clipped and duplicate files."""
    keys = {trial.utt_id: trial.key for trial in trials}
    named = {trial.utt_id: analysis for trial, analysis in zip(trials, analyses, strict=True)}
    readable = {name: analysis for name, analysis in named.items() if isinstance(analysis, AudioProperties)}
    same: dict[str, list[str]] = {}
    for name, analysis in readable.items():
        same.setdefault(analysis.digest, []).append(name)
    duplicates = [files for files in same.values() if len(files) > 1]
    return Faults(
        missing=[name for name, analysis in named.items() if isinstance(analysis, Missing)],
        unreadable={n: str(h) for n, h in named.items() if not isinstance(h, (AudioProperties, Missing))},
        silent=[name for name, analysis in readable.items() if analysis.silent],
        clipped=[name for name, analysis in readable.items() if analysis.clipped],
        duplicates=duplicates,
        contradictions=[files for files in duplicates if len({keys[name] for name in files}) > 1],
    )

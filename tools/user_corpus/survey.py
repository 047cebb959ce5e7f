"""What a data set consists of, class by class, what is wrong with its files, and what leaks."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from spoofcache.protocols.forms import column
from spoofcache.protocols.trial import UNKNOWN, Trial
from spoofcache.tools.user_corpus.audio import KINDS, QUANTITIES, Heard, Hearing, Missing
from spoofcache.tools.user_corpus.leaks import KEYS, Counts, FloatArray, Leak, leak_of_quantity, leaks_of_kind

MOST_VALUES = 0.5
"""A column with more values than this, per file, names files rather than kinds of them: it is not surveyed."""


class Faults(NamedTuple):
    """Files that want a look, by their names in the list."""

    missing: list[str]
    unreadable: dict[str, str]
    """And why."""
    silent: list[str]
    clipped: list[str]
    duplicates: list[list[str]]
    """Files with the same samples."""
    contradictions: list[list[str]]
    """Those among them that are of both classes."""


@dataclass(frozen=True)
class Survey:
    """A data set class by class; quantities and kinds are of the files that could be heard, columns of all."""

    files: Mapping[str, int]
    """Key → files listed."""
    quantities: Mapping[str, Mapping[str, FloatArray]]
    """Property → key → number of each file; silent files have none but a duration."""
    kinds: Mapping[str, Counts]
    """Property or column → files by value."""
    faults: Faults
    leaks: Sequence[Leak]
    """The strongest first."""


def survey(trials: Sequence[Trial], hearings: Sequence[Hearing]) -> Survey:
    """Bring together what is known and what was heard of each trial."""
    heard = [(trial, hearing) for trial, hearing in zip(trials, hearings, strict=True) if isinstance(hearing, Heard)]
    quantities = {
        name: {key: _numbers(name, [h for trial, h in heard if trial.key == key]) for key in KEYS}
        for name in QUANTITIES
    }
    kinds = {name: _count((trial.key, kind(hearing)) for trial, hearing in heard) for name, kind in KINDS.items()}
    columns = {name: _count(zip((t.key for t in trials), column(trials, name), strict=True)) for name in names(trials)}
    told = {
        f"column {name}" if name in (*KINDS, *QUANTITIES) else name: counts
        for name, counts in columns.items()
        if len(counts.values) <= MOST_VALUES * len(trials)
    }
    found = [leak_of_quantity(name, QUANTITIES[name].unit, *numbers.values()) for name, numbers in quantities.items()]
    leaks = [leak for leak in found if leak]
    leaks += [leak for name, counts in {**kinds, **told}.items() for leak in leaks_of_kind(name, counts)]
    return Survey(
        Counter(trial.key for trial in trials),
        quantities,
        {**kinds, **told},
        find_faults(trials, hearings),
        sorted(leaks, key=lambda leak: -leak.strength),
    )


def names(trials: Sequence[Trial]) -> list[str]:
    """The columns that say something of some trial: `speaker`, `attack`, and the conditions in alphabetical order."""
    fields = [name for name in ("speaker", "attack") if any(getattr(trial, name) != UNKNOWN for trial in trials)]
    return fields + sorted({name for trial in trials for name in trial.conditions})


def _numbers(name: str, heard: Sequence[Heard]) -> FloatArray:
    audible = [h for h in heard if name == "duration" or not h.silent]
    return np.array([QUANTITIES[name].of(h) for h in audible], np.float64)


def _count(pairs: Iterable[tuple[str, str]]) -> Counts:
    """Pairs of key and value → files by value, the commonest first; the unknown is no value."""
    counter = Counter((key, value) for key, value in pairs if value != UNKNOWN)
    total: Counter[str] = Counter()
    for (_, value), count in counter.items():
        total[value] += count
    values = sorted(total, key=lambda value: (-total[value], value))
    return Counts(values, *(np.array([counter[key, value] for value in values], np.int64) for key in KEYS))


def find_faults(trials: Sequence[Trial], hearings: Sequence[Hearing]) -> Faults:
    """Missing, unreadable, silent, clipped and duplicate files."""
    keys = {trial.utt_id: trial.key for trial in trials}
    named = {trial.utt_id: hearing for trial, hearing in zip(trials, hearings, strict=True)}
    heard = {name: hearing for name, hearing in named.items() if isinstance(hearing, Heard)}
    same: dict[str, list[str]] = {}
    for name, hearing in heard.items():
        same.setdefault(hearing.digest, []).append(name)
    duplicates = [files for files in same.values() if len(files) > 1]
    return Faults(
        missing=[name for name, hearing in named.items() if isinstance(hearing, Missing)],
        unreadable={n: str(h) for n, h in named.items() if not isinstance(h, (Heard, Missing))},
        silent=[name for name, hearing in heard.items() if hearing.silent],
        clipped=[name for name, hearing in heard.items() if hearing.clipped],
        duplicates=duplicates,
        contradictions=[files for files in duplicates if len({keys[name] for name in files}) > 1],
    )

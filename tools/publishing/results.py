"""The figures of one system in a file that `evaluate.py --json` wrote."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from spoofcache.common.errors import InputError
from spoofcache.evaluation.crosscorpus import BY_AVERAGE
from spoofcache.evaluation.figures import Figure
from spoofcache.evaluation.measures import MEASURES
from spoofcache.evaluation.runs import SEED_ENDING

LOCAL_PATH = re.compile(r"(?<!\S)(?:/|[^\s/]+/[^\s/]+/)\S+")
"""An absolute path, or one of at least two folders; `LA/train` is the name of a partition."""


class ResultsError(InputError):
    """The file has no figures of the system, or was not written by `evaluate.py --json`."""


@dataclass(frozen=True)
class Judged:
    """The figures of a system on one test set.

    Attributes:
        test_set: name of the test set.
        n_bonafide: number of its bona fide trials.
        n_spoof: number of its spoof trials.
        figures: measure → figure, for the measures of MEASURES that were computed. Rates are fractions.
        warnings: sentences on what makes the figures doubtful, without paths of the machine that made them.
    """

    test_set: str
    n_bonafide: int
    n_spoof: int
    figures: Mapping[str, Figure]
    warnings: tuple[str, ...] = ()

    @property
    def named_warnings(self) -> list[str]:
        """The warnings, each of which begins with the name of the test set."""
        start = f"{self.test_set}: "
        return [start + warning.removeprefix(start) for warning in self.warnings]


def read_results(path: Path, system: str | None, run: str) -> list[Judged]:
    """Read the figures of a system on every test set.

    Args:
        path: the file that `evaluate.py --json` wrote.
        system: name of the system in it; by default the only one, or else the one that is called like the run.
        run: name of the run folder.

    Raises:
        ResultsError: the file is not such a file, or has no such system.
    """
    try:
        tests = json.loads(path.read_text(encoding="utf-8"))["test_sets"]
        there = list(dict.fromkeys(name for test in tests for name in test["systems"]))
        chosen = _choose(path, there, system, run)
        return [_judged(test, chosen, there) for test in tests if chosen in test["systems"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, ResultsError):
            raise
        raise ResultsError(
            f"{path}: not the results of an evaluation; expected a file of evaluate.py --json"
        ) from error


def _choose(path: Path, there: Sequence[str], system: str | None, run: str) -> str:
    chosen = system or (there[0] if len(there) == 1 else run)
    if chosen not in there:
        raise ResultsError(f"{path}: no system {chosen}; expected --system with one of {', '.join(there) or 'none'}")
    return chosen


def _judged(test: Mapping[str, Any], system: str, there: Sequence[str]) -> Judged:
    figures = {name: _figure(fields) for name, fields in test["systems"][system].items() if name in MEASURES}
    counts = (test["n_bonafide"], test["n_spoof"])
    if not figures or not all(type(count) is int for count in counts):
        raise TypeError(f"no figures of {system} on {test['test_set']}")
    warnings = list(_warnings(test["warnings"], system, there))
    if any(BY_AVERAGE in note for note in test["notes"]):
        warnings.append("the figures are those of the averaged weights, which `score --checkpoint average` uses")
    return Judged(str(test["test_set"]), *counts, figures, tuple(warnings))


def _figure(fields: Mapping[str, Any]) -> Figure:
    figure = Figure(**fields)
    if any(type(value) not in (int, float, type(None)) for value in (figure.value, figure.low, figure.high)):
        raise TypeError(f"{fields}: not a figure")
    return figure


def _warnings(warnings: Sequence[str], system: str, there: Sequence[str]) -> Iterator[str]:
    """The warnings, without those on other systems, and with the last part of every path only."""
    own = (system, SEED_ENDING.sub("", system))
    others = {name for other in there for name in (other, SEED_ENDING.sub("", other))}.difference(own)
    for warning in warnings:
        if not any(warning.startswith(f"{other} ") for other in others):
            yield LOCAL_PATH.sub(lambda found: PurePath(found[0]).name, warning)

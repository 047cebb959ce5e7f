"""Score files × protocols → evaluation sets; development scores → calibrated and fused systems."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metrics.calibration import Calibration, fit_calibration
from metrics.comparison import EvaluationSet
from metrics.dcf import Coefficients, check_cost
from metrics.det import FloatArray, ScoreError
from metrics.scores import (
    AsvScores,
    ScoreFile,
    TrialList,
    align,
    check_attacks,
    read_asv_scores,
    read_scores,
    trial_list,
)
from protocols.forms import column, read_any_protocol, select
from protocols.trial import UNKNOWN, ProtocolError

COSTS = "condition c0 c1 c2"


@dataclass(frozen=True)
class Named:
    """A system and the file of its scores."""

    name: str
    path: Path


@dataclass(frozen=True, eq=False)
class _Test:
    """The trials of a test set, and the utterances that a `--where` left out of it."""

    name: str
    trials: TrialList
    outside: frozenset[str]


def parse_named(texts: Sequence[str], names: Sequence[str] = ()) -> list[Named]:
    """`FILE` or `NAME=FILE`, as the user wrote them.

    A file without a name has the one at its place in `names` where there are as many, else its own.

    Raises:
        ScoreError: a file that is not there.
    """
    named = []
    defaults = names if len(names) == len(texts) else [Path(text).stem for text in texts]
    for default, text in zip(defaults, texts, strict=True):
        name, equals, path = text.partition("=")
        one = Named(name, Path(path)) if equals and not Path(text).exists() else Named(default, Path(text))
        if not one.path.is_file():
            raise ScoreError(f"{one.path}: no such file; expected a score file, or NAME=FILE")
        named.append(one)
    return named


def evaluation_sets(
    systems: Sequence[Named],
    protocols: Sequence[Path] = (),
    where: Sequence[str] = (),
    asv: Sequence[Path] = (),
    costs_2021: Mapping[str, Coefficients] | None = None,
) -> list[EvaluationSet]:
    """One evaluation set per protocol, each with the systems whose scores are of its utterances.

    Without a protocol the keys are those of the first file, and all files must score the same trials.

    Args:
        where: conditions on the protocols' columns, `phase=eval`; other trials of the protocol are left out.
        asv: files of ASV scores: one for each protocol, or one in all.

    Raises:
        ScoreError: files that cannot be read, that do not score exactly the trials of one protocol, or that
            contradict it; two files of one system for one protocol; ASV scores that lack an attack.
        ProtocolError: a protocol that cannot be read, or a condition that it does not know.
    """
    files = [read_scores(system.path) for system in systems]
    tests = _tests(protocols, where, files[0])
    if len(asv) not in (0, 1, len(tests)):
        raise ScoreError(f"{len(asv)} files of ASV scores for {len(tests)} protocols; expected one for each, or one")
    scored: dict[str, dict[str, FloatArray]] = {test.name: {} for test in tests}
    for system, file in zip(systems, files, strict=True):
        test = _test_of(file, tests)
        if system.name in scored[test.name]:
            raise ScoreError(f"{file.path}: a second file of system {system.name}; give each a name, NAME=FILE")
        scored[test.name][system.name] = align(file, test.trials, f"{file.path} against {test.name}", test.outside)
    asv_paths = list(asv) * len(tests) if len(asv) == 1 else asv
    asv_of = dict(zip((test.name for test in tests), asv_paths, strict=False))
    return [
        EvaluationSet(
            test.name,
            test.trials,
            scored[test.name],
            _read_asv(asv_of[test.name], test) if test.name in asv_of else None,
            costs_2021 or {},
        )
        for test in tests
        if scored[test.name]
    ]


def calibrated(evaluated: EvaluationSet, dev: Sequence[Named], protocol: Path | None, fuse: bool) -> EvaluationSet:
    """The evaluation set with a calibrated twin of every system and, on request, their fusion, fitted on `dev`.

    Args:
        dev: development scores of the systems, under the same names; those of other systems are not used.
        protocol: of the development trials; without it their files must hold the keys.

    Raises:
        ScoreError: a system without development scores, scores of different trials, scores that cannot be calibrated.
    """
    ours = [one for one in dev if one.name in evaluated.systems]
    missing = [name for name in evaluated.systems if name not in {one.name for one in ours}]
    if missing:
        raise ScoreError(f"system {missing[0]} has no development scores; expected --calibrate {missing[0]}=FILE")
    (learned,) = evaluation_sets(ours, [protocol] if protocol else [])
    systems, notes = dict(evaluated.systems), []
    groups = {f"{name}, calibrated": [name] for name in evaluated.systems}
    if fuse:
        groups["fusion"] = list(evaluated.systems)
    for new, names in groups.items():
        calibration = _fit(new, [learned.systems[name] for name in names], learned.trials.is_bonafide)
        systems[new] = calibration.apply([evaluated.systems[name] for name in names])
        notes.append(_formula(new, names, calibration))
    return replace(evaluated, systems=systems, derived=tuple(groups), notes=tuple(notes))


def read_costs(path: Path) -> dict[str, Coefficients]:
    """Coefficients of the t-DCF of 2021 by condition: a tab-separated table with header `condition c0 c1 c2`.

    Raises:
        ScoreError: another header, a row that is none, coefficients that are no cost, a condition that stands twice.
    """
    table = csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig")), delimiter="\t")
    header = " ".join(next(table, []))
    if header != COSTS:
        raise ScoreError(f"{path}:1: header {header!r}; expected {COSTS}, tab-separated")
    costs: dict[str, Coefficients] = {}
    for line, row in enumerate(table, 2):
        where = f"{path}:{line}"
        try:
            condition, *numbers = row
            cost = Coefficients(*map(float, numbers))
        except (ValueError, TypeError):
            raise ScoreError(f"{where}: {' '.join(row)[:60]!r}; expected {COSTS}, tab-separated") from None
        check_cost(cost, where)
        if condition in costs:
            raise ScoreError(f"{where}: condition {condition} stands twice; expected every condition once")
        costs[condition] = cost
    return costs


def _tests(protocols: Sequence[Path], where: Sequence[str], first: ScoreFile) -> list[_Test]:
    if protocols:
        names = [path.stem for path in protocols]
        if len(set(names)) < len(names):
            raise ScoreError(f"protocols {', '.join(names)}: two have the same name; expected different file names")
        return [_read_protocol(path, where) for path in protocols]
    if where:
        raise ScoreError(f"--where {where[0]} needs a --protocol, whose columns it names")
    return [_Test(first.path.stem, trial_list(first), frozenset())]


def _read_protocol(path: Path, where: Sequence[str]) -> _Test:
    everything = read_any_protocol(path)
    chosen = select(everything, where)
    names = ["attack", "speaker", *sorted({name for trial in chosen for name in trial.conditions})]
    keys = [trial.key for trial in chosen]
    if len(set(keys)) < 2:
        raise ProtocolError(f"{path}: all {len(keys)} trials are {keys[0]}; expected both bonafide and spoof")
    trials = TrialList(
        [trial.utt_id for trial in chosen],
        np.array([trial.label for trial in chosen], dtype=bool),
        {name: np.array(column(chosen, name)) for name in names},
    )
    return _Test(path.stem, trials, frozenset(trial.utt_id for trial in everything).difference(trials.utt_ids))


def _test_of(file: ScoreFile, tests: Sequence[_Test]) -> _Test:
    """The one test set that the file has scores of."""
    if len(tests) == 1:
        return tests[0]  # whether it fits, `align` says better
    found = set(file.utt_ids)
    fitting = [test for test in tests if not found.isdisjoint(test.trials.utt_ids)]
    if len(fitting) != 1:
        names = ", ".join(test.name for test in fitting) or "none"
        raise ScoreError(
            f"{file.path}: scores utterances of {names} of the protocols {', '.join(test.name for test in tests)}; "
            "expected exactly one"
        )
    return fitting[0]


def _read_asv(path: Path, test: _Test) -> AsvScores:
    asv = read_asv_scores(path)
    attacks = test.trials.columns["attack"][~test.trials.is_bonafide]
    check_attacks(set(attacks.tolist()) - {UNKNOWN}, asv, f"{test.name} with {path}")
    return asv


def _fit(name: str, dev: Sequence[FloatArray], is_bonafide: NDArray[np.bool_]) -> Calibration:
    try:
        return fit_calibration(dev, is_bonafide)
    except ScoreError as error:
        raise ScoreError(f"{name}: {error}") from error


def _formula(name: str, systems: Sequence[str], calibration: Calibration) -> str:
    terms = " ".join(f"{weight:+.6g}·({system})" for weight, system in zip(calibration.weights, systems, strict=True))
    kind = "Logistic fusion" if len(systems) > 1 else "Logistic calibration"
    sentence = f"{kind}, fitted on development scores: {name} = {calibration.offset:.6g} {terms}."
    if (calibration.weights < 0).any():
        sentence += " A negative weight says that a system's sign is inverted, or that the systems repeat each other."
    return sentence

"""Score files × protocols → evaluation sets; development scores → calibrated and fused systems."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spoofcache.evaluation.alignment import aligned
from spoofcache.evaluation.assignment import Assignment, SystemName, assign, parse_system_name
from spoofcache.evaluation.asv import read_asv
from spoofcache.evaluation.evaluation_set import EvaluationSet
from spoofcache.evaluation.reading import Reading
from spoofcache.evaluation.trials import list_trials, phase_warnings, trials_of_scores
from spoofcache.metrics.asv_files import read_asv_scores
from spoofcache.metrics.calibration import Calibration, fit_calibration
from spoofcache.metrics.dcf import Coefficients, check_cost
from spoofcache.metrics.det import FloatArray, ScoreError
from spoofcache.metrics.score_columns import names_in
from spoofcache.metrics.score_files import read_scores
from spoofcache.metrics.scores import AsvScores, CmScores
from spoofcache.protocols.conditions import select
from spoofcache.protocols.forms import read_any_protocol
from spoofcache.protocols.trial import read_text

COSTS = "condition c0 c1 c2"


@dataclass(frozen=True)
class NamedFile:
    """A file, and the user's name for what it holds: a system (scores) or a test set (protocol)."""

    name: str
    path: Path
    test_set: str = ""
    """Name of the test set that the user chose for these scores; empty where the utterances decide."""


def parse_named(texts: Sequence[str]) -> list[NamedFile]:
    """`FILE` or `NAME=FILE`, as the user wrote them; a file without a name has its own.

    Raises:
        ScoreError: a file that is not there, or an empty name.
    """
    named = []
    for text in texts:
        name, equals, path = text.partition("=")
        one = (
            NamedFile(name, Path(path))
            if equals and not Path(text).exists()
            else NamedFile(Path(text).stem, Path(text))
        )
        if not one.name or not one.path.is_file():
            raise ScoreError(f"{one.path}: no such file; expected FILE or NAME=FILE")
        named.append(one)
    return named


def with_test_sets(systems: Sequence[NamedFile], protocols: Sequence[NamedFile]) -> list[NamedFile]:
    """Score files with the test set that their names state, `SYSTEM@SET`, where SET is the name of a protocol.

    Raises:
        ScoreError: with several protocols, a name that has an `@` and none of their names behind it.
    """
    names = [parse_system_name(one.name, [protocol.name for protocol in protocols]) for one in systems]
    return [replace(one, name=n.system, test_set=n.test_set) for one, n in zip(systems, names, strict=True)]


def evaluation_sets(
    systems: Sequence[NamedFile],
    protocols: Sequence[NamedFile] = (),
    where: Sequence[str] = (),
    asv: Sequence[Path] = (),
    costs_2021: Mapping[str, Coefficients] | None = None,
    reading: Reading | None = None,
) -> list[EvaluationSet]:
    """One evaluation set per protocol, each with the systems whose scores are of its utterances.

    Without a protocol the keys are those of the first file, and all files must score the same trials.

    Args:
        where: conditions on the protocols' columns, `phase=eval`; other trials of the protocol are excluded.
        asv: files of ASV scores: one for each protocol, or one in all.
        costs_2021: coefficients of the t-DCF of 2021 by condition.
        reading: what the user says about the files.

    Raises:
        ScoreError: files that cannot be read, that do not score exactly the trials of one protocol, or that
            contradict it; two files of one system for one protocol; a protocol without scores; ASV scores that lack
            an attack.
        ProtocolError: a protocol that cannot be read, or a condition that it does not know.
    """
    reading, paths = reading or Reading(), [system.path for system in systems]
    reading.require_used(paths, [protocol.path for protocol in protocols])
    tests = _protocols(protocols, where, paths, reading)
    files = [read_scores(path, reading.of_scores(path, bool(tests)), lambda: _names(tests)) for path in paths]
    tests = tests or [_by_scores(files[0], where)]
    if len(asv) not in (0, 1, len(tests)):
        raise ScoreError(f"{len(asv)} files of ASV scores for {len(tests)} protocols; expected one for each, or one")
    asv_paths: list[Path | None] = (
        [None] * len(tests) if not asv else [asv[0]] * len(tests) if len(asv) == 1 else [*asv]
    )
    found: dict[str, dict[str, Assignment]] = {test.name: {} for test in tests}
    for system, file in zip(systems, files, strict=True):
        one = assign(file, tests, SystemName(system.name, system.test_set))
        if system.name in found[one.test_set]:
            raise ScoreError(f"{file.path}: a second file of system {system.name}; give each a name, NAME=FILE")
        found[one.test_set][system.name] = one
    sets = []
    for test, asv_path in zip(tests, asv_paths, strict=True):
        verification = read_asv(asv_path, test, reading, bool(protocols)) if asv_path else None
        notes = [f"ASV scores: {asv_path}."] if asv_path else []
        told = replace(test, asv=verification, costs_2021=costs_2021 or {})
        sets.append(_with_systems(told, found[test.name], notes))
    explained = reading.explanations(paths, [protocol.path for protocol in protocols])
    return [replace(one, notes=(*one.notes, *explained)) for one in sets]


def _names(tests: Sequence[EvaluationSet]) -> frozenset[str]:
    return frozenset(name for test in tests for name in (*test.trials.utt_ids, *test.trials.excluded))


def _with_systems(test: EvaluationSet, files: Mapping[str, Assignment], more: Sequence[str]) -> EvaluationSet:
    if not files:
        raise ScoreError(f"protocol {test.name}: no score file has scores of its utterances; expected at least one")
    matched = {
        name: aligned(one.scores, one.trials, f"{one.scores.path} against {test.name}") for name, one in files.items()
    }
    notes = [*test.notes, "Scores: " + ", ".join(f"{name} = {one.scores.path}" for name, one in files.items()) + "."]
    notes += [f"Names of {name} match without regard to {one.rule}." for name, one in matched.items() if one.rule]
    warnings = [warning for one in matched.values() for warning in one.warnings]
    return replace(
        test,
        systems={name: one.scores for name, one in matched.items()},
        notes=(*notes, *more),
        warnings=(*test.warnings, *warnings),
    )


def calibrated(
    evaluated: EvaluationSet, dev: Sequence[NamedFile], protocol: NamedFile | None, fuse: bool
) -> EvaluationSet:
    """The evaluation set with a calibrated twin of every system and, on request, their fusion, fitted on `dev`.

    Args:
        dev: development scores of the systems, under the same names.
        protocol: of the development trials; without it their files must hold the keys.

    Raises:
        ScoreError: a system without development scores, scores of different trials, or of those to be judged; scores
            that cannot be calibrated; a system that has the name of a new one.
    """
    ours = [one for one in dev if one.name in evaluated.systems]
    missing = [name for name in evaluated.systems if name not in {one.name for one in ours}]
    if missing:
        raise ScoreError(f"system {missing[0]} has no development scores; expected --calibrate {missing[0]}=FILE")
    if fuse and len(evaluated.systems) < 2:
        raise ScoreError(f"--fuse: {evaluated.name} has one system; expected two or more")
    (learned,) = evaluation_sets(ours, [protocol] if protocol else [])
    _require_other_trials(learned, evaluated)
    groups = {f"{name}, calibrated": [name] for name in evaluated.systems}
    if fuse:
        groups["fusion"] = list(evaluated.systems)
    taken = [name for name in groups if name in evaluated.systems]
    if taken:
        raise ScoreError(f"a system is called {taken[0]!r}, as one that --calibrate makes; give it another name")
    systems, notes = dict(evaluated.systems), [*evaluated.notes]
    for new, names in groups.items():
        calibration = _fit(new, [learned.systems[name] for name in names], learned.trials.is_bonafide)
        systems[new] = calibration.apply([evaluated.systems[name] for name in names])
        notes.append(_formula(new, names, calibration, [one.path for one in ours if one.name in names]))
    return replace(evaluated, systems=systems, derived=tuple(groups), notes=tuple(notes))


def _require_other_trials(learned: EvaluationSet, evaluated: EvaluationSet) -> None:
    """Names like 0001 recur from corpus to corpus; the same name with the same score is the same trial."""
    row_of = {utt_id: row for row, utt_id in enumerate(learned.trials.utt_ids)}
    shared = [(row_of[utt_id], row) for row, utt_id in enumerate(evaluated.trials.utt_ids) if utt_id in row_of]
    for name, scores in learned.systems.items():
        same = sum(scores[ours] == evaluated.systems[name][theirs] for ours, theirs in shared)
        if same:
            raise ScoreError(
                f"system {name}: {same} of the development scores are those of trials to be judged; expected "
                "development trials of their own"
            )


def read_sasv(systems: Sequence[NamedFile]) -> dict[str, AsvScores]:
    """Scores of speaker and spoofing together, in the form of ASV scores, by system.

    Raises:
        ScoreError: two files of one system, or one that cannot be read.
    """
    scores: dict[str, AsvScores] = {}
    for system in systems:
        if system.name in scores:
            raise ScoreError(f"{system.path}: a second file of system {system.name}; give each a name, NAME=FILE")
        scores[system.name] = read_asv_scores(system.path)
    return scores


def read_costs(path: Path) -> dict[str, Coefficients]:
    """Coefficients of the t-DCF of 2021 by condition: a tab-separated table with header `condition c0 c1 c2`.

    Raises:
        ScoreError: another header, a row that is none, coefficients that form no cost, a condition that occurs twice.
    """
    table = csv.reader(io.StringIO(read_text(path, f"{COSTS}, tab-separated")), delimiter="\t")
    header = " ".join(next(table, []))
    if header != COSTS:
        raise ScoreError(f"{path}:1: header {header!r}; expected {COSTS}, tab-separated")
    costs: dict[str, Coefficients] = {}
    for line, row in enumerate(table, 2):
        where = f"{path}:{line}"
        try:
            condition, *numbers = row
            cost = Coefficients(*(float(number.replace("_", "?")) for number in numbers))  # float() reads 1_0 as 10
        except (ValueError, TypeError):
            raise ScoreError(f"{where}: {' '.join(row)[:60]!r}; expected {COSTS}, tab-separated") from None
        check_cost(cost, where)
        if condition in costs:
            raise ScoreError(f"{where}: condition {condition} occurs twice; expected every condition once")
        costs[condition] = cost
    return costs


def _protocols(
    protocols: Sequence[NamedFile], where: Sequence[str], scores: Sequence[Path], reading: Reading
) -> list[EvaluationSet]:
    names = [protocol.name for protocol in protocols]
    if len(set(names)) < len(names):
        raise ScoreError(f"protocols {', '.join(names)}: two have the same name; give each its own, NAME=FILE")
    return [_read_protocol(protocol, where, scores, reading) for protocol in protocols]


def _by_scores(first: CmScores, where: Sequence[str]) -> EvaluationSet:
    """The trials of the first score file, for want of a protocol."""
    if where:
        raise ScoreError(f"--where {where[0]} needs a --protocol, whose columns it names")
    path = first.path
    assert path is not None  # it was read
    unchecked = f"no protocol was given: the keys are those of {path}, and missing trials would go unnoticed"
    return EvaluationSet(path.stem, trials_of_scores(first), notes=(f"Keys: {path}.",), warnings=(unchecked,))


def _read_protocol(
    protocol: NamedFile, where: Sequence[str], scores: Sequence[Path], reading: Reading
) -> EvaluationSet:
    path = protocol.path
    everything = read_any_protocol(path, reading.of_protocol(path), lambda: frozenset().union(*map(names_in, scores)))
    trials = list_trials(select(everything, where), everything, path)
    note = f"Protocol: {path}{' where ' if where else ''}{' and '.join(where)}, {len(trials.utt_ids):,} trials."
    return EvaluationSet(protocol.name, trials, notes=(note,), warnings=tuple(phase_warnings(trials)))


def _fit(name: str, dev: Sequence[FloatArray], is_bonafide: NDArray[np.bool_]) -> Calibration:
    try:
        return fit_calibration(dev, is_bonafide)
    except ScoreError as error:
        raise ScoreError(f"{name}: {error}") from error


def _formula(name: str, systems: Sequence[str], calibration: Calibration, dev: Sequence[Path]) -> str:
    terms = " ".join(f"{weight:+.6g}·({system})" for weight, system in zip(calibration.weights, systems, strict=True))
    kind = "Logistic fusion" if len(systems) > 1 else "Logistic calibration"
    files = ", ".join(map(str, dev))
    sentence = f"{kind}, fitted on {files}: {name} = {calibration.offset:.6g} {terms}."
    if (calibration.weights < 0).any():
        sentence += " A negative weight means that a sign is inverted, or that the systems carry the same information."
    return sentence

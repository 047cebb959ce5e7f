"""Evaluation sets from score files and protocols; calibrated and fused systems from development scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spoofcache.evaluation.alignment import aligned
from spoofcache.evaluation.assignment import Assignment, SystemName, assign, parse_system_name
from spoofcache.evaluation.asv import read_asv
from spoofcache.evaluation.evaluation_set import EvaluationSet
from spoofcache.evaluation.official_costs import is_pickled, read_official_costs
from spoofcache.evaluation.reading import Reading
from spoofcache.evaluation.trials import list_trials, phase_warnings, trials_of_scores
from spoofcache.metrics.asv_files import read_asv_scores
from spoofcache.metrics.calibration import Calibration, fit_calibration
from spoofcache.metrics.dcf import Coefficients, check_cost
from spoofcache.metrics.det import FloatArray, ScoreError
from spoofcache.metrics.score_columns import names_in
from spoofcache.metrics.score_files import read_scores
from spoofcache.metrics.scores import AsvScores, CmScores
from spoofcache.metrics.track2_files import is_track_2, read_track_2
from spoofcache.protocols.conditions import select
from spoofcache.protocols.forms import read_key_file
from spoofcache.protocols.trial import table_rows, text_lines

NO_PROTOCOL = "no protocol was given"
"""How the warning of an evaluation without a protocol begins."""
COSTS = "condition c0 c1 c2"


@dataclass(frozen=True)
class NamedFile:
    """A file, and the user's name for what it holds: a system (scores) or a test set (protocol)."""

    name: str
    path: Path
    test_set: str = ""
    """Name of the test set that the user chose for these scores; empty where the utterances decide."""


def parse_named(texts: Sequence[str]) -> list[NamedFile]:
    """Parse `FILE` or `NAME=FILE` as the user wrote them. By default, the name is that of the file without its ending.

    Raises:
        ScoreError: a file does not exist, or a name is empty.
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
    """Find the test set in names of the form `SYSTEM@SET`, where SET is the name of a protocol.

    Raises:
        ScoreError: there are several protocols, and a name has an `@` that is not followed by the name of one of them.
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
    """Read an evaluation set for each protocol, with the systems whose score files cover its trials.

    Without a protocol, the first score file must state the keys, and all files must score the same trials.

    Args:
        systems: the score files.
        protocols: the protocols or key files.
        where: conditions on the columns of the protocols, such as `phase=eval`; trials that do not meet them are
            excluded.
        asv: files of ASV scores, either one for each protocol or a single one for all of them.
        costs_2021: coefficients of the t-DCF of 2021 by condition.
        reading: what the user states about the files.

    Raises:
        ScoreError: a file cannot be read, does not score exactly the trials of one protocol, or contradicts it; a
            system has two files for one protocol; a protocol has no scores; the ASV scores lack an attack.
        ProtocolError: a protocol cannot be read, or a condition does not fit it.
    """
    reading, paths = reading or Reading(), [system.path for system in systems]
    reading.require_used(paths, [protocol.path for protocol in protocols])
    tests = _protocols(protocols, where, paths, reading)
    files = [read_scores(path, reading.of_scores(path, bool(tests)), lambda: _names(tests)) for path in paths]
    tests = tests or [_by_scores(files[0], where)]
    asv_paths = _one_for_each(asv, tests)
    assigned = _assigned(systems, files, tests)
    return [
        _completed(replace(test, costs_2021=costs_2021 or {}), assigned[test.name], asv_path, reading, bool(protocols))
        for test, asv_path in zip(tests, asv_paths, strict=True)
    ]


def _one_for_each(asv: Sequence[Path], tests: Sequence[EvaluationSet]) -> list[Path | None]:
    """The file of ASV scores for each test set."""
    if len(asv) not in (0, 1, len(tests)):
        raise ScoreError(f"{len(asv)} files of ASV scores for {len(tests)} protocols; expected one for each, or one")
    return [*asv] if len(asv) == len(tests) else [asv[0] if asv else None] * len(tests)


def _assigned(
    systems: Sequence[NamedFile], files: Sequence[CmScores], tests: Sequence[EvaluationSet]
) -> dict[str, dict[str, Assignment]]:
    """The scores that are judged on each test set, by the names of the test set and of the system."""
    found: dict[str, dict[str, Assignment]] = {test.name: {} for test in tests}
    for system, file in zip(systems, files, strict=True):
        one = assign(file, tests, SystemName(system.name, system.test_set))
        if system.name in found[one.test_set]:
            raise ScoreError(f"{file.path}: a second file of system {system.name}; give each a name, NAME=FILE")
        found[one.test_set][system.name] = one
    return found


def _completed(
    test: EvaluationSet,
    files: Mapping[str, Assignment],
    asv_path: Path | None,
    reading: Reading,
    has_protocol: bool,
) -> EvaluationSet:
    """The test set with the scores of its systems and of the ASV system, and with notes on the files."""
    asv = read_asv(asv_path, test, reading, has_protocol) if asv_path else None
    notes = [f"ASV scores: {asv_path}."] if asv_path else []
    if reading.explain:
        notes += [f"{one.scores.path}: {one.scores.layout}; {one.scores.understood}." for one in files.values()]
    return _with_systems(replace(test, asv=asv), files, notes)


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
    warnings = [sentence for one in files.values() for sentence in one.scores.remarks]
    warnings += [warning for one in matched.values() for warning in one.warnings]
    return replace(
        test,
        systems={name: one.scores for name, one in matched.items()},
        notes=(*notes, *more),
        warnings=(*test.warnings, *warnings),
    )


def calibrated(
    evaluated: EvaluationSet, dev: Sequence[NamedFile], protocol: NamedFile | None, fuse: bool
) -> EvaluationSet:
    """Add the calibrated scores of every system and, if `fuse` is true, the logistic fusion of all systems.

    Args:
        evaluated: the evaluation set to be extended.
        dev: development scores of the systems, under the same names.
        protocol: the protocol of the development trials; without it, the files must state the keys.
        fuse: whether to add the fusion.

    Raises:
        ScoreError: a system has no development scores; the development scores are of different trials, or of the
            trials to be judged; they cannot be calibrated; or a system already has the name of an added one.
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
        raise ScoreError(
            f"a system is called {taken[0]!r}, the name of a system that --calibrate adds; give it another one"
        )
    systems, notes = dict(evaluated.systems), [*evaluated.notes]
    for new, names in groups.items():
        calibration = _fit(new, [learned.systems[name] for name in names], learned.trials.is_bonafide)
        systems[new] = calibration.apply([evaluated.systems[name] for name in names])
        notes.append(_formula(new, names, calibration, [one.path for one in ours if one.name in names]))
    return replace(evaluated, systems=systems, derived=tuple(groups), notes=tuple(notes))


def _require_other_trials(learned: EvaluationSet, evaluated: EvaluationSet) -> None:
    """Check that no development trial is among the trials to be judged.

    Names like 0001 recur from corpus to corpus; therefore a trial counts as the same if its score is the same, too.
    """
    row_of = {utt_id: row for row, utt_id in enumerate(learned.trials.utt_ids)}
    shared = [(row_of[utt_id], row) for row, utt_id in enumerate(evaluated.trials.utt_ids) if utt_id in row_of]
    for name, scores in learned.systems.items():
        same = sum(scores[ours] == evaluated.systems[name][theirs] for ours, theirs in shared)
        if same:
            raise ScoreError(
                f"system {name}: {same} of the development scores are those of trials to be judged; expected "
                "development trials of their own"
            )


def read_sasv(systems: Sequence[NamedFile], key: Path | None = None) -> dict[str, AsvScores]:
    """Read the scores of systems that decide about speaker and spoofing together, in the form of ASV scores.

    Files of ASVspoof 5 track 2 are joined with their `key`.

    Raises:
        ScoreError: a system has two files, a file of track 2 has no key, or a file cannot be read.
    """
    scores: dict[str, AsvScores] = {}
    for system in systems:
        if system.name in scores:
            raise ScoreError(f"{system.path}: a second file of system {system.name}; give each a name, NAME=FILE")
        scores[system.name] = _read_sasv(system.path, key)
    return scores


def _read_sasv(path: Path, key: Path | None) -> AsvScores:
    if not is_track_2(path):
        return read_asv_scores(path)
    if key is None:
        raise ScoreError(f"{path}: scores of ASVspoof 5 track 2, which do not state the classes; expected --asv-key")
    return read_track_2(path, key)


def read_costs(path: Path, by: Sequence[str] = ()) -> dict[str, Coefficients]:
    """Read the coefficients of the t-DCF of 2021 by condition: a tab-separated table with header `condition c0 c1 c2`.

    The organisers' own file, `LA-C012-eval.npy`, is read too: of its conditions, those of the columns in `by`.

    Raises:
        ScoreError: the header is another, coefficients do not define a cost, or a condition occurs twice.
        ProtocolError: the file is not text, or a row is not as wide as the header.
    """
    if is_pickled(path):
        return read_official_costs(path, by)
    table = table_rows(text_lines(path, f"{COSTS}, tab-separated"), "\t", path)
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
    """The trials of the first score file, which stand in for a protocol."""
    if where:
        raise ScoreError(f"--where {where[0]} needs a --protocol, whose columns it names")
    path = first.path
    assert path is not None  # it was read
    unchecked = f"{NO_PROTOCOL}: the keys are those of {path}, and missing trials would go unnoticed"
    return EvaluationSet(path.stem, trials_of_scores(first), notes=(f"Keys: {path}.",), warnings=(unchecked,))


def _read_protocol(
    protocol: NamedFile, where: Sequence[str], scores: Sequence[Path], reading: Reading
) -> EvaluationSet:
    path = protocol.path
    key = read_key_file(path, reading.of_protocol(path), lambda: frozenset().union(*map(names_in, scores)))
    trials = list_trials(select(key.trials, where), key.trials, path)
    note = f"Protocol: {path}{' where ' if where else ''}{' and '.join(where)}, {len(trials.utt_ids):,} trials."
    notes = (note, *([f"{path}: {key.understood}."] if reading.explain else []))
    warnings = (*([key.polarity] if key.polarity else []), *phase_warnings(trials))
    return EvaluationSet(protocol.name, trials, notes=notes, warnings=warnings)


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

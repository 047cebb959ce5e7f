"""Evaluation sets from runs and cached test sets. The scores are kept in the run folder and are computed only once.

`<run>/scores/<corpus>-<partition>-<digest>.tsv` contains the scores of a whole cached partition. The digest covers the
weights of the run, and the identity, the trials and the features of the cache, so that scores of other weights, trials
or features are never used. `<the same name>.sha256` beside it contains the checksum of the file in the form of
`sha256sum`. Scores that do not agree with it were edited or damaged, and cause an error.
"""

import glob
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from spoofcache.common.files import atomic_path
from spoofcache.common.toml import TomlError, read_toml
from spoofcache.engine.about import RunError
from spoofcache.engine.checkpoint import load_model
from spoofcache.engine.score import score_partition
from spoofcache.engine.trained_on import Partition, n_namesakes
from spoofcache.evaluation.alignment import align
from spoofcache.evaluation.comparison import EvaluationSet
from spoofcache.evaluation.runs import Run, weights_digest
from spoofcache.evaluation.trials import list_trials, phase_warnings
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.plan import MANIFEST, SKIPPED, Identity, Plan, ShardMismatch, StoreError, read_manifest
from spoofcache.metrics.det import ScoreError
from spoofcache.metrics.score_files import read_scores
from spoofcache.metrics.scores import CmScores
from spoofcache.metrics.written_scores import format_cm_scores
from spoofcache.protocols.conditions import select
from spoofcache.protocols.trial import ProtocolError, Trial

SCORES = "scores"
"""Name of the folder, within a run folder, that keeps its scores."""
KEYS = ("cache", "where")
NAMES_AT_ONCE = 4_096
BY_AVERAGE = ", by the average weights"
"""The end of the note on a test set on which the averaged weights were judged."""


@dataclass(frozen=True)
class NamedTestSet:
    """A test set: the folders of its caches, one for each feature identity, and the conditions that its trials meet."""

    name: str
    caches: tuple[str, ...]
    """Folders. A `*` matches any part of a name, so that `cache/itw/*/eval` matches the caches of all front-ends."""
    where: tuple[str, ...] = ()
    """Conditions on the columns of the trials, such as `language=en`."""


def named_tests(texts: Sequence[str], known: Sequence[NamedTestSet] = ()) -> list[NamedTestSet]:
    """Parse test sets as the user wrote them: `NAME=CACHE` adds one (or a cache to it), `NAME` selects a known one.

    By default, all known test sets are selected.

    Raises:
        StoreError: a name is unknown, is known already, or is empty; or there is no test set at all.
    """
    by_name, added = {test.name: test for test in known}, dict[str, list[str]]()
    picked = [text for text in texts if "=" not in text]
    for name, _, cache in (text.partition("=") for text in texts if "=" in text):
        if not name or not cache or name in by_name:
            fault = "a name that --test-sets has" if name in by_name else "no name or no cache"
            raise StoreError(f"--test {name}={cache}: {fault}; expected a new NAME=CACHE")
        added.setdefault(name, []).append(cache)
    for name in picked:
        if name not in by_name:
            there = ", ".join(by_name) or "none"
            raise StoreError(f"--test {name}: expected NAME=CACHE, or a name from --test-sets, which has {there}")
    tests = [by_name[name] for name in dict.fromkeys(picked or by_name)]
    tests += [NamedTestSet(name, tuple(caches)) for name, caches in added.items()]
    if not tests:
        raise StoreError("no test set; expected --test NAME=CACHE or --test-sets FILE")
    return tests


def read_test_sets(path: Path) -> list[NamedTestSet]:
    """Read named test sets from TOML: a table for each, with `cache` (folders, relative to the file) and `where`.

    Raises:
        StoreError: the file is not TOML, or it has an unknown key or a value of another type.
    """
    try:
        tables = read_toml(path)
    except TomlError as error:
        raise StoreError(f"{path}: not TOML ({error})") from error
    return [_from_table(path, name, table) for name, table in tables.items()]


def _from_table(path: Path, name: str, table: object) -> NamedTestSet:
    if not isinstance(table, dict) or "cache" not in table:
        raise StoreError(f'{path}: {name} has no cache; expected a table [{name}] with cache = "folder"')
    unknown = [key for key in table if key not in KEYS]
    if unknown:
        raise StoreError(f"{path}: unknown key {name}.{unknown[0]}; expected some of {', '.join(KEYS)}")
    texts: dict[str, tuple[str, ...]] = {}
    for key, value in table.items():
        texts[key] = tuple(value if isinstance(value, list) else [value])
        if not all(isinstance(text, str) for text in texts[key]):
            raise StoreError(f"{path}: {name}.{key} is {value!r}; expected a text or a list of texts")
    caches = tuple(str(path.parent / cache) for cache in texts["cache"])
    return NamedTestSet(name, caches, texts.get("where", ()))


@dataclass(frozen=True)
class _Cell:
    """A run, and the cache of a test set that holds the features it was trained on."""

    run: Run
    data: CachedFeatures

    @cached_property
    def path(self) -> Path:
        """The file that keeps its scores."""
        plan, digest = self.data.plan, hashlib.sha256(self.run.weights_digest.encode())
        digest.update(plan.identity.to_json().encode())
        digest.update(plan.trial_list_sha256.encode())
        # only of the rows that exist: extraction may have skipped trials
        names = self.data.trials.names
        for start in range(0, len(names), NAMES_AT_ONCE):
            digest.update(("\n" * (start > 0) + "\n".join(names[start : start + NAMES_AT_ONCE])).encode())
        digest.update(self.data.content_digest.encode())
        return self.run.folder / SCORES / f"{plan.corpus}-{plan.partition}-{digest.hexdigest()[:12]}.tsv"


class CrossCorpus:
    """Every run on every test set. Faults of the caches are found before anything is scored.

    Args:
        runs: the runs, of any front-ends.
        tests: the test sets; a `*` in the name of a cache matches complete caches only.

    Raises:
        StoreError: a test set has no cache, or a cache is not complete.
        ShardMismatch: a test set has no cache, or several, for the features of a run; or the caches of a test set hold
            different trials.
    """

    def __init__(self, runs: Sequence[Run], tests: Sequence[NamedTestSet]) -> None:
        self._opened: dict[Path, CachedFeatures] = {}
        self._tests = {test: self._cells(test, runs) for test in tests}
        cells = {cell.path: cell for cells in self._tests.values() for cell in cells}
        self._missing = {
            path: cell for path, cell in cells.items() if not (path.exists() and _checksum_file(path).exists())
        }

    @property
    def n_to_score(self) -> int:
        """The number of scores that are still to be computed, over all runs."""
        return sum(len(cell.data) for cell in self._missing.values())

    def score(self, batch_size: int, device: torch.device, advance: Callable[[int], None] = lambda n: None) -> None:
        """Compute and keep the scores that do not exist yet. Finished scores remain if a later run fails.

        Raises:
            RunError: weights do not exist, are not of this project, or were replaced in the meantime.
            ScoreError: a score is NaN or infinite.
        """
        for path, cell in self._missing.items():
            model, _ = load_model(cell.run.folder, cell.run.checkpoint)
            scores = score_partition(model, cell.data, batch_size, device, advance)
            if weights_digest(cell.run.folder, cell.run.checkpoint) != cell.run.weights_digest:
                changed = f"{cell.run.folder}: its {cell.run.checkpoint} weights changed in the meantime"
                raise RunError(f"{changed}; expected a finished training")
            try:
                lines = format_cm_scores(scores, "tsv")
            except ScoreError as error:
                raise ScoreError(f"{cell.run.folder} on {cell.data.folder}: {error}") from error
            path.parent.mkdir(exist_ok=True)
            _checksum_file(path).unlink(missing_ok=True)
            with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
                file.writelines(lines)
            with atomic_path(
                _checksum_file(path)
            ) as temporary:  # written last: without it, the scores are computed again
                temporary.write_text(f"{_sha256(path)}  {path.name}\n", encoding="utf-8")
        self._missing = {}

    def evaluation_sets(self, where: Sequence[str] = ()) -> list[EvaluationSet]:
        """Read the evaluation set of each test set, with the kept scores of all runs.

        Args:
            where: conditions in addition to those of the test sets.

        Raises:
            ScoreError: a file of kept scores was changed since it was written.
            ProtocolError: a condition does not fit the trials, or only one class of trials meets it.
        """
        paths = dict.fromkeys(cell.path for cells in self._tests.values() for cell in cells)
        files = {path: _read_kept(path) for path in paths}
        return [_evaluation_set(test, cells, files, where) for test, cells in self._tests.items()]

    def _cells(self, test: NamedTestSet, runs: Sequence[Run]) -> list[_Cell]:
        plans = {folder: read_manifest(folder) for folder in _folders(test)}
        cells = [_Cell(run, self._open(_fitting(test, plans, run))) for run in runs]
        first = cells[0].data
        for cell in cells[1:]:
            if cell.data.trials != first.trials:
                raise ShardMismatch(
                    f"test set {test.name}: {first.folder} ({len(first):,} trials) and {cell.data.folder} "
                    f"({len(cell.data):,}) hold different trials; expected the same in every cache of a test set"
                )
        return cells

    def _open(self, folder: Path) -> CachedFeatures:
        if folder not in self._opened:
            self._opened[folder] = CachedFeatures(folder)
        return self._opened[folder]


def _checksum_file(scores: Path) -> Path:
    """The file beside kept scores that holds their checksum."""
    return scores.with_name(f"{scores.name}.sha256")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_kept(path: Path) -> CmScores:
    """Read scores that were kept in a run folder; raises ScoreError if the file has changed since it was written."""
    words = _checksum_file(path).read_text(encoding="utf-8", errors="replace").split()
    if _sha256(path) not in words[:1]:
        raise ScoreError(
            f"{path}: changed since it was written, since {_checksum_file(path).name} beside it contains another "
            "checksum; delete both files, and the scores are computed again"
        )
    return read_scores(path)


def _folders(test: NamedTestSet) -> list[Path]:
    """The folders of the caches. A pattern ignores incomplete ones, which may belong to another front-end."""
    folders: list[Path] = []
    for cache in test.caches:
        if "*" not in cache:
            folders.append(Path(cache))
            continue
        found = [Path(name) for name in sorted(glob.glob(cache)) if (Path(name) / MANIFEST).is_file()]
        if not found:
            raise StoreError(f"test set {test.name}: {cache}: no complete cache; expected at least one")
        folders += found
    return folders


def _fitting(test: NamedTestSet, plans: dict[Path, Plan], run: Run) -> Path:
    """The cache of the features that the run was trained on; an augmented view only if there is no clean one."""
    fitting, misfits = [], []
    for folder, plan in plans.items():
        try:
            plan.identity.clean.require_same(Identity(run.about.identity), folder)
            fitting.append(folder)
        except ShardMismatch as error:
            misfits.append(str(error))
    if not fitting:
        nearest = min(misfits, key=lambda sentence: sentence.count("; "))
        raise ShardMismatch(f"test set {test.name} has no cache for run {run.folder}: {nearest}")
    fitting = [folder for folder in fitting if not plans[folder].identity.effect] or fitting
    if len(fitting) > 1:
        listed = " and ".join(map(str, fitting))
        raise ShardMismatch(f"test set {test.name}: {listed} both fit run {run.folder}; expected one for each run")
    return fitting[0]


def _evaluation_set(
    test: NamedTestSet, cells: Sequence[_Cell], files: dict[Path, CmScores], where: Sequence[str]
) -> EvaluationSet:
    data, conditions = cells[0].data, (*test.where, *where)
    try:
        chosen = select(data.trials, conditions)
        trials = list_trials(chosen, data.trials, data.folder)
    except ProtocolError as error:
        raise ProtocolError(f"test set {test.name}: {error}") from error
    chosen_by = f" where {' and '.join(conditions)}" if conditions else ""
    judged_by = BY_AVERAGE if cells[0].run.checkpoint == "average" else ""
    caches = ", ".join(str(folder) for folder in dict.fromkeys(cell.data.folder for cell in cells))
    return EvaluationSet(
        name=test.name,
        trials=trials,
        systems={
            cell.run.system: align(files[cell.path], trials, f"{cell.path} against {cell.data.folder}")
            for cell in cells
        },
        decisions={cell.run.system: cell.run.decision for cell in cells if cell.run.decision is not None},
        notes=(f"{test.name}: {caches}{chosen_by}, {len(chosen):,} trials{judged_by}.",),
        warnings=(*_warnings(cells, chosen), *phase_warnings(trials)),
    )


def _warnings(cells: Sequence[_Cell], chosen: Sequence[Trial]) -> Iterator[str]:
    data = cells[0].data
    missing = data.plan.n_trials - len(data)
    if missing:
        yield f"{missing:,} of {data.plan.n_trials:,} trials have no score: {data.folder / SKIPPED}"
    judged = Partition(data.plan.corpus, data.plan.partition, chosen)
    for run in {cell.run.experiment: cell.run for cell in cells}.values():  # seeds were trained on the same
        for trained in run.trained_on:
            yield from _seen(run.experiment.name, trained, judged)
        if not run.trained_on and str(judged) in run.about.trained_on:
            yield f"{run.experiment.name} was trained on {judged}, the same trials that it is judged on"


def _seen(name: str, trained: Partition, judged: Partition) -> Iterator[str]:
    n, of = n_namesakes(trained, judged), f"of the {len(judged.trials):,} trials that it is judged on"
    if n and trained.corpus == judged.corpus:
        yield f"{name} was trained on {n:,} {of}, in {trained}"
    elif 2 * n > min(len(trained.trials), len(judged.trials)):  # fewer may well be names like 0001
        yield f"{name} was trained on utterances of {trained} with name, speaker, attack and key of {n:,} {of}"

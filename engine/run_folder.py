"""The folder of a training: begun once, held by one process, and its `metrics.jsonl`."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spoofcache.common.files import atomic_path, exclusive
from spoofcache.common.records import flatten
from spoofcache.engine.checkpoint import CONFIG, RunError
from spoofcache.engine.config import ExperimentConfig


def open_run(run: Path, config: ExperimentConfig, resume: bool) -> None:
    """Make the run folder, or check that the one to resume is of this experiment.

    Raises:
        RunError: it exists (without `resume`), or is of another experiment.
    """
    if not resume:
        require_new(run)
    run.mkdir(parents=True, exist_ok=True)
    path = run / CONFIG
    if not path.exists():
        if any(not found.name.startswith(".") for found in run.iterdir()):
            raise RunError(f"{run}: not empty and without {CONFIG}; --resume expects a run folder")
        with atomic_path(path) as temporary:
            temporary.write_text(config.to_toml(), encoding="utf-8")
        return
    found, given = (flatten(tomllib.loads(text)) for text in (path.read_text("utf-8"), config.to_toml()))
    differing = sorted(key for key in found | given if found.get(key) != given.get(key))
    if differing:
        raise RunError(f"{path}: another experiment in {', '.join(differing)}; --resume expects the same one")


def require_new(run: Path) -> None:
    """RunError where there is something of that name already."""
    if run.exists():
        raise RunError(f"{run} exists; expected a new folder, or --resume to go on with that run")


@contextmanager
def held(run: Path) -> Iterator[None]:
    """No other process trains in that folder meanwhile; RunError if one does."""
    try:
        with exclusive(run):
            yield
    except BlockingIOError:
        raise RunError(f"{run}: another process is training there; expected to be the only one") from None


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """Add an epoch to `metrics.jsonl`."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def keep_lines(path: Path, number: int) -> None:
    """Cut `metrics.jsonl` back to its first lines: an epoch that was not finished is written again."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)[:number] if path.exists() else []
    with atomic_path(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")

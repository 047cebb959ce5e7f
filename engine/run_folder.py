"""Create, lock and resume the folder of a training or of an architecture search."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spoofcache.common.files import atomic_path, exclusive
from spoofcache.common.records import flatten
from spoofcache.common.toml import TomlError, parse_toml, read_toml
from spoofcache.engine.about import RunError
from spoofcache.engine.checkpoint import ABOUT_AVERAGE, CONFIG
from spoofcache.engine.config import ExperimentConfig
from spoofcache.engine.warm_start import InitialWeights, keep_initial


def open_run(run: Path, config: ExperimentConfig, resume: bool, initial: InitialWeights | None = None) -> None:
    """Create the run folder, or check that an existing one belongs to this experiment.

    Args:
        run: the run folder.
        config: the experiment. To make a run longer, it may have more epochs than the run was started with.
        resume: whether the folder may already exist.
        initial: weights that a new run starts from.

    Raises:
        RunError: the folder exists and `resume` is false, or it belongs to another experiment.
    """
    make_folder(run, resume, CONFIG, "a run")
    path = run / CONFIG
    if not path.exists():
        if initial is not None:  # written before the configuration, since a folder without one is not resumed
            keep_initial(run, initial)
        _write_config(path, config)
        return
    try:
        found, given = flatten(read_toml(path)), flatten(parse_toml(config.to_toml()))
    except TomlError as error:
        raise RunError(f"{path}: not TOML ({error}); expected the configuration that the run was begun with") from error
    if found:  # a key that did not exist yet when the run was begun has its default, with which nothing changes
        found = flatten(parse_toml(ExperimentConfig(config.backend).to_toml())) | found
    differing = sorted(key for key in found | given if found.get(key) != given.get(key))
    if differing == ["train.epochs"] and type(found["train.epochs"]) is int:
        _change_length(run, config, found["train.epochs"])
    elif differing:
        raise RunError(
            f"{path}: the run was begun with another {', '.join(differing)}; --resume expects the same experiment"
        )


def _change_length(run: Path, config: ExperimentConfig, before: int) -> None:
    """Change the number of epochs of a run; raise RunError if its finished epochs would then have been different."""
    after = config.train.epochs
    if after < before:
        raise RunError(
            f"{run / CONFIG}: the run was begun with train.epochs {before}, more than {after}; --resume expects "
            "the same number or a larger one"
        )
    if config.schedule.name == "cosine_per_step":
        raise RunError(
            f"{run / CONFIG}: the run was begun with train.epochs {before}; it cannot be continued to {after}, since "
            "the learning rates of cosine_per_step depend on the number of epochs from the first update on"
        )
    with locked(run):
        (run / ABOUT_AVERAGE).unlink(missing_ok=True)  # an average of the shorter training; it is made again at the end
        _write_config(run / CONFIG, config)


def _write_config(path: Path, config: ExperimentConfig) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(config.to_toml(), encoding="utf-8")


def make_folder(folder: Path, resume: bool, marker: str, what: str) -> None:
    """Create a folder, or check that an existing one was made by SpoofCache.

    Args:
        folder: the folder.
        resume: whether it may already exist.
        marker: name of a file that every folder of this kind contains, unless it is empty.
        what: the kind of folder for messages, `a run` or `a search`.

    Raises:
        RunError: the folder exists and `resume` is false, or it contains other files but no marker.
    """
    if not resume:
        require_new(folder, what)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / marker).exists() and any(not found.name.startswith(".") for found in folder.iterdir()):
        raise RunError(f"{folder}: not empty and without {marker}; --resume expects the folder of {what}")


def require_new(folder: Path, what: str = "a run") -> None:
    """Raise RunError if a file or folder of that name exists."""
    if folder.exists():
        raise RunError(f"{folder} exists; expected a new folder, or --resume to continue {what} that was interrupted")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from using the folder; raise RunError if another process is using it."""
    try:
        with exclusive(folder):
            yield
    except BlockingIOError:
        raise RunError(f"{folder}: in use by another process; expected to be the only one that writes there") from None


def require_same_conditions(folder: Path, begun: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Compare the conditions under which the run was started with the present ones, by name.

    Returns:
        Names of the conditions that an earlier version did not record, so that they cannot be compared.

    Raises:
        RunError: a condition differs.
    """
    differing = [name for name, value in here.items() if name in begun and begun[name] != value]
    if differing:
        raise RunError(f"{folder}: begun with another {', '.join(differing)}; --resume expects the same")
    return [name for name in here if name not in begun]


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """Append one epoch to a file of JSON lines."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Replace a file of JSON lines."""
    with atomic_path(path) as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def keep_lines(path: Path, number: int) -> None:
    """Truncate a file to its first lines. Later lines are of unfinished epochs, which are trained and written again."""
    lines = path.read_bytes().splitlines(keepends=True)[:number] if path.exists() else []
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"".join(lines))

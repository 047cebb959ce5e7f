"""The folder of a training or of an architecture search: created once, used by one process at a time, resumed."""

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
    """Create the run folder, or check that the one to resume belongs to this experiment.

    Args:
        run: the folder.
        config: the experiment. To continue a run for longer, it may have more epochs than the run was begun with.
        resume: whether the folder may exist.
        initial: weights that a new run starts from.

    Raises:
        RunError: it exists (without `resume`), or belongs to another experiment.
    """
    make_folder(run, resume, CONFIG, "a run")
    path = run / CONFIG
    if not path.exists():
        if initial is not None:  # before the configuration, without which the folder is not resumed
            keep_initial(run, initial)
        _write_config(path, config)
        return
    try:
        found, given = flatten(read_toml(path)), flatten(parse_toml(config.to_toml()))
    except TomlError as error:
        raise RunError(f"{path}: not TOML ({error}); expected the configuration that the run was begun with") from error
    differing = sorted(key for key in found | given if found.get(key) != given.get(key))
    if differing == ["train.epochs"] and type(found["train.epochs"]) is int:
        _change_length(run, config, found["train.epochs"])
    elif differing:
        raise RunError(
            f"{path}: the run was begun with another {', '.join(differing)}; --resume expects the same experiment"
        )


def _change_length(run: Path, config: ExperimentConfig, before: int) -> None:
    """Continue a run for more epochs than it was begun with; RunError if the same run could not have had so many."""
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
    """Create a folder, or check that the one to resume is one of ours.

    Args:
        folder: the folder.
        resume: whether it may exist.
        marker: name of a file that every folder of this kind has, unless it is empty.
        what: the kind, `a run` or `a search`.

    Raises:
        RunError: it exists (without `resume`), or has other files and no marker.
    """
    if not resume:
        require_new(folder, what)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / marker).exists() and any(not found.name.startswith(".") for found in folder.iterdir()):
        raise RunError(f"{folder}: not empty and without {marker}; --resume expects the folder of {what}")


def require_new(folder: Path, what: str = "a run") -> None:
    """RunError if something of that name exists."""
    if folder.exists():
        raise RunError(f"{folder} exists; expected a new folder, or --resume to continue {what} that was interrupted")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from using the folder; RunError if one does already."""
    try:
        with exclusive(folder):
            yield
    except BlockingIOError:
        raise RunError(f"{folder}: in use by another process; expected to be the only one that writes there") from None


def require_same_conditions(folder: Path, begun: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Compare the conditions under which the run in the folder was begun with those that hold here, by name.

    Returns:
        The conditions that an earlier version did not record when it began the run, so that they cannot be compared.

    Raises:
        RunError: a condition differs.
    """
    differing = [name for name, value in here.items() if name in begun and begun[name] != value]
    if differing:
        raise RunError(f"{folder}: begun with another {', '.join(differing)}; --resume expects the same")
    return [name for name in here if name not in begun]


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """Add an epoch to a file of JSON lines."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write a file of JSON lines anew."""
    with atomic_path(path) as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def keep_lines(path: Path, number: int) -> None:
    """Cut a file back to its first lines; the epoch of a later line was not finished and is written again."""
    lines = path.read_bytes().splitlines(keepends=True)[:number] if path.exists() else []
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"".join(lines))

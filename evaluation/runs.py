"""The rows of a cross-corpus table: run folders, grouped into experiments that were trained with several seeds."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from spoofcache.common.hub import find_place, local_folder
from spoofcache.common.records import flatten
from spoofcache.common.toml import TomlError, read_toml
from spoofcache.engine.about import About, RunError
from spoofcache.engine.calibration_file import read_decision, weights_sha256
from spoofcache.engine.checkpoint import CONFIG, PAIRS, read_about
from spoofcache.engine.trained_on import Partition, read_trained_on
from spoofcache.evaluation.matrix import Experiment
from spoofcache.metrics.decision import Decision

SEED_ENDING = re.compile(r"-seed\d+$")
"""The ending of the run folders of one experiment: `X-seed0`, `X-seed1`, …"""


@dataclass(frozen=True)
class Run:
    """A run folder, and the name of its scores."""

    experiment: Experiment
    system: str
    folder: Path
    about: About
    checkpoint: str
    """The weights that are judged: `best` or `average`."""
    weights_digest: str
    """SHA-256 of these weights and their description."""

    @cached_property
    def trained_on(self) -> list[Partition]:
        """The partitions that it was trained on; empty if they were not recorded."""
        return read_trained_on(self.folder)

    @cached_property
    def decision(self) -> Decision | None:
        """Threshold and calibration that were fitted for these weights; None if there are none."""
        return read_decision(self.folder, self.checkpoint, weights_sha256(self.folder, self.checkpoint))


@dataclass(frozen=True)
class _Found:
    """A run folder as the user named it, before it is known which others belong to the same experiment."""

    row: str
    name: str
    folder: Path
    about: About
    settings: Mapping[str, Any]
    """The settings that must be equal for two runs to be one experiment, by dotted name."""
    seed: int | None


def read_runs(texts: Sequence[str], checkpoint: str = "best") -> list[Run]:
    """Read runs as the user wrote them, `FOLDER` or `NAME=FOLDER`, where FOLDER may be a run on the hub.

    Runs with the same name, or in folders whose names differ only in the ending `-seed…`, are one experiment that was
    trained with several seeds.

    Raises:
        HubError: the hub has no such run, or cannot be reached.
        RunError: a folder has no such weights or is not a run folder; or runs of one name are different experiments,
            or have the same seed.
    """
    rows: dict[str, list[_Found]] = {}
    for found in map(partial(_find, checkpoint=checkpoint), texts):
        rows.setdefault(found.row, []).append(found)
    runs = [run for row, members in rows.items() for run in _runs(row, members, checkpoint)]
    systems = [run.system for run in runs]
    twice = [system for system in systems if systems.count(system) > 1]
    if twice:
        raise RunError(f"two runs are called {twice[0]}; give each its own name, NAME=FOLDER")
    return runs


def weights_digest(folder: Path, checkpoint: str = "best") -> str:
    """SHA-256 of the `best` or `average` weights, and of the description from which the network is built."""
    digest = hashlib.sha256()
    for name in PAIRS[checkpoint][:2]:
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()


def _find(text: str, checkpoint: str) -> _Found:
    name, equals, path = text.partition("=")
    if not equals or Path(text).exists():
        name, path = "", text
    place, folder = find_place(path), local_folder(path)
    if not folder.is_dir():
        raise RunError(f"--run {text}: no such folder; expected FOLDER or NAME=FOLDER")
    about, own = read_about(folder, PAIRS[checkpoint][1]), place.name if place else folder.resolve().name
    config = _config(folder)
    seed = config.get("train", {}).pop("seed", None)
    trained = {"trained on": list(about.trained_on), "trials and features of": about.data}
    settings = flatten({"config": config, "features": about.identity, **trained})
    return _Found(name or SEED_ENDING.sub("", own), name or own, folder, about, settings, seed)


def _config(folder: Path) -> dict[str, Any]:
    """The configuration of the run; empty if the weights were trained elsewhere."""
    path = folder / CONFIG
    try:
        return read_toml(path)
    except FileNotFoundError:
        return {}
    except TomlError as error:
        raise RunError(f"{path}: not TOML ({error}); expected the config of a run") from error


def _runs(row: str, members: Sequence[_Found], checkpoint: str) -> list[Run]:
    first = members[0]
    for number, other in enumerate(members[1:], 1):
        _check_one_experiment(row, first, other)
        twin = next((earlier for earlier in members[:number] if earlier.seed == other.seed), None)
        if twin:
            raise RunError(
                f"{twin.folder} and {other.folder}: {row} with seed {other.seed} twice; expected every seed once, or a "
                "name for each, NAME=FOLDER"
            )
    if len(members) == 1:
        names = {first.folder: first.name}
    else:
        names = {member.folder: f"{row}-seed{member.seed}" for member in members}
    experiment = Experiment(row if len(members) > 1 else first.name, first.about.trained_on, tuple(names.values()))
    return [
        Run(experiment, names[m.folder], m.folder, m.about, checkpoint, weights_digest(m.folder, checkpoint))
        for m in members
    ]


def _check_one_experiment(row: str, one: _Found, other: _Found) -> None:
    known = one.settings.keys() | other.settings.keys()
    differing = sorted(name for name in known if one.settings.get(name) != other.settings.get(name))
    if differing:
        raise RunError(
            f"{one.folder} and {other.folder}: both are {row}, but differ in {', '.join(differing)}; expected one "
            "experiment under several seeds, or a name for each, NAME=FOLDER"
        )

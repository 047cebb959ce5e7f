"""The description of a corpus: its location, its partitions, its reader and its published numbers of trials."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from spoofcache.common.arguments import check_fields
from spoofcache.protocols.trial import ProtocolError, Trial

OFFICIAL = ("train", "dev", "eval")


@dataclass(frozen=True)
class Location:
    """The location of a corpus, as given by the user. Each corpus takes some of these attributes.

    Attributes:
        root: folder of the corpus in its official layout.
        protocol: a protocol file.
        audio_dir: folder of the audio.
        bonafide_dir: folder of bona fide audio, for corpora that contain spoofs only.
        columns: our name of a column (`file`, `label`, `speaker`, `attack` or a condition) → its name in the header.
    """

    root: Path | None = None
    protocol: Path | None = None
    audio_dir: Path | None = None
    bonafide_dir: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self)

    def folder(self, name: str) -> Path:
        """The folder or file that `Corpus.check` has found to be given."""
        path = getattr(self, name)
        assert isinstance(path, Path)
        return path


OPTIONS: Mapping[str, str] = {
    "root": "--root",
    "protocol": "--protocol",
    "audio_dir": "--audio-dir",
    "bonafide_dir": "--bonafide-dir",
    "columns": "--column",
}
"""Attribute of a Location → the option with which the user gives it."""


@dataclass(frozen=True)
class Corpus:
    """A corpus of the registry.

    Attributes:
        read: (location, partition) → trials in the order of the protocol, each with its audio file, or None if there is
            none.
        needs: required attributes of the location.
        may: optional attributes of the location.
        partitions: names of the partitions. If empty, the corpus is one partition, and the user chooses its name.
        published: partition → published number of trials, if there is one.
    """

    read: Callable[[Location, str], Sequence[Trial]]
    needs: tuple[str, ...] = ("root",)
    may: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()
    published: Mapping[str, int] = field(default_factory=dict)

    def check(self, name: str, where: Location, partition: str) -> None:
        """Raise ProtocolError if an option is missing or does not apply, or if the partition is unknown."""
        if any(not getattr(where, option) for option in self.needs):
            raise ProtocolError(f"{name} needs {_listed(self.needs)}")
        for option in OPTIONS:
            if getattr(where, option) and option not in (*self.needs, *self.may):
                raise ProtocolError(f"{name} takes {_listed((*self.needs, *self.may))}, not {OPTIONS[option]}")
        if self.partitions and partition not in self.partitions:
            raise ProtocolError(f"partition {partition!r} of {name}; expected {' or '.join(self.partitions)}")


def _listed(options: Sequence[str]) -> str:
    return " and ".join(OPTIONS[option] for option in options)


class Counts(NamedTuple):
    """The published numbers of trials in a partition."""

    bonafide: int
    spoof: int

    @property
    def total(self) -> int:
        """Trials of both classes."""
        return self.bonafide + self.spoof


def check_counts(trials: Sequence[Trial], published: Counts | int, source: Path) -> None:
    """Raise ProtocolError unless the number of trials, per class or in total, is the published one."""
    n_bonafide = sum(trial.label for trial in trials)
    found = Counts(n_bonafide, len(trials) - n_bonafide)
    if isinstance(published, int):
        if len(trials) != published:
            raise ProtocolError(f"{source}: {len(trials)} trials; expected the published {published}")
    elif found != published:
        raise ProtocolError(
            f"{source}: {found.bonafide} bona fide and {found.spoof} spoof trials; "
            f"expected the published {published.bonafide} and {published.spoof}"
        )


def require(path: Path, layout: str) -> Path:
    """Return the path if it exists; otherwise, raise ProtocolError with the `layout` that was expected."""
    if not path.exists():
        raise ProtocolError(f"{path}: no such file or folder; expected {layout}")
    return path

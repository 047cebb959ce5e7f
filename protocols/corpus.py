"""What a corpus says of itself: where it lies, which partitions it has, how it is read, how many trials it has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from spoofcache.protocols.trial import ProtocolError, Trial

OFFICIAL = ("train", "dev", "eval")


@dataclass(frozen=True)
class Location:
    """Where the user says a corpus lies; a corpus takes some of these.

    Attributes:
        root: folder of the corpus in its official layout.
        protocol: one protocol file.
        audio_dir: the folder of its audio.
        bonafide_dir: bona fide audio, for corpora that have none.
        columns: our name of a column (`file`, `label`, `speaker`, `attack`, a condition) → its name in the header.
    """

    root: Path | None = None
    protocol: Path | None = None
    audio_dir: Path | None = None
    bonafide_dir: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    def folder(self, name: str) -> Path:
        """The folder or file that `Corpus.check` has seen to be there."""
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
"""What the user calls the attributes of a Location."""


@dataclass(frozen=True)
class Corpus:
    """A corpus of the registry.

    Attributes:
        read: (where, partition) → trials in protocol order, each with its audio file or None where there is none.
        needs: attributes of Location without which it cannot be read.
        may: those that it takes besides.
        partitions: its own ones; where it has none, a partition is just the name that the user gives to the whole.
        published: partition → published number of trials, of those partitions for which one was published.
    """

    read: Callable[[Location, str], list[Trial]]
    needs: tuple[str, ...] = ("root",)
    may: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()
    published: Mapping[str, int] = field(default_factory=dict)

    def check(self, name: str, where: Location, partition: str) -> None:
        """ProtocolError where an option lacks, is one of another corpus, or names an unknown partition."""
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
    """Published numbers of trials in a partition."""

    bonafide: int
    spoof: int

    @property
    def total(self) -> int:
        """Trials of both classes."""
        return self.bonafide + self.spoof


def check_counts(trials: Sequence[Trial], published: Counts | int, source: Path) -> None:
    """ProtocolError unless there are as many trials, of each class or in all, as were published."""
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
    """The path; ProtocolError, with the layout that was expected, where there is no such file or folder."""
    if not path.exists():
        raise ProtocolError(f"{path}: no such file or folder; expected {layout}")
    return path

"""Caches that are made from other caches: a subset, several partitions joined, another number type or compression."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from spoofcache.features.plan import Identity, Plan, StoreError
from spoofcache.protocols.conditions import select
from spoofcache.protocols.trial import ProtocolError, text_lines
from spoofcache.protocols.trial_table import TrialTable
from spoofcache.tools.caches.source import Source

NARROWER = {"float32": "float16"}
"""Stored number type → the type that it may be converted to. The other way, the digits that are lost are missing."""


class Piece(NamedTuple):
    """Trials of a source, by their numbers, in the order in which they enter a derived cache."""

    source: Source
    numbers: Sequence[int]


@dataclass(frozen=True)
class Derived:
    """A cache that is to be made: its plan and trials, and the pieces whose trials these are, one after the other."""

    plan: Plan
    trials: TrialTable
    pieces: Sequence[Piece]

    @classmethod
    def of(cls, pieces: Sequence[Piece], folder: Path, corpus: str = "", identity: Identity | None = None) -> "Derived":
        """The cache of these pieces in a folder, whose name becomes that of the partition.

        Args:
            pieces: of sources of one identity and shape.
            folder: of the cache to be made.
            corpus: its corpus; by default, that of the first source.
            identity: its identity; by default, that of the sources.
        """
        first = pieces[0].source.plan
        parts = [piece.source.trials.take(piece.numbers) for piece in pieces]
        trials = parts[0] if len(parts) == 1 else TrialTable(trial for part in parts for trial in part)
        named = (corpus or first.corpus, folder.resolve().name)
        plan = Plan.make(*named, identity or first.identity, trials, first.row_shape)
        read_by = {name: origin for piece in pieces for name, origin in piece.source.plan.read_by.items()}
        return cls(replace(plan, read_by=read_by), trials, pieces)

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(len(piece.numbers) for piece in self.pieces))

    def origin(self, trial: int) -> tuple[Source, int]:
        """The source of a trial of this cache, and its number there."""
        which = bisect_right(self._ends, trial)
        piece = self.pieces[which]
        return piece.source, piece.numbers[trial - self._ends[which] + len(piece.numbers)]


def subset(source: Source, where: Sequence[str], names: Path | None, folder: Path) -> Derived:
    """The trials of a source that meet every condition and, if there is a list, are in it. Their order stays.

    Args:
        source: the partition.
        where: conditions such as `attack=A01,A02`.
        names: a file with the name of an utterance on each line; None for no list.
        folder: of the cache to be made.

    Raises:
        ProtocolError: a condition cannot be applied or met, or the list names an utterance twice or an unknown one.
        StoreError: no trial is chosen, or only trials that the source omits.
    """
    wanted = set(select(source.trials, where).names)
    if names is not None:
        wanted &= _listed(names, source)
    numbers = [number for number, name in enumerate(source.trials.names) if name in wanted]
    if not any(number not in source.omitted for number in numbers):
        raise StoreError(f"{source.folder}: no utterance with features is chosen; expected conditions that one meets")
    return Derived.of([Piece(source, numbers)], folder)


def _listed(path: Path, source: Source) -> set[str]:
    known, listed = set(source.trials.names), set[str]()
    for line, text in enumerate(text_lines(path, "the name of an utterance on each line"), 1):
        name = text.strip()
        if name in listed:
            raise ProtocolError(f"{path}:{line}: utterance {name} is listed twice; expected each utterance once")
        if name not in known:
            raise ProtocolError(
                f"{path}:{line}: {name!r} is no utterance of {source.folder}; expected one of its names"
            )
        listed.add(name)
    return listed


def merged(sources: Sequence[Source], folder: Path) -> Derived:
    """All trials of several sources of one identity, in order. Corpora of different names are joined by a plus sign.

    Raises:
        StoreError: identities or shapes differ, or two sources have an utterance of the same name.
    """
    first, seen = sources[0], dict[str, Path]()
    for source in sources:
        source.plan.identity.require_same(first.plan.identity, source.folder)
        if source.plan.row_shape != first.plan.row_shape:
            shapes = f"rows of shape {source.plan.row_shape}; expected {first.plan.row_shape}, as in {first.folder}"
            raise StoreError(f"{source.folder}: {shapes}")
        for name in source.trials.names:
            if name in seen:
                raise StoreError(
                    f"utterance {name} is in {seen[name]} and in {source.folder}; expected names that do not recur"
                )
            seen[name] = source.folder
    corpus = "+".join(dict.fromkeys(source.plan.corpus for source in sources))
    return Derived.of([Piece(source, range(len(source.trials))) for source in sources], folder, corpus)


def converted(source: Source, dtype: str | None, folder: Path) -> Derived:
    """All trials of a source, to be stored in another number type, or in the same.

    Raises:
        StoreError: the source is not of a type that can be converted to that one.
    """
    identity = source.plan.identity
    if dtype is not None and NARROWER.get(identity.dtype) != dtype:
        expected = " or ".join(wide for wide, narrow in NARROWER.items() if narrow == dtype)
        raise StoreError(f"{source.folder}: stores {identity.dtype}; expected {expected} to convert it to {dtype}")
    settings = {**identity.settings, "dtype": dtype or identity.dtype}
    return Derived.of([Piece(source, range(len(source.trials)))], folder, identity=Identity(settings))

"""What an effect is: a pure function of (waveform, seed) that keeps the length, and the settings that name it.

An effect is a frozen dataclass; its fields are what the user may set. All chance comes from one numpy Generator made
of the seed, so neither other threads and processes nor the order of the utterances can change a sample, and the
global generators of `random` and numpy stay as they were.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from spoofcache.common.errors import InputError
from spoofcache.features.augment.recordings import Recordings
from spoofcache.features.waveform import AudioError, Waveform


class EffectError(InputError):
    """An effect that cannot be had as asked for; the message says what was expected."""


class Range(NamedTuple):
    """A number drawn uniformly from low to high; a fixed one where they are equal."""

    low: float
    high: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """`5..20` or `5`; ValueError for anything else.

        >>> Range.parse("5..20"), Range.parse("-3")
        (Range(low=5.0, high=20.0), Range(low=-3.0, high=-3.0))
        """
        return cls(*_ends(text, float))

    def __str__(self) -> str:
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g}..{self.high:g}"

    def holds(self, other: "Range") -> bool:
        """Whether `other` is a proper range within this one; NaN never is."""
        return self.low <= other.low <= other.high <= self.high

    def draw(self, rng: np.random.Generator | np.random.RandomState) -> float:
        return self.low + (self.high - self.low) * float(rng.random())


class WholeRange(Range):
    """A whole number drawn from low to high, both included."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """`3..8` or `3`; ValueError for anything else."""
        return cls(*_ends(text, int))

    def draw(self, rng: np.random.Generator | np.random.RandomState) -> int:
        return int(rng.random() * (self.high - self.low + 1) + self.low)


def _ends(text: str, read: Callable[[str], float]) -> tuple[float, float]:
    first, dots, second = text.partition("..")
    low, high = read(first), read(second if dots else first)
    if not low <= high:
        raise ValueError(text)
    return low, high


class Effect(ABC):
    """Changes a waveform and keeps its length; subclasses are frozen dataclasses.

    Attributes:
        name: how the command line calls it.

    Raises:
        EffectError: a number is outside `within`, or a word not among `choices`, of its field's metadata.
    """

    name: ClassVar[str]

    def __post_init__(self) -> None:
        for own in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value, allowed = getattr(self, own.name), own.metadata
            if "within" in allowed:
                as_range = value if isinstance(value, Range) else Range(value, value)
                require(allowed["within"].holds(as_range), self.name, own.name, value, allowed["within"])
            if "choices" in allowed:
                require(value in allowed["choices"], self.name, own.name, value, " or ".join(allowed["choices"]))

    def settings(self) -> Mapping[str, Any]:
        """Everything that changes a sample, JSON-able: the effect's part of a cache's identity.

        A folder enters by what is in it, not by where it lies.

        Raises:
            EffectError: a folder with recordings that cannot be opened.
        """
        values = {own.name: getattr(self, own.name) for own in fields(self)}  # type: ignore[arg-type]
        with self._own_errors():
            return {"name": self.name} | {key: _plain(value) for key, value in values.items()}

    def __call__(self, waveform: Waveform, seed: int) -> Waveform:
        """Waveform [n] float32 at 16 kHz → a new one [n] float32; the input stays as it is.

        Raises:
            EffectError: a recording of the effect's folder cannot be used.
        """
        with self._own_errors():
            augmented = self.apply(waveform, np.random.default_rng(seed))
        assert len(augmented) == len(waveform), self
        return np.array(augmented, dtype=np.float32)

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        """A recording that cannot be used is the effect's fault, never that of the utterance."""
        try:
            yield
        except AudioError as error:
            raise EffectError(f"effect {self.name}: {error}") from error

    @abstractmethod
    def apply(self, waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
        """As `__call__`, with the generator in the place of the seed; any float type, perhaps the input itself."""


def require(holds: bool, effect: str, key: str, value: object, expected: object) -> None:
    """EffectError unless `holds`."""
    if not holds:
        found = f"{value:g}" if isinstance(value, float) else value
        wanted = f"{expected.low:g} to {expected.high:g}" if isinstance(expected, Range) else expected
        raise EffectError(f"effect {effect}: {key}={found}; expected {wanted}")


def _plain(value: Any) -> Any:
    if isinstance(value, Recordings):
        return value.digest
    return [float(end) for end in value] if isinstance(value, Range) else value  # 5 and 5.0 are one identity


def utterance_seed(seed: int, utt_id: str, view: int) -> int:
    """The seed of one utterance's view, the same on every machine and in any order; 128 bits.

    >>> utterance_seed(0, "LA_T_1000137", 1) == utterance_seed(0, "LA_T_1000137", 2)
    False
    """
    digest = hashlib.sha256(f"{seed}/{view}/{utt_id}".encode()).digest()
    return int.from_bytes(digest[:16], "big")

"""The base class of effects: pure functions of waveform and random seed that keep the length.

An effect is a frozen dataclass whose fields are its settings. All random numbers come from one numpy Generator made
from the seed, so that neither other threads and processes nor the order of the utterances can change a sample. The
global generators of `random` and numpy are not used.
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
    """An effect that cannot be used as requested; the message says what was expected."""


class Range(NamedTuple):
    """A number that is drawn uniformly from low to high, or a fixed number if they are equal."""

    low: float
    high: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `5..20` or `5`; ValueError for anything else.

        >>> Range.parse("5..20"), Range.parse("-3")
        (Range(low=5.0, high=20.0), Range(low=-3.0, high=-3.0))
        """
        return cls(*_ends(text, float))

    def __str__(self) -> str:
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g}..{self.high:g}"

    def holds(self, other: "Range") -> bool:
        """Whether `other` is a valid range within this one. A range with NaN is not."""
        return self.low <= other.low <= other.high <= self.high

    def draw(self, rng: np.random.Generator | np.random.RandomState) -> float:
        return self.low + (self.high - self.low) * float(rng.random())


class WholeRange(Range):
    """A whole number that is drawn from low to high, both included."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `3..8` or `3`; ValueError for anything else."""
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
        name: the name of the effect on the command line.

    Raises:
        EffectError: a number is outside the range `within` of its field's metadata, or a word is not one of `choices`.
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
        """Everything that changes a sample, as values for JSON: the effect's part of a cache's identity.

        A folder is represented by the hash of its content, not by its path.

        Raises:
            EffectError: recordings in a folder cannot be opened.
        """
        values = {own.name: getattr(self, own.name) for own in fields(self)}  # type: ignore[arg-type]
        with self._own_errors():
            return {"name": self.name} | {key: _plain(value) for key, value in values.items()}

    def __call__(self, waveform: Waveform, seed: int) -> Waveform:
        """Waveform [n] in float32 at 16 kHz → a new waveform [n] in float32; the input does not change.

        Raises:
            EffectError: a recording of the effect's folder cannot be used.
        """
        with self._own_errors():
            augmented = self.apply(waveform, np.random.default_rng(seed))
        assert len(augmented) == len(waveform), self
        return np.array(augmented, dtype=np.float32)

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        """Report an unusable recording as an error of the effect, not of the utterance."""
        try:
            yield
        except AudioError as error:
            raise EffectError(f"effect {self.name}: {error}") from error

    @abstractmethod
    def apply(self, waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
        """As `__call__`, with a generator instead of the seed. The result may be of any float type, or the input."""


def require(holds: bool, effect: str, key: str, value: object, expected: object) -> None:
    """EffectError, with the effect, the setting and what was expected, unless `holds`."""
    if not holds:
        found = f"{value:g}" if isinstance(value, float) else value
        wanted = f"{expected.low:g} to {expected.high:g}" if isinstance(expected, Range) else expected
        raise EffectError(f"effect {effect}: {key}={found}; expected {wanted}")


def _plain(value: Any) -> Any:
    if isinstance(value, Recordings):
        return value.digest
    return [float(end) for end in value] if isinstance(value, Range) else value  # 5 and 5.0 give the same identity


def utterance_seed(seed: int, utt_id: str, view: int) -> int:
    """The 128-bit random seed of a view of an utterance, which is the same on every machine and in any order.

    >>> utterance_seed(0, "LA_T_1000137", 1) == utterance_seed(0, "LA_T_1000137", 2)
    False
    """
    digest = hashlib.sha256(f"{seed}/{view}/{utt_id}".encode()).digest()
    return int.from_bytes(digest[:16], "big")

"""Long sequences of texts in a few bytes each: one buffer for all, or numbers where many texts are equal.

A million names take about 25 bytes each here, and about 80 as Python objects, which are made only while in use.
"""

from abc import abstractmethod
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from io import BytesIO, StringIO
from itertools import chain, islice, repeat
from operator import eq
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

ENCODING = ("utf-8", "surrogatepass")
"""Any Python text can be written, including the names of files that are not UTF-8."""
LARGEST_OFFSET = 2**32 - 1
"""Bytes in a buffer from which on its offsets need 64 bits."""
AT_ONCE = 4_096
"""Number of texts that exist as Python objects while a sequence is gone through."""
MOST_SHARED = 65_536
"""Number of different texts from which on a column stores texts instead of numbers."""
ALWAYS_SHARED = 128
"""Number of different texts up to which it stores numbers, even if most of its texts are different."""


class TextSequence(Sequence[str]):
    """N texts. A slice is a list; any sequence of equal texts is equal."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    @abstractmethod
    def pieces(self) -> Iterator[list[str]]:
        """All texts in their order, in lists of at most AT_ONCE."""

    @abstractmethod
    def has(self, part: str) -> bool:
        """Whether some text contains the part."""

    @abstractmethod
    def are_among(self, words: Collection[str]) -> NDArray[np.bool_]:
        """Whether each text is one of the words [N]."""

    @abstractmethod
    def where(self, chosen: NDArray[np.bool_]) -> Set[str]:
        """The different texts of the rows that are chosen by a mask [N]."""

    @abstractmethod
    def changed(self, change: Callable[[str], str]) -> "Texts | SharedTexts":
        """The texts that a function returns for each text."""

    @abstractmethod
    def with_text(self, chosen: NDArray[np.bool_], text: str) -> "Texts | SharedTexts":
        """These texts, with another one in the rows that are chosen by a mask [N]."""

    @property
    @abstractmethod
    def are_ascii(self) -> bool:
        """Whether every text is ASCII."""

    def hashes(self) -> NDArray[np.int64]:
        """Python's hash of each text [N]; equal texts have equal ones in the same process."""
        return np.fromiter(map(hash, self), np.int64, len(self))

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self.pieces())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    def __repr__(self) -> str:
        more = ", …" if len(self) > 2 else ""
        return f"{type(self).__name__}([{', '.join(map(repr, self[:2]))}{more}]) of {len(self):,} texts"


class Texts(TextSequence):
    """N texts in one buffer. Empty texts at the end take no memory."""

    __slots__ = ("_buffer", "_ends", "_n")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._buffer, self._ends, self._n = bytearray(), array("I"), 0
        self.extend(texts)

    def append(self, text: str) -> None:
        """Add a text behind the last one."""
        if text:
            self._pad()
            self._buffer += text.encode(*ENCODING)
            self._widen()
            self._ends.append(len(self._buffer))
        self._n += 1

    def extend(self, texts: Iterable[str]) -> None:
        """Add texts behind the last one."""
        remaining = iter(texts)
        while piece := [*islice(remaining, AT_ONCE)]:
            together = "".join(piece)
            written: Sequence[str | bytes] = piece if together.isascii() else [one.encode(*ENCODING) for one in piece]
            sizes = np.fromiter(map(len, written), np.int64, len(written))
            n_stored = int(sizes.nonzero()[0][-1]) + 1 if together else 0
            if n_stored:
                self._pad()
                ends = len(self._buffer) + sizes[:n_stored].cumsum()
                self._buffer += together.encode(*ENCODING)
                self._widen()
                self._ends.frombytes(ends.astype(self._ends.typecode).tobytes())
            self._n += len(piece)

    def insert_first(self, text: str) -> None:
        """Put a text before the first one."""
        data = text.encode(*ENCODING)
        self._n += 1
        if data or self._ends:
            self._buffer[:0] = data
            self._widen()
            ends = np.frombuffer(self._ends, self._ends.typecode) + len(data)
            self._ends = array(self._ends.typecode, [len(data)])
            self._ends.frombytes(ends.astype(self._ends.typecode).tobytes())

    def pieces(self) -> Iterator[list[str]]:
        for first in range(0, len(self._ends), AT_ONCE):
            yield self._stored(first, first + AT_ONCE)
        for first in range(len(self._ends), self._n, AT_ONCE):
            yield [""] * (min(first + AT_ONCE, self._n) - first)

    def has(self, part: str) -> bool:
        data = part.encode(*ENCODING)
        return data in self._buffer and (len(part) == 1 or any(part in text for text in self))

    def are_among(self, words: Collection[str]) -> NDArray[np.bool_]:
        return np.fromiter(map(words.__contains__, self), np.bool_, self._n)

    def where(self, chosen: NDArray[np.bool_]) -> Set[str]:
        return frozenset(map(self.__getitem__, np.flatnonzero(chosen).tolist()))

    def changed(self, change: Callable[[str], str]) -> "Texts | SharedTexts":
        return compact(map(change, self))

    def with_text(self, chosen: NDArray[np.bool_], text: str) -> "Texts | SharedTexts":
        rows = zip(self, chosen.tobytes(), strict=True)
        return compact(text if is_chosen else own for own, is_chosen in rows)

    @property
    def are_ascii(self) -> bool:
        return self._buffer.isascii()

    def holds(self, text: str) -> bool:
        """Whether one of the texts is this one."""
        data, ends = text.encode(*ENCODING), np.frombuffer(self._ends, self._ends.typecode)
        if data and data not in self._buffer:
            return False
        rows = np.flatnonzero(np.diff(ends, prepend=ends.dtype.type(0)) == len(data))
        return (not data and self._n > ends.size) or any(self[row] == text for row in rows.tolist())

    def written(self, rows: NDArray[np.int64]) -> list[bytearray]:
        """The texts of these rows as they are stored, which is faster than decoding them."""
        ends = np.frombuffer(self._ends, self._ends.typecode)
        if not ends.size:
            return [bytearray()] * rows.size
        last = np.minimum(rows, ends.size - 1)
        stops = ends[last]
        starts = np.where(rows < ends.size, np.where(last > 0, ends[last - 1], 0), stops)
        buffer = self._buffer
        return [buffer[start:stop] for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)]

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[row] for row in range(self._n)[index]]
        row = index if 0 <= index < self._n else range(self._n)[index]
        if row >= len(self._ends):
            return ""
        return self._buffer[self._ends[row - 1] if row else 0 : self._ends[row]].decode(*ENCODING)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Texts):
            return (self._n, self._ends, self._buffer) == (other._n, other._ends, other._buffer)
        return super().__eq__(other)

    def _pad(self) -> None:
        """Store the empty texts at the end, because another one follows."""
        if len(self._ends) < self._n:
            self._ends.extend(repeat(len(self._buffer), self._n - len(self._ends)))

    def _widen(self) -> None:
        if len(self._buffer) > LARGEST_OFFSET and self._ends.typecode == "I":
            self._ends = array("Q", self._ends)

    def _stored(self, first: int, stop: int) -> list[str]:
        start = self._ends[first - 1] if first else 0
        ends = np.frombuffer(self._ends[first:stop], self._ends.typecode)  # of a copy: the array may grow meanwhile
        data = self._buffer[start : int(ends[-1])]
        sizes = np.diff(ends, prepend=ends.dtype.type(start)).tolist()
        if data.isascii():
            return [*map(StringIO(data.decode("ascii"), newline="").read, sizes)]  # the fastest way to part a text
        return [written.decode(*ENCODING) for written in map(BytesIO(data).read, sizes)]


class SharedTexts(TextSequence):
    """N texts, many of them equal, as numbers of their different values: one byte for each text, or two, or four."""

    __slots__ = ("_codes", "_numbers")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._numbers, self._codes = _Numbers(), array("B")
        self.extend([*texts])

    @property
    def values(self) -> list[str]:
        """The different texts, in the order in which they were added."""
        return self._numbers.values_in_order

    @property
    def codes(self) -> NDArray[Any]:
        """For each text the index of its value [N], unsigned integers."""
        return np.frombuffer(self._codes, self._codes.typecode)

    def extend(self, texts: Sequence[str]) -> None:
        """Add texts behind the last one."""
        codes = [*map(self._numbers.__getitem__, texts)]
        self._widen()
        self._codes.extend(array(self._codes.typecode, codes))

    def insert_first(self, text: str) -> None:
        """Put a text before the first one."""
        code = self._numbers[text]
        self._widen()
        self._codes.insert(0, code)

    def pieces(self) -> Iterator[list[str]]:
        for first in range(0, len(self._codes), AT_ONCE):
            yield [*map(self.values.__getitem__, self._codes[first : first + AT_ONCE])]

    def has(self, part: str) -> bool:
        return any(part in value for value in self.values)

    def are_among(self, words: Collection[str]) -> NDArray[np.bool_]:
        return np.fromiter(map(words.__contains__, self.values), np.bool_, len(self.values))[self.codes]

    def where(self, chosen: NDArray[np.bool_]) -> Set[str]:
        return frozenset(map(self.values.__getitem__, np.unique(self.codes[chosen]).tolist()))

    def changed(self, change: Callable[[str], str]) -> "Texts | SharedTexts":
        return shared([*map(change, self.values)], self.codes)

    def with_text(self, chosen: NDArray[np.bool_], text: str) -> "Texts | SharedTexts":
        return shared([*self.values, text], np.where(chosen, np.uint32(len(self.values)), self.codes))

    @property
    def are_ascii(self) -> bool:
        return all(map(str.isascii, self.values))

    def hashes(self) -> NDArray[np.int64]:
        return np.fromiter(map(hash, self.values), np.int64, len(self.values))[self.codes]

    def __len__(self) -> int:
        return len(self._codes)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [*map(self.values.__getitem__, self._codes[index])]
        return self.values[self._codes[index]]

    def _widen(self) -> None:
        largest = len(self.values) - 1
        typecode = next(code for code in "BHI" if largest < 256 ** array(code).itemsize)
        if typecode > self._codes.typecode:
            self._codes = array(typecode, self._codes)


def shared(values: Sequence[str], codes: Any) -> Texts | SharedTexts:
    """Texts given by their values, some of them perhaps equal or not used, and for each text the index of its value."""
    if len(values) > MOST_SHARED:
        return compact(map(values.__getitem__, codes))
    made, rows = SharedTexts(), np.asarray(codes)
    used = np.unique(rows)
    table = np.zeros(len(values), np.uint32)
    table[used] = [made._numbers[values[code]] for code in used.tolist()]
    made._widen()
    made._codes.frombytes(table.astype(made._codes.typecode)[rows].tobytes())
    return made


def as_array(texts: Sequence[str]) -> NDArray[np.str_]:
    """The texts as an array [N], which takes four bytes for each letter of the longest one."""
    if isinstance(texts, SharedTexts):
        return np.array(texts.values, np.str_)[texts.codes]
    return np.array([*texts], np.str_)


class _Numbers(dict[str, int]):
    """Numbers texts in the order in which they are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.values_in_order: list[str] = []

    def __missing__(self, text: str) -> int:
        self.values_in_order.append(text)
        return self.setdefault(text, len(self))


class TextsBuilder:
    """Collects the texts of a column and finds out which form takes fewer bytes."""

    def __init__(self) -> None:
        self._texts: Texts | SharedTexts = SharedTexts()

    def extend(self, texts: Sequence[str]) -> None:
        """Add texts behind the last one."""
        if isinstance(self._texts, SharedTexts) and _are_many(len(set(texts)), len(texts)):
            self._texts = Texts(self._texts)
        self._texts.extend(texts)
        if isinstance(self._texts, SharedTexts) and _are_many(len(self._texts.values), len(self._texts)):
            self._texts = Texts(self._texts)

    def built(self) -> Texts | SharedTexts:
        """All texts that were added."""
        return self._texts


def _are_many(n_different: int, n: int) -> bool:
    return n_different > min(MOST_SHARED, max(ALWAYS_SHARED, n // 2))


def compact(texts: Iterable[str]) -> Texts | SharedTexts:
    """The texts in the form that takes fewer bytes; those that have one of the two forms as they are."""
    if isinstance(texts, Texts | SharedTexts):
        return texts
    builder, remaining = TextsBuilder(), iter(texts)
    while piece := [*islice(remaining, AT_ONCE)]:
        builder.extend(piece)
    return builder.built()

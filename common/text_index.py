"""Find texts among a million others: by sorted hashes of 64 bits, and by the texts themselves on every hit."""

from collections.abc import Iterable, Iterator, Sequence, Set
from functools import cached_property
from itertools import compress, islice
from operator import eq
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spoofcache.common.texts import AT_ONCE, ENCODING, SharedTexts, Texts


class Repeat(NamedTuple):
    """A row whose text stands in an earlier row, too."""

    row: int
    earlier: int
    """The first row of this text."""


class TextIndex:
    """The rows of N texts, by text: 12 bytes for each, where a mapping of Python objects takes more than 100."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts if isinstance(texts, Texts) else Texts(texts)
        hashes = self._texts.hashes()
        order = np.argsort(hashes, kind="stable")
        self._rows = order.astype(np.uint32 if order.size < 2**32 else np.int64)
        self._hashes = hashes[order]

    def rows_of(self, texts: Iterable[str]) -> NDArray[np.int64]:
        """For each of M texts the last row that has it [M]; -1 where none has."""
        remaining, found = iter(texts), [np.zeros(0, np.int64)]
        while piece := [*islice(remaining, AT_ONCE)]:
            found.append(self._rows_of(piece))
        return np.concatenate(found)

    @cached_property
    def are_different(self) -> bool:
        """Whether every text occurs once."""
        return self.first_repeat is None

    @cached_property
    def first_repeat(self) -> Repeat | None:
        """The first row whose text occurred before; None where every text occurs once."""
        first: dict[str, int] = {}
        for row in np.flatnonzero(self._may_repeat).tolist():
            earlier = first.setdefault(self._texts[row], row)
            if earlier != row:
                return Repeat(row, earlier)
        return None

    @cached_property
    def is_first(self) -> NDArray[np.bool_]:
        """Whether no earlier row has the same text [N]."""
        firsts, seen = ~self._may_repeat, set[str]()
        for row in np.flatnonzero(~firsts).tolist():
            text = self._texts[row]
            firsts[row] = text not in seen
            seen.add(text)
        return firsts

    @property
    def _may_repeat(self) -> NDArray[np.bool_]:
        """Whether another row has the same hash [N]."""
        same = self._hashes[1:] == self._hashes[:-1]
        found = np.zeros(self._rows.size, bool)
        found[self._rows[1:][same]] = True
        found[self._rows[:-1][same]] = True
        return found

    def _rows_of(self, texts: Sequence[str]) -> NDArray[np.int64]:
        wanted = np.fromiter(map(hash, texts), np.int64, len(texts))
        places = np.searchsorted(self._hashes, wanted, side="right") - 1
        is_hit = (places >= 0) & (self._hashes[places] == wanted) if self._hashes.size else np.zeros(len(texts), bool)
        rows = np.full(len(texts), -1, np.int64)
        rows[is_hit] = self._rows[places[is_hit]]
        hits = np.flatnonzero(is_hit)
        there = self._texts.written(rows[hits])
        asked = (text.encode(*ENCODING) for text in compress(texts, is_hit.tolist()))
        are_equal = np.fromiter(map(eq, there, asked), np.bool_, hits.size)
        for number in hits[~are_equal].tolist():
            rows[number] = self._among_equal_hashes(int(places[number]), texts[number])
        return rows

    def _among_equal_hashes(self, place: int, text: str) -> int:
        """The row of a text whose hash is that of another text at this place of the sorted hashes; -1 for none."""
        wanted = self._hashes[place]
        while place >= 0 and self._hashes[place] == wanted:
            if self._texts[int(self._rows[place])] == text:
                return int(self._rows[place])
            place -= 1
        return -1


class DifferentTexts(Set[str]):
    """The different ones of N texts, as a set that is not stored."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    @cached_property
    def _n(self) -> int:
        return len(self._texts) if _have_own_hashes(self._texts) else int(TextIndex(self._texts).is_first.sum())

    def __len__(self) -> int:
        return self._n

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and bool(self._texts) and self._texts.holds(text)

    def __iter__(self) -> Iterator[str]:
        if self._n == len(self._texts):
            return iter(self._texts)
        return compress(self._texts, TextIndex(self._texts).is_first)

    @classmethod
    def _from_iterable(cls, it: Iterable[str]) -> frozenset[str]:  # type: ignore[override]
        return frozenset(it)


def different(texts: Texts | SharedTexts) -> Set[str]:
    """The different ones of some texts, as a set."""
    return frozenset(texts.values) if isinstance(texts, SharedTexts) else DifferentTexts(texts)


def first_repeat(texts: Sequence[str]) -> Repeat | None:
    """The first row whose text occurred before; None where every text occurs once, which takes 8 bytes for each."""
    texts = texts if isinstance(texts, Texts) else Texts(texts)
    return None if _have_own_hashes(texts) else TextIndex(texts).first_repeat


def _have_own_hashes(texts: Texts) -> bool:
    """Whether no two texts have the same hash, so that all of them are different."""
    hashes = texts.hashes()
    hashes.sort()
    return bool((hashes[1:] != hashes[:-1]).all())

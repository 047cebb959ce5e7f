"""Trials in columns of bytes: a million utterances take about 30 bytes each, and a Python object only while in use."""

import json
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from operator import eq
from os.path import split
from pathlib import Path
from typing import Any, overload

from spoofcache.common.text_index import first_repeat
from spoofcache.common.texts import AT_ONCE, SharedTexts, Texts, shared
from spoofcache.protocols.trial import CLASS_INDEX, ProtocolError, Trial

MOST_SHARED = 65_536
"""Number of different values of a column from which on further ones are stored for each trial, without a look-up."""
MOST_REMEMBERED = 4_096
"""Number of values that are kept as Python objects."""


class _Shared:
    """N texts, many of them equal, as numbers of `values`."""

    __slots__ = ("codes", "values")

    def __init__(self, values: Texts, codes: "array[int]") -> None:
        self.values, self.codes = values, codes

    def __getitem__(self, row: int) -> str:
        return self.values[self.codes[row]]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shared) and (self.codes, self.values) == (other.codes, other.values)

    __hash__ = None  # type: ignore[assignment]

    def take(self, rows: Iterable[int]) -> "_Shared":
        return _Shared(self.values, array("I", map(self.codes.__getitem__, rows)))


class _Numbers(dict[Any, int]):
    """Numbers the different values of a column, `texts`, while the column is written."""

    def __init__(self, text_of: Callable[[Any], str] = str) -> None:
        super().__init__()
        self.texts, self._text_of = Texts(), text_of

    def __missing__(self, value: Any) -> int:
        number = len(self.texts)
        self.texts.append(self._text_of(value))
        if number < MOST_SHARED:
            self[value] = number
        return number


Row = tuple[str, str, str, str, Mapping[str, str], Path | None, str]
"""Name, key, attack, speaker, conditions, path and file of a trial."""


class _Memory(dict[int, Any]):
    """The value of each number in a column, kept while there are few."""

    def __init__(self, texts: Texts, value_of: Callable[[str], Any]) -> None:
        super().__init__()
        self._texts, self._value_of = texts, value_of

    def __missing__(self, number: int) -> Any:
        if len(self) == MOST_REMEMBERED:
            self.clear()
        return self.setdefault(number, self._value_of(self._texts[number]))


class TrialTable(Sequence[Trial]):
    """An immutable sequence of trials that makes each `Trial` when it is asked for.

    It equals any sequence of equal trials. A slice is a table, too.

    Attributes:
        names: the name of each utterance [N].
    """

    __slots__ = ("_facts", "_files", "_folders", "_paths", "_speakers", "names")

    def __init__(self, trials: Iterable[Trial] = ()) -> None:
        self._fill((t.utt_id, t.key, t.attack, t.speaker, t.conditions, t.path, t.file) for t in trials)

    def _fill(self, rows: Iterable[Row]) -> None:
        names, files, paths, folders = Texts(), Texts(), Texts(), _Numbers()
        speakers, speaker_codes, facts, fact_codes = _Numbers(), array("I"), _Numbers(_written), array("I")
        remaining = iter(rows)
        while piece := [*islice(remaining, AT_ONCE)]:  # column by column is faster than row by row
            names.extend([row[0] for row in piece])
            files.extend([row[6] for row in piece])
            paths.extend(["" if row[5] is None else _split(row[5], folders) for row in piece])
            speaker_codes.extend([speakers[row[3]] for row in piece])
            fact_codes.extend([facts[row[1], row[2], tuple(row[4].items()) if row[4] else ()] for row in piece])
        self.names, self._files, self._paths, self._folders = names, files, paths, folders.texts
        self._speakers, self._facts = _Shared(speakers.texts, speaker_codes), _Shared(facts.texts, fact_codes)

    @classmethod
    def of_rows(cls, rows: Iterable[Row]) -> "TrialTable":
        """The table of trials given by their columns, which is faster than by a `Trial` each."""
        table = cls()
        table._fill(rows)
        return table

    @classmethod
    def of(cls, trials: Iterable[Trial]) -> "TrialTable":
        """The trials as a table; a table as it is."""
        return trials if isinstance(trials, cls) else cls(trials)

    @property
    def names_as_written(self) -> Texts:
        """The name of each utterance [N] as its protocol writes it, with the ending of its file where that names it."""
        if not any(self._files):
            return self.names
        return Texts(file or name for file, name in zip(self._files, self.names, strict=True))

    @property
    def labels(self) -> "array[int]":
        """The class index of each trial [N], one byte for each."""
        values = array("b", (CLASS_INDEX[_read(text)[0]] for text in self._facts.values))
        return array("b", map(values.__getitem__, self._facts.codes))

    def column(self, name: str, default: str) -> Texts | SharedTexts:
        """`key`, `attack`, `speaker` or a condition of each trial [N]; the default where it has no such condition."""
        if name == "speaker":
            return shared(self._speakers.values, self._speakers.codes)
        if name in ("key", "attack"):
            return self._of_facts(lambda key, attack, conditions: key if name == "key" else attack)
        return self.condition(name, default)

    def condition(self, name: str, default: str) -> Texts | SharedTexts:
        """A condition of each trial [N]; the default where it has no such condition."""
        return self._of_facts(lambda key, attack, conditions: conditions.get(name, default))

    def _of_facts(self, choose: Callable[[str, str, Mapping[str, str]], str]) -> Texts | SharedTexts:
        return shared([choose(*_read(text)) for text in self._facts.values], self._facts.codes)

    def condition_names(self) -> list[str]:
        """The names of all conditions, sorted."""
        used = set(self._facts.codes)
        return sorted({name for code in used for name in _read(self._facts.values[code])[2]})

    def take(self, rows: Iterable[int]) -> "TrialTable":
        """The trials of these row numbers, in their order."""
        chosen, taken = [*rows], TrialTable()
        for texts, own in ((taken.names, self.names), (taken._files, self._files), (taken._paths, self._paths)):
            for row in chosen:
                texts.append(own[row])
        taken._speakers, taken._facts = self._speakers.take(chosen), self._facts.take(chosen)
        taken._folders = self._folders
        return taken

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Trial: ...
    @overload
    def __getitem__(self, index: slice) -> "TrialTable": ...
    def __getitem__(self, index: int | slice) -> "Trial | TrialTable":
        if isinstance(index, slice):
            rows = range(len(self))[index]
            return self if rows == range(len(self)) else self.take(rows)
        row = range(len(self))[index]
        key, attack, conditions = _read(self._facts[row])
        path, speaker = self._paths[row], sys.intern(self._speakers[row])
        place = self._path(path) if path else None
        return Trial(self.names[row], key, attack, speaker, place, conditions, self._files[row])

    def __iter__(self) -> Iterator[Trial]:
        speakers, facts = _Memory(self._speakers.values, sys.intern), _Memory(self._facts.values, _read)
        columns = zip(self.names, self._files, self._paths, self._speakers.codes, self._facts.codes, strict=True)
        for name, file, path, speaker, fact in columns:
            key, attack, conditions = facts[fact]
            yield Trial(name, key, attack, speakers[speaker], self._path(path) if path else None, conditions, file)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        if len(self) != len(other):
            return False
        return self._is_same(other) or all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        more = ", …" if len(self) > 2 else ""
        return f"TrialTable([{', '.join(map(repr, islice(self, 2)))}{more}]) of {len(self):,} trials"

    def _is_same(self, other: Sequence[Trial]) -> bool:
        """Whether another table has the same bytes, which is quickly seen; equal trials may have other bytes."""
        if not isinstance(other, TrialTable):
            return False
        one, another = (
            (table.names, table._speakers, table._facts, table._folders, table._paths) for table in (self, other)
        )
        return one == another

    def _path(self, text: str) -> Path:
        number, _, name = text.partition("/")
        return Path(self._folders[int(number)], name)


def _split(path: Path, folders: _Numbers) -> str:
    """A path as the number of its folder and the name of its file."""
    folder, name = split(path)
    return f"{folders[folder]}/{name}"


def _written(facts: tuple[str, str, tuple[tuple[str, str], ...]]) -> str:
    key, attack, conditions = facts
    return json.dumps([key, attack, dict(conditions)], ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=MOST_REMEMBERED)
def _read(text: str) -> tuple[str, str, Mapping[str, str]]:
    """Key, attack and conditions as `_written`; trials with equal ones share them."""
    key, attack, conditions = json.loads(text)
    return sys.intern(key), sys.intern(attack), conditions


def check_unique(trials: Sequence[Trial], source: Path, start: int = 1) -> None:
    """Raise ProtocolError for the first duplicate utterance; `source` is the file to name, `start` its first line."""
    names = TrialTable.of(trials).names
    again = first_repeat(names)
    if again:
        first = f"utterance {names[again.row]} is already on line {start + again.earlier}"
        raise ProtocolError(f"{source}:{start + again.row}: {first}; expected every utterance once")

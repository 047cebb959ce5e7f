"""Recognises the columns of a countermeasure score file by their contents.

A score file names each utterance and gives it a number. Other columns (class, attack, duration, a constant word at the
beginning of each line) are recognised if possible, and ignored if they are not needed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from spoofcache.common.tables.columns import NUMBER_LIKE, Column, Table, tables
from spoofcache.common.tables.foreign import refuse_foreign
from spoofcache.common.tables.layout import TableError, read_lines, shown
from spoofcache.common.tables.roles import (
    Asked,
    Names,
    asked_columns,
    find_attack,
    find_key,
    find_utterance,
    is_of_asv,
    named_by_header,
    refuse_hidden_rows,
    table_error,
    two_readings,
    understand,
)
from spoofcache.common.tables.words import ATTACK_ID, NOT_KEYS, NOT_SCORES, UNKNOWN, class_of, plain
from spoofcache.common.text_index import different
from spoofcache.common.texts import SharedTexts, Texts, compact

EXPECTED = "one line per trial with the name of the utterance and its score, such as `LA_E_1 2.5`"
ROLES = ("utterance", "score", "key", "attack", "bonafide", "spoof", "speaker")
"""The names that --column accepts for a score file; `bonafide` and `spoof` are columns in which 1 means that class."""
SYNONYMS = {"utt_id": "utterance", "file": "utterance", "filename": "utterance", "label": "key"}
WHOLE = re.compile(r"[-+]?\d+", re.ASCII)
TOLERANCE = 2e-3
"""Largest error of two outputs of a network whose sum should be zero or one, since they may be printed roughly."""


class Joined(NamedTuple):
    """The two parts of names such as `LA_E_1_A07`, or `LA_E_2_-` of a bona fide trial."""

    utterances: Texts
    attacks: Texts | SharedTexts


@dataclass(frozen=True, eq=False)
class ScoreColumns:
    """The columns of a score file by their meaning; None if the file has no such column."""

    table: Table
    utterance: Column
    score: Column
    key: Column | None
    attack: Column | None
    binary: Column | None
    """A column of 0 and 1 beside the score, which may be the class; it is not known which number means bona fide."""
    is_bonafide: NDArray[np.bool_] | None
    """Whether the key of each trial [N] is bona fide; None if the file has no key in words."""
    joined: Joined | None
    """Utterances and attacks, if the file joins both by `_`; None if the names are those of utterances alone."""

    def __str__(self) -> str:
        named = {"utterance": self.utterance, "score": self.score, "key": self.key, "attack": self.attack}
        said = [f"{name} = {column}" for name, column in named.items() if column]
        if self.joined:
            said[0] = f"utterance and attack, joined by `_` = {self.utterance}"
        if self.binary:
            said.append(f"0 and 1 = {self.binary}")
        used = {column.number for column in (*named.values(), self.binary) if column}
        unused = [str(one) for one in self.table.columns if one.number not in used]
        return ", ".join(said) + (f"; not used: {', '.join(unused)}" if unused else "")


def score_columns(path: Path, asked: Asked | None = None, known: Names | None = None) -> ScoreColumns:
    """Read a score file and determine the meaning of its columns.

    Args:
        path: the file.
        asked: columns that the user names, by ROLES.
        known: gives the names of the protocol's utterances, by which one column of several is recognised.

    Raises:
        TableError: the text is not a table, has no names or scores, or can be read in two ways.
    """
    asked = {SYNONYMS.get(name, name): reference for name, reference in (asked or {}).items()}
    unknown = [name for name in asked if name not in ROLES]
    if unknown:
        raise TableError(
            f"--column {unknown[0]}={asked[unknown[0]]}: a score file has no such column; expected {', '.join(ROLES)}"
        )
    lines = read_lines(path, EXPECTED)
    found = understand(lines, asked, lambda table: _score_columns(table, asked, known))
    refuse_hidden_rows(found.table, found.score, lambda cell: NUMBER_LIKE.fullmatch(cell) is not None)
    return found


def _score_columns(table: Table, asked: Asked, known: Names | None) -> ScoreColumns:
    chosen = asked_columns(table, asked)
    if not asked:
        refuse_foreign(table, EXPECTED)
    taken = {one.number for one in chosen.values() if one}
    free = [one for one in table.columns if one.number not in taken]
    stated = _stated_classes(table, free, chosen)
    free = _without(free, stated.words, stated.digits)
    score = chosen.get("score") or _find_score(table, free, "utterance" not in asked)
    free = [one for one in _without(free, score) if not one.parts]
    utterance = chosen.get("utterance") or _find_name(table, free, known)
    return _with_rest(table, _without(free, utterance), chosen, stated, utterance, score)


class _Stated(NamedTuple):
    """The columns that state the classes: in words, or as 0 and 1."""

    words: Column | None
    digits: Column | None = None


def _stated_classes(table: Table, free: Sequence[Column], chosen: Mapping[str, Column | None]) -> _Stated:
    if "key" in chosen:
        return _Stated(chosen["key"])
    key = find_key(table, free)
    if key and key.is_binary:  # its header says that it is the key, but not what 1 means
        return _Stated(None, key)
    return _Stated(key)


def _find_name(table: Table, free: Sequence[Column], known: Names | None) -> Column:
    """The column that names the utterances; refuses a name that is a word for a class, which only a header can be."""
    column = find_utterance(table, free, known)
    name = column.cells[0]
    if class_of(name):
        table.lines.refuse(0, f"utterance {shown(name)}", "a name, or a header that names a column (--column)")
    return column


def _with_rest(
    table: Table,
    free: Sequence[Column],
    chosen: Mapping[str, Column | None],
    stated: _Stated,
    utterance: Column,
    score: Column,
) -> ScoreColumns:
    """The meaning of the columns that are left: the attack, and 0 and 1 that may be the key."""
    is_bonafide = stated.words.means_bonafide if stated.words else None
    attack = chosen["attack"] if "attack" in chosen else find_attack(table, free, is_bonafide)
    others = [one for one in _without(free, attack) if _may_be_key(one, bool(stated.words))]
    joined = None if attack or is_bonafide is None else _joined(table, utterance.cells, is_bonafide)
    digits = stated.digits or _only_binary(others)
    return ScoreColumns(table, utterance, score, stated.words, attack, digits, is_bonafide, joined)


def _without(columns: Sequence[Column], *taken: Column | None) -> list[Column]:
    return [one for one in columns if not any(one is other for other in taken)]


def _may_be_key(column: Column, has_key: bool) -> bool:
    """Whether a column, if it holds 0 and 1, may be the key; beside a key in words, only without another header."""
    if plain(column.header) in NOT_KEYS:
        return False
    return not has_key or not column.header or column.meaning == "key"


def _only_binary(free: Sequence[Column]) -> Column | None:
    """The only column that contains both 0 and 1 and nothing else; None if there is none, or several."""
    binary = [one for one in free if one.is_binary and not one.is_constant]
    return binary[0] if len(binary) == 1 else None


def _find_score(table: Table, free: Sequence[Column], is_utterance_free: bool) -> Column:
    """The column of the scores: by its header, or the only one of numbers that differ from trial to trial.

    Where a column holds several numbers in a cell, the user must choose one of them.
    """
    lists = [one for one in free if one.parts]
    free = _without(free, *lists)
    named = named_by_header("score", free)
    numeric = [one for one in free if one.is_numeric and not is_of_asv(one) and plain(one.header) not in NOT_SCORES]
    called = [one for one in free if is_called_a_score(one) and not is_of_asv(one)]
    if not named:
        named = [one for one in called if one.is_numeric]
    if called and not named:
        found = f"{called[0]} is called a score but holds {shown(called[0].cells[0], 30)}"
        raise table_error(table, f"{found}, the first row below", "numbers")
    if len(named) == 1:
        return named[0]
    numeric = _without_names(table, numeric, free) if is_utterance_free else numeric
    if lists:
        numeric = [one for one in numeric if not one.is_binary]
    numeric = named or [*_informative(numeric), *(part for one in lists for part in one.parts)]
    if len(numeric) == 1 and not named:
        _refuse_decimal_comma(table, numeric[0])
    if not numeric:
        raise table_error(table, "no column of numbers", "a score in each line (--column score=…)")
    if len(numeric) > 1:
        raise two_readings(table, "score", numeric, _relation(numeric))
    return numeric[0]


def is_called_a_score(column: Column) -> bool:
    """Whether a column is called a score by its header."""
    return column.meaning == "score" or "score" in plain(column.header).split("_")


def _refuse_decimal_comma(table: Table, score: Column) -> None:
    """`u1,2,5` without a header: two numbers, or 2.5 with a decimal comma."""
    if table.separator != "," or table.header or score.number == len(table.columns) or ", " in table.first:
        return
    following = table.columns[score.number]
    if all(WHOLE.fullmatch(cell) for cell in score.cells) and all(cell[:1].isdecimal() for cell in following.cells):
        example = f"{score.cells[0]},{following.cells[0]}"
        raise table_error(
            table,
            f"{shown(example)} may be two cells or a number with a decimal comma,",
            f"numbers with a decimal point, or --column score={score.number} where they are two cells",
        )


def _without_names(table: Table, numeric: Sequence[Column], free: Sequence[Column]) -> list[Column]:
    """The columns of numbers, except one that names the utterances (if they are called 0, 1, 2, …)."""
    if len(numeric) < len(free) and any(not one.is_constant for one in free if one not in numeric):
        return list(numeric)  # a text names them
    named = named_by_header("utterance", numeric)
    whole = [one for one in numeric if one.is_unique and all(cell.isdecimal() for cell in one.cells)]
    names = named or whole
    if len(names) > 1:
        raise two_readings(table, "utterance", names)
    return [one for one in numeric if one not in names]


def _informative(numeric: Sequence[Column]) -> list[Column]:
    """The columns that can be scores: without row numbers, constants, and 0 and 1, if other columns remain."""
    for is_idle in (lambda one: one.is_index, lambda one: one.is_constant, lambda one: one.is_binary):
        numeric = [one for one in numeric if not is_idle(one)] or numeric
    return list(numeric)


def _relation(columns: Sequence[Column]) -> str:
    """A clause that explains why two columns look like two outputs of one network; empty if no two columns do."""
    for a, one in enumerate(columns):
        for other in columns[a + 1 :]:
            if one.numbers is None or other.numbers is None:
                continue
            sums = one.numbers + other.numbers
            both = f"columns {one.number} and {other.number}"
            both = both if one.number != other.number else f"the numbers of column {one.number}"
            if (np.abs(sums) <= TOLERANCE).all():
                return f"{both} mirror each other, as two outputs of a network do"
            if (np.abs(sums - 1) <= TOLERANCE).all():
                return f"{both} sum to one, as two outputs of a network do"
    return ""


def _joined(table: Table, names: Sequence[str], is_bonafide: NDArray[np.bool_]) -> Joined | None:
    """Split names at their last `_` if all of them end in an attack, or `-` for bona fide; None if no name does.

    Raises:
        TableError: some bona fide names end in `_-`, but other names are not of this form.
    """
    n_genuine = int(is_bonafide.sum())
    n_marked = sum(name.endswith(f"_{UNKNOWN}") for name in compress(names, is_bonafide.tobytes()))
    if n_genuine and not n_marked:
        return None
    utterances = Texts(name.rpartition("_")[0] for name in names)
    joined = Joined(utterances, compact(name.rpartition("_")[2] for name in names))
    if not n_genuine:
        return joined if _has_only_attack_ids(joined) else None
    if n_marked < n_genuine or any("" in different(part) for part in joined):
        _refuse_mixed_names(table, names, is_bonafide, joined)
    return joined


def _has_only_attack_ids(joined: Joined) -> bool:
    """Whether all names, which are of spoofs only, end in ids of attacks, and are still distinct without them."""
    names = different(joined.utterances)
    are_ids = all(ATTACK_ID.fullmatch(attack) or attack == UNKNOWN for attack in joined.attacks)
    return are_ids and "" not in names and len(names) == len(joined.utterances)


def _refuse_mixed_names(table: Table, names: Sequence[str], is_bonafide: NDArray[np.bool_], joined: Joined) -> NoReturn:
    for row, (stem, attack, is_true) in enumerate(zip(*joined, is_bonafide.tolist(), strict=True)):
        if not stem or not attack:
            expected = "utterance and attack joined by `_`, as in the other lines"
            table.lines.refuse(row, f"name {shown(names[row])}", expected)
        if (
            is_true and attack != UNKNOWN
        ):  # otherwise, the last part of the utterance's name would be taken for an attack
            table.lines.refuse(row, f"name {shown(names[row])} with key bonafide", "a bona fide name that ends in `_-`")
    raise AssertionError("all names are of the same form")


def names_in(path: Path) -> frozenset[str]:
    """All cells of the columns that are not numeric, which include the names of the utterances."""
    lines = read_lines(path, EXPECTED, printable=False)
    return frozenset(
        cell for table in tables(lines) for one in table.columns if not one.is_numeric for cell in one.values
    )

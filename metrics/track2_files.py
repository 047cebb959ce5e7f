"""Score files and keys of ASVspoof 5 track 2, spoofing-robust speaker verification.

The organisers' evaluation package (public repository asvspoof-challenge/asvspoof5, evaluation-package/util.py) reads a
table with the header `spk filename cm-score asv-score sasv-score` and, apart from it, the key: speaker, utterance, and
whether the trial is target, nontarget or spoof. A system that has no scores of a countermeasure or of speaker
verification alone writes `-` in their columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spoofcache.common.names import NameCollision, match_names
from spoofcache.common.tables.columns import Column, Table, tables
from spoofcache.common.tables.layout import TableError, read_lines, shown
from spoofcache.common.tables.roles import named_by_header
from spoofcache.common.tables.words import class_of
from spoofcache.common.texts import compact
from spoofcache.metrics.asv_files import ASV_KEYS, Pair, asv_scores
from spoofcache.metrics.det import FloatArray, ScoreError
from spoofcache.metrics.score_files import numbers_of
from spoofcache.metrics.scores import UNKNOWN, AsvScores

FORM = "a table with the header `spk filename cm-score asv-score sasv-score`"
KEY_FORM = "the key of track 2: speaker, utterance, …, target|nontarget|spoof"
TAG, DUMMY = "track_2_tag", "dummy"
"""The column and its value by which the organisers' full key marks trials that do not count."""


@dataclass(frozen=True, eq=False)
class TandemScores(AsvScores):
    """Scores of speaker and spoofing together, with those of the two systems behind them."""

    asv: AsvScores
    cm: AsvScores
    """Countermeasure scores of the same trials; target and nontarget trials are bona fide."""


class _Key(NamedTuple):
    """The trials of a key, in its order, and those that it says do not count."""

    pairs: list[Pair]
    classes: list[str]
    dummies: frozenset[Pair]


def is_track_2(path: Path) -> bool:
    """Whether a file has the header of track 2's score files."""
    try:
        return any(table.column("sasv-score") for table in tables(read_lines(path, FORM)) if table.header)
    except TableError:
        return False


def read_track_2(path: Path, key_path: Path) -> AsvScores:
    """Read scores of track 2 and join them with their key by speaker and utterance, in the order of the key.

    Returns:
        TandemScores where the file has the scores of both systems behind the joint ones.

    Raises:
        ScoreError: a file of another form, a trial that is there twice or only in one of the files, a score that is no
            number, a key that contradicts itself, or one of the three classes is missing.
    """
    try:
        scores, key = next(tables(read_lines(path, FORM))), _read_key(key_path)
        pairs, rule = _renamed(_pairs(scores), key, path)
        rows = _rows_of(scores, pairs, key, key_path)
        made = {name: _joined(scores, name, rows, key) for name in ("sasv-score", "asv-score", "cm-score")}
    except TableError as error:
        raise ScoreError(str(error)) from error
    sasv, asv, cm = made.values()
    if sasv is None:
        raise ScoreError(f"{path}: the column sasv-score is empty; expected {FORM}")
    notes = (f"Names of {path} match without regard to {rule}.",) if rule else ()
    if asv is None or cm is None:
        lacking = " and ".join(name for name, scores in made.items() if scores is None)
        return replace(sasv, notes=(*notes, f"{path}: no t-EER, because there are no scores in {lacking}."))
    return TandemScores(sasv.target, sasv.nontarget, sasv.spoof, sasv.spoof_attacks, asv, cm, notes=notes)


def _read_key(path: Path) -> _Key:
    table = _headless(path)
    pairs, classes = _pairs(table), _classes(table)
    for row in _repeated(pairs):
        table.lines.refuse(row, f"trial {' '.join(pairs[row])} occurs twice", "every trial once")
    tags = table.column(TAG) if table.header else None
    is_dummy = [cell == DUMMY for cell in tags.cells] if tags else [False] * len(pairs)
    counted = [row for row, dummy in enumerate(is_dummy) if not dummy]
    dummies = frozenset(pair for pair, dummy in zip(pairs, is_dummy, strict=True) if dummy)
    return _Key([pairs[row] for row in counted], [classes[row] for row in counted], dummies)


def _headless(path: Path) -> Table:
    """The key; its first line is a trial if it states a class, though `target` may be a header elsewhere."""
    lines = read_lines(path, KEY_FORM)
    table = next(tables(lines))
    if not any(one.header in ASV_KEYS for one in table.columns):
        return table
    columns = [Column(one.number, "", compact([one.header, *one.cells])) for one in table.columns]
    return Table(lines, table.separator, columns, "", table.first)


def _pairs(table: Table) -> list[Pair]:
    """Speaker and utterance of each trial: by their headers, or else the first two columns."""
    columns = table.columns[:2]
    if table.header:
        columns = [_named(table, "speaker"), _named(table, "utterance")]
    return list(zip(*(one.cells for one in columns), strict=True))


def _named(table: Table, meaning: str) -> Column:
    found = named_by_header(meaning, table.columns)
    if len(found) != 1:
        names = {"speaker": "spk", "utterance": "filename"}
        raise TableError(
            f"{table.lines.path}: {len(found) or 'no'} columns {names[meaning]} in {shown(table.first)}; expected one"
        )
    return found[0]


def _classes(table: Table) -> list[str]:
    """Whether each trial is target, nontarget or spoof."""
    stated = [one for one in table.columns if {"target", "nontarget"} & set(map(str.lower, one.values))]
    if len(stated) != 1:
        raise TableError(
            f"{table.lines.path}: {len(stated)} columns of target, nontarget and spoof in {shown(table.first)}; "
            f"expected {KEY_FORM}"
        )
    classes = list(map(str.lower, stated[0].cells))
    for row, one in enumerate(classes):
        if one not in ASV_KEYS:
            table.lines.refuse(row, f"class {shown(stated[0].cells[row])}", " or ".join(ASV_KEYS))
    _require_agreement(table, stated[0], classes)
    return classes


def _require_agreement(table: Table, stated: Column, classes: Sequence[str]) -> None:
    """Raise a TableError where a column that says `bonafide` contradicts the classes of the trials."""
    for column in table.columns:
        if column is stated or not any(class_of(value) == "bonafide" for value in column.values):
            continue
        for row, (cell, one) in enumerate(zip(column.cells, classes, strict=True)):
            if (class_of(cell) == "bonafide") == (one == "spoof"):
                found = f"{shown(cell)} in {column} with {one} in {stated}"
                table.lines.refuse(row, found, "bonafide with target and nontarget only")


def _renamed(pairs: list[Pair], key: _Key, path: Path) -> tuple[list[Pair], str]:
    """The trials of the scores with the names of utterances as the key writes them, and the rule that was needed."""
    listed = list(dict.fromkeys(utterance for _, utterance in key.pairs))
    found = list(dict.fromkeys(utterance for _, utterance in pairs))
    known = {utterance for _, utterance in key.dummies}.difference(listed)
    try:
        match = match_names(found, listed, known)
    except NameCollision as error:
        raise ScoreError(f"{path}: {error}") from error
    if not match.rule:
        return pairs, ""
    name_of = {found[row]: name for name, row in zip(listed, match.rows.tolist(), strict=True) if row >= 0}
    return [(speaker, name_of.get(utterance, utterance)) for speaker, utterance in pairs], match.rule


def _rows_of(scores: Table, pairs: Sequence[Pair], key: _Key, key_path: Path) -> list[int]:
    """The row of each trial of the key."""
    path = scores.lines.path
    for row in _repeated(pairs):
        scores.lines.refuse(row, f"trial {' '.join(pairs[row])} occurs twice", "every trial once")
    row_of, listed = {pair: row for row, pair in enumerate(pairs)}, frozenset(key.pairs)
    for pair in key.pairs:
        if pair not in row_of:
            raise ScoreError(f"{path}: no trial {' '.join(pair)}; expected all trials of {key_path}")
    for pair in pairs:
        if pair not in listed and pair not in key.dummies:
            raise ScoreError(f"{key_path}: no trial {' '.join(pair)}; expected all trials of {path}")
    return [row_of[pair] for pair in key.pairs]


def _repeated(pairs: Sequence[Pair]) -> list[int]:
    """The first row whose trial an earlier row has; none where all trials differ."""
    if len(set(pairs)) == len(pairs):
        return []
    seen: set[Pair] = set()
    return [next(row for row, pair in enumerate(pairs) if pair in seen or seen.add(pair))]  # type: ignore[func-returns-value]


def _joined(scores: Table, name: str, rows: Sequence[int], key: _Key) -> AsvScores | None:
    """The scores of a column by the classes of the key; None where there are none."""
    column = scores.column(name)
    if column is None or column.is_empty:
        return None
    numbers = numbers_of(scores, column)[rows]
    return asv_scores(scores.lines.path, key.classes, [UNKNOWN] * len(rows), numbers)


def bona_fide(scores: AsvScores) -> FloatArray:
    """Scores of the target and nontarget trials together."""
    return np.concatenate([scores.target, scores.nontarget])

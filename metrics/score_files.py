"""Reads score files, and raises an error with file, line and value if they cannot be used.

Countermeasure (CM) score files have one trial per line; a higher score means more likely bona fide. `score_columns`
determines the meaning of the columns.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from spoofcache.common.arguments import checked
from spoofcache.common.names import quoted, without_ending
from spoofcache.common.tables.columns import NUMBER_LIKE, Column, Table
from spoofcache.common.tables.layout import TableError, shown
from spoofcache.common.tables.roles import Names, require_classes
from spoofcache.common.tables.words import BINARY, class_of, plain
from spoofcache.common.text_index import TextIndex, first_repeat
from spoofcache.common.texts import SharedTexts, Texts
from spoofcache.metrics.det import FloatArray, ScoreError
from spoofcache.metrics.score_columns import ScoreColumns, is_called_a_score, score_columns
from spoofcache.metrics.scores import LARGEST, UNKNOWN, CmScores


@checked
def read_scores(
    path: Path | str, columns: Mapping[str, str] | None = None, known_names: Names | None = None
) -> CmScores:
    """Read a CM score file.

    Args:
        path: the file.
        columns: our name of a column (`utterance`, `score`, `key`, `attack`; `bonafide` or `spoof` for a column in
            which 1 means that class) → its header or its number, if the contents do not show it.
        known_names: returns the names of the utterances of a protocol, by which one of several columns is recognised.

    Raises:
        ScoreError: the text is not a table, has no names or scores, or can be read in two ways; a score is not a
            decimal number within ±LARGEST; a key is unknown; the attack of a spoof is `bonafide`; a trial occurs twice.
    """
    try:
        return _cm_scores(score_columns(Path(path), columns, known_names), columns or {})
    except TableError as error:
        raise ScoreError(str(error)) from error


def _cm_scores(found: ScoreColumns, asked: Mapping[str, str]) -> CmScores:
    table = found.table
    is_bonafide = _is_bonafide(found, asked)
    names, attacks = found.joined or (found.utterance.cells, found.attack.cells if found.attack else None)
    if attacks is not None:
        attacks = _spoof_attacks(table, attacks, is_bonafide)
    _check_unique(table, names)
    scores = numbers_of(table, found.score, f" (understood: {found})")
    ones = found.binary.is_one if found.binary else None
    remarks = tuple(_remarks(found, asked, scores))
    return CmScores(names, attacks, is_bonafide, scores, table.lines.path, table.describe(), str(found), ones, remarks)


def _remarks(found: ScoreColumns, asked: Mapping[str, str], scores: FloatArray) -> Iterator[str]:
    path, score = found.table.lines.path, found.score
    if found.key and found.key.is_binary and not asked.keys() & {"bonafide", "spoof"}:
        reference = found.key.header or found.key.number
        yield f"{path}: 1 in {found.key} was taken for bona fide (if it means spoof: --column spoof={reference})"
    if any(class_of(word) == "spoof" for word in plain(score.header).split("_")):
        yield f"{path}: the scores are those of {score}; a higher score must mean bona fide, not spoof"
    is_open = "score" not in asked and not is_called_a_score(score)
    if is_open and scores.min() >= 0 and scores.max() > 1:  # neither log-likelihood ratios nor probabilities
        yield (
            f"{path}: {score} was taken for the score because no other column can be, but no number in it is negative, "
            f"as in durations and counts (--column score={score.header or score.number} confirms it)"
        )


def _is_bonafide(found: ScoreColumns, asked: Mapping[str, str]) -> NDArray[np.bool_] | None:
    """Whether each trial is bona fide [N]; None where the file does not state it."""
    for one_means in ("bonafide", "spoof"):
        if one_means in asked:
            column = found.table.column(asked[one_means])
            assert column is not None  # `score_columns` has looked
            return _ones(found.table, column) == (one_means == "bonafide")
    if found.key is None:
        return None
    if "key" in asked and found.key.is_binary:
        return _ones(found.table, found.key)
    require_classes(found.table, found.key, f"bonafide or spoof, or words that mean the same (understood: {found})")
    return found.is_bonafide


def _ones(table: Table, column: Column) -> NDArray[np.bool_]:
    """Whether each cell of a column of 0 and 1 is 1 [N]."""
    row = next((row for row, cell in enumerate(column.cells) if cell.lower() not in BINARY), None)
    if row is not None:
        table.lines.refuse(row, f"{shown(column.cells[row])} in {column}", "0 or 1")
    return column.is_one


def _spoof_attacks(
    table: Table, attacks: Texts | SharedTexts, is_bonafide: NDArray[np.bool_] | None
) -> Texts | SharedTexts:
    """The attack of each trial, UNKNOWN for bona fide, for which scorers write `-`, `A00` or `bonafide`."""
    if is_bonafide is None:
        return attacks.changed(lambda name: UNKNOWN if not name or class_of(name) == "bonafide" else name)
    of_bonafide, of_spoof = attacks.where(is_bonafide), attacks.where(~is_bonafide)
    contradictory = {attack for attack in of_bonafide if class_of(attack) == "spoof"}
    if contradictory:
        row = int(np.flatnonzero(is_bonafide & attacks.are_among(contradictory))[0])
        table.lines.refuse(row, f"attack {shown(attacks[row])} with key bonafide", "`-`, since there is no attack")
    misplaced = {attack for attack in of_spoof if class_of(attack) == "bonafide"}
    if misplaced:
        row = int(np.flatnonzero(~is_bonafide & attacks.are_among(misplaced))[0])
        found = f"attack {shown(attacks[row])} with key spoof"
        table.lines.refuse(row, found, "the attack's id, or `-` if it is not known")
    if of_bonafide <= {UNKNOWN} and "" not in of_spoof:
        return attacks
    return attacks.changed(lambda name: name or UNKNOWN).with_text(is_bonafide, UNKNOWN)


def _check_unique(table: Table, names: Texts | SharedTexts) -> None:
    """Refuse a name that occurs twice, and a bare name next to the name of its file, because both are one trial."""
    if first_repeat(names):
        _refuse_repeated(table, names)
    stems = (stem for name in names if (stem := without_ending(name)) != name)
    if names.has(".") and (TextIndex(names).rows_of(stems) >= 0).any():
        _refuse_repeated(table, names)


def _refuse_repeated(table: Table, names: Sequence[str]) -> NoReturn:
    every, first = set(names), dict[str, int]()
    for row, name in enumerate(names):
        stem = without_ending(name)
        earlier = first.setdefault(stem if stem in every else name, row)
        if earlier != row:
            which = shown(name) if names[earlier] == name else " and ".join(quoted(names[earlier], name))
            found = f"trial {which} is in line {table.lines.numbers[earlier]} already"
            table.lines.refuse(row, found, "every trial once")
    raise AssertionError("a name occurs twice")


def numbers_of(table: Table, column: Column, understood: str = "") -> FloatArray:
    """The cells of a column as float64 [N].

    Raises:
        TableError: a cell is not a decimal number within ±LARGEST; the message names its line.
    """
    is_plain = column.cells.are_ascii and not column.cells.has(
        "_"
    )  # Python reads 1_0 as ten, and the digits of every script
    numbers = column.numbers
    if numbers is None or not is_plain or not (np.abs(numbers) <= LARGEST).all():
        row = next(row for row, cell in enumerate(column.cells) if not _is_score(cell))
        expected = f"a finite number within ±{LARGEST:g}{understood}"
        table.lines.refuse(row, f"score {shown(column.cells[row])}", expected)
    return numbers


def _is_score(cell: str) -> bool:
    return NUMBER_LIKE.fullmatch(cell) is not None and abs(float(cell)) <= LARGEST

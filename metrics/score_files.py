"""Score files: read them, and refuse what cannot be judged with file, line and value.

Countermeasure (CM) score files have one trial per line; a higher score means more bona fide. How the columns are
understood is told in `score_columns`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from spoofcache.common.names import is_audio, quoted, without_ending
from spoofcache.common.tables.columns import NUMBER_LIKE, Column, Table
from spoofcache.common.tables.layout import TableError, shown
from spoofcache.common.tables.roles import Names, classes_of
from spoofcache.common.tables.words import class_of
from spoofcache.metrics.det import FloatArray, ScoreError
from spoofcache.metrics.score_columns import ScoreColumns, says_score, score_columns
from spoofcache.metrics.scores import LARGEST, UNKNOWN, CmScores


def read_scores(path: Path, columns: Mapping[str, str] | None = None, known_names: Names | None = None) -> CmScores:
    """Read a CM score file.

    Args:
        path: the file.
        columns: our name of a column (`utterance`, `score`, `key`, `attack`; `bonafide` or `spoof` for a column that
            says 1 for that class) → the header or the number of it, where the contents leave it open.
        known_names: gives the names of the utterances of a protocol, by which one column of several is recognised.

    Raises:
        ScoreError: a text that is no table; a table without names or scores, or open to two readings; a score that is
            no decimal number within ±LARGEST; an unknown key; a spoof whose attack is `bonafide`; a trial that is
            there twice.
    """
    try:
        return _cm_scores(score_columns(path, columns, known_names), columns or {})
    except TableError as error:
        raise ScoreError(str(error)) from error


def _cm_scores(found: ScoreColumns, asked: Mapping[str, str]) -> CmScores:
    table, names = found.table, found.utterance.cells
    keys = _keys(found, asked)
    attacks = found.attack.cells if found.attack else None
    if found.is_joined:
        pairs = [name.rpartition("_") for name in names]
        names, attacks = [stem for stem, _, _ in pairs], [attack for _, _, attack in pairs]
    if attacks is not None:
        attacks = _spoof_attacks(table, attacks, keys)
    _check_unique(table, names)
    scores = numbers_of(table, found.score, f" (understood: {found})")
    ones = np.array(found.binary.cells) == "1" if found.binary else None
    is_bonafide = None if keys is None else np.array(keys) == "bonafide"
    remarks = tuple(_remarks(found, asked, scores))
    return CmScores(names, attacks, is_bonafide, scores, table.lines.path, str(found), ones, remarks)


def _remarks(found: ScoreColumns, asked: Mapping[str, str], scores: FloatArray) -> Iterator[str]:
    path, score = found.table.lines.path, found.score
    if found.key and found.key.is_binary and not asked.keys() & {"bonafide", "spoof"}:
        reference = found.key.header or found.key.number
        yield f"{path}: 1 in {found.key} was taken for bona fide (if it means spoof: --column spoof={reference})"
    is_open = "score" not in asked and not says_score(score)
    if is_open and scores.min() >= 0 and scores.max() > 1:  # neither log-likelihood ratios nor probabilities
        yield (
            f"{path}: {score} was taken for the score because no other column can be, but no number in it is negative, "
            f"as in durations and counts (--column score={score.header or score.number} confirms it)"
        )


def _keys(found: ScoreColumns, asked: Mapping[str, str]) -> list[str] | None:
    for one_means, other in (("bonafide", "spoof"), ("spoof", "bonafide")):
        if one_means in asked:
            column = found.table.column(asked[one_means])
            assert column is not None  # `score_columns` has looked
            return _keys_of_ones(found.table, column, one_means, other)
    if found.key is None:
        return None
    if "key" in asked and found.key.is_binary:
        return _keys_of_ones(found.table, found.key, "bonafide", "spoof")
    return classes_of(found.table, found.key, f"bonafide or spoof, or words that mean the same (understood: {found})")


def _keys_of_ones(table: Table, column: Column, one_means: str, other: str) -> list[str]:
    broken = [row for row, cell in enumerate(column.cells) if cell not in ("0", "1")]
    if broken:
        table.lines.refuse(broken[0], f"{shown(column.cells[broken[0]])} in {column}", "0 or 1")
    return [one_means if cell == "1" else other for cell in column.cells]


def _spoof_attacks(table: Table, attacks: Sequence[str], keys: Sequence[str] | None) -> list[str]:
    if keys is None:
        return [UNKNOWN if not attack or class_of(attack) == "bonafide" else attack for attack in attacks]
    misplaced = {(attack, "spoof") for attack in set(attacks) if class_of(attack) == "bonafide"}
    for row, (attack, key) in enumerate(zip(attacks, keys, strict=True)) if misplaced else ():
        if (attack, key) in misplaced:
            found = f"attack {shown(attack)} with key spoof"
            table.lines.refuse(row, found, "the attack's id, or `-` where it is not known")
    # scorers write `-`, `A00` or `bonafide` as the attack of bona fide trials; they have none
    return [UNKNOWN if key == "bonafide" else attack or UNKNOWN for attack, key in zip(attacks, keys, strict=True)]


def _check_unique(table: Table, names: Sequence[str]) -> None:
    """Refuse a name that is there twice, and a bare name beside the name of its file: they are one trial."""
    every = set(names)
    bare = {name for name in every if is_audio(name) and without_ending(name) in every} if _has_dot(names) else set()
    if len(every) == len(names) and not bare:
        return
    first: dict[str, int] = {}
    for row, name in enumerate(names):
        same = without_ending(name) if name in bare else name
        earlier = first.setdefault(same, row)
        if earlier != row:
            which = shown(name) if names[earlier] == name else " and ".join(quoted(names[earlier], name))
            found = f"trial {which} is in line {table.lines.numbers[earlier]} already"
            table.lines.refuse(row, found, "every trial once")


def _has_dot(names: Sequence[str]) -> bool:
    return "." in "".join(names)


def numbers_of(table: Table, column: Column, understood: str = "") -> FloatArray:
    """The cells of a column as float64 [N].

    Raises:
        TableError: a cell that is no decimal number within ±LARGEST; the message names its line.
    """
    together = "".join(column.values) if len(column.values) < len(column.cells) else "".join(column.cells)
    is_plain = together.isascii() and "_" not in together  # Python reads 1_0 as ten, and the digits of every script
    numbers = np.array(column.numbers or [], dtype=np.float64)
    if not (is_plain and numbers.size == len(column.cells) and (np.abs(numbers) <= LARGEST).all()):
        row = next(row for row, cell in enumerate(column.cells) if not _is_score(cell))
        expected = f"a finite number within ±{LARGEST:g}{understood}"
        table.lines.refuse(row, f"score {shown(column.cells[row])}", expected)
    return numbers


def _is_score(cell: str) -> bool:
    return NUMBER_LIKE.fullmatch(cell) is not None and abs(float(cell)) <= LARGEST

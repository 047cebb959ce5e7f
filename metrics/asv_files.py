"""Score files of automatic speaker verification (ASV) systems, which a t-DCF needs beside those of the countermeasure.

The organisers of ASVspoof 2019 published lines of `attack-or-bonafide target|nontarget|spoof score`. Those of 2021
published `speaker-codec utterance-codec score` and, apart from it, the trial list that says what each trial is
(`ASV/trial_metadata.txt`).
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spoofcache.common.tables.columns import Column, Table, tables
from spoofcache.common.tables.foreign import ASV_KEY_2021, is_2021, is_key_2021
from spoofcache.common.tables.layout import TableError, read_lines, readings, shown
from spoofcache.common.tables.roles import table_error, understand
from spoofcache.common.tables.words import NO_ATTACK
from spoofcache.common.texts import Texts
from spoofcache.metrics.det import FloatArray, ScoreError
from spoofcache.metrics.score_columns import is_called_a_score
from spoofcache.metrics.score_files import numbers_of
from spoofcache.metrics.scores import UNKNOWN, AsvScores

ASV_KEYS = ("target", "nontarget", "spoof")
ASV_2021 = "lines of `speaker-codec-transmission utterance-codec-transmission score`"
KEY_2021: Mapping[int, tuple[int, int, int]] = {8: (4, 5, 7), 12: (-1, 9, 11)}
"""Number of columns of the list of trials → where attack, class and phase are, from 0 on; -1 where there is none."""
Pair = tuple[str, str]
"""Speaker and utterance of a trial."""
ASV_2019 = "lines of `attack-or-bonafide target|nontarget|spoof score`"


def read_asv_scores(path: Path) -> AsvScores:
    """Read ASV scores in the form of ASVspoof 2019: the attack (`bonafide` or `-` for none), the class, the score.

    Columns may be in any order, and separated by blanks, tabs, commas or semicolons. Other columns are ignored.

    Raises:
        ScoreError: the text is not such a table; a class is unknown; a target or nontarget trial has an attack, or a
            spoof trial has none; a score is not a number; one of the three classes is missing.
    """
    try:
        lines = read_lines(path, ASV_2019)
        return understand(lines, {}, _asv_scores)
    except TableError as error:
        raise ScoreError(str(error)) from error


def _asv_scores(table: Table) -> AsvScores:
    if is_key_2021(table):
        raise TableError(f"{table.lines.path}: this looks like {ASV_KEY_2021}; expected {ASV_2019}")
    key = _only(table, [one for one in table.columns if _says_class(one)], "states target, nontarget or spoof")
    others = [one for one in table.columns if one is not key]
    numeric = [one for one in others if one.is_numeric]
    called = [one for one in numeric if is_called_a_score(one)]
    score = _only(table, called if len(called) == 1 else numeric, "of numbers")
    texts = [one for one in others if not one.is_numeric]
    attack = _only(table, texts if len(texts) == 1 else [one for one in texts if _is_attack(one)], "names the attacks")
    wrong = {pair for pair in set(zip(attack.cells, key.cells, strict=True)) if _is_contradictory(*pair)}
    for row, (name, cell) in enumerate(zip(attack.cells, key.cells, strict=True)) if wrong else ():
        if cell not in ASV_KEYS:
            table.lines.refuse(row, f"key {shown(cell)}", " or ".join(ASV_KEYS))
        if (name, cell) in wrong:
            table.lines.refuse(row, f"{name} with key {cell}", "`bonafide` or `-` with target and nontarget only")
    return asv_scores(table.lines.path, key.cells, attack.cells, numbers_of(table, score))


def _is_contradictory(attack: str, key: str) -> bool:
    return key not in ASV_KEYS or (attack.lower() in NO_ATTACK) == (key == "spoof")


def _only(table: Table, columns: Sequence[Column], what: str) -> Column:
    if len(columns) != 1:
        many = f"{len(columns)} columns, {', '.join(map(str, columns))}," if columns else "no column"
        raise table_error(table, f"{many} {what}", ASV_2019)
    return columns[0]


def _says_class(column: Column) -> bool:
    """Whether most cells are one of the three classes; attacks are never called `target`."""
    if column.values.isdisjoint(ASV_KEYS):
        return False
    return 2 * sum(map(ASV_KEYS.__contains__, column.cells)) > len(column.cells)


def _is_attack(column: Column) -> bool:
    return any(value.lower() in NO_ATTACK for value in column.values)


def asv_scores(
    path: Path, keys: Sequence[str], attacks: Sequence[str], scores: Sequence[float] | FloatArray
) -> AsvScores:
    """Scores [N] by the class of each trial [N]; `attacks` [N] are those of spoof trials.

    Raises:
        ScoreError: one of the three classes is missing; the message begins with the path.
    """
    numbers, number_of = np.asarray(scores), {key: number for number, key in enumerate(ASV_KEYS)}
    classes = np.fromiter(map(number_of.__getitem__, keys), np.int8, len(keys))
    target, nontarget, spoof = (numbers[classes == number] for number in number_of.values())
    for key, found in zip(ASV_KEYS, (target, nontarget, spoof), strict=True):
        if not found.size:
            raise ScoreError(f"{path}: no {key} trial in {len(keys)} lines; expected all of {', '.join(ASV_KEYS)}")
    return AsvScores(target, nontarget, spoof, list(compress(attacks, (classes == number_of["spoof"]).tolist())))


def is_asv_2021(path: Path) -> bool:
    """Whether a file has the form of ASVspoof 2021's ASV scores: LA_0009-alaw-ita_tx LA_E_1000001-alaw-ita_tx 1.5."""
    try:
        lines = read_lines(path, ASV_2021)
        second = lines.below_first().first if len(lines.numbers) > 1 else lines.first  # the first may be a header
        return second.count("-") >= 4 and any(map(is_2021, tables(lines)))  # no other form has two names with codecs
    except TableError:
        return False


class _Key2021(NamedTuple):
    """The trials of the list, column by column, of the phases that are asked for."""

    pairs: list[Pair]
    attacks: list[str]
    classes: list[str]


def read_asv_2021(path: Path, key_path: Path, phases: Collection[str], known: Collection[str]) -> AsvScores:
    """Read ASV scores of ASVspoof 2021 and join them with the list of their trials.

    The official evaluation package pairs the lines of both files; here they are paired by speaker and utterance.

    Args:
        path: `speaker-codec-transmission`, `utterance-codec-transmission` and the score in each line.
        key_path: the list of trials, `ASV/trial_metadata.txt`: eight columns in LA, twelve in PA.
        phases: phases whose trials are used; all of them where this is empty.
        known: utterances of the countermeasure's protocol; where given, all spoofed utterances must be among them.

    Raises:
        ScoreError: a file of another form; a trial without a score, with two, of an unknown class, or that the list
            does not have; spoofed utterances that the protocol does not know; one of the three classes is missing.
    """
    try:
        key_table = _only_table(key_path)
        listed = set(_pairs(key_table.columns[:2]))
        score_of = _scores_2021(path, listed)
        key = _key_2021(key_table, phases)
    except TableError as error:
        raise ScoreError(str(error)) from error
    _require_same_trials(path, score_of, key_path, key.pairs, listed)
    _require_known(path, key, known)
    return asv_scores(path, key.classes, key.attacks, [score_of[pair] for pair in key.pairs])


def _scores_2021(path: Path, listed: Collection[Pair]) -> dict[Pair, float]:
    """The score of each trial; the speaker may stand before the utterance or behind it."""
    table = _only_table(path)
    numeric = [one for one in table.columns if one.is_numeric]
    names = [one for one in table.columns if not one.is_numeric]
    if len(table.columns) != 3 or len(numeric) != 1:
        raise TableError(f"{path}: {len(table.columns)} columns in {shown(table.first)}; expected {ASV_2021}")
    pairs = _pairs(names)
    if pairs[0] not in listed and pairs[0][::-1] in listed:
        pairs = _pairs(names[::-1])
    score_of: dict[Pair, float] = {}
    for pair, number in zip(pairs, numbers_of(table, numeric[0]).tolist(), strict=True):
        if score_of.setdefault(pair, number) != number:
            raise TableError(f"{path}: two scores of trial {' '.join(pair)}; expected one")
    return score_of


def _key_2021(table: Table, phases: Collection[str]) -> _Key2021:
    path = table.lines.path
    if len(table.columns) not in KEY_2021:
        raise TableError(
            f"{path}: {len(table.columns)} columns in {shown(table.first)}; expected ASVspoof 2021's list of ASV "
            "trials, with eight columns (LA) or twelve (PA)"
        )
    attack, state, phase = (table.columns[k].cells if k >= 0 else Texts() for k in KEY_2021[len(table.columns)])
    pairs = _pairs(table.columns[:2])
    for row in [row for row, one in enumerate(state) if one not in ASV_KEYS][:1]:
        table.lines.refuse(row, f"class {shown(state[row])} of trial {' '.join(pairs[row])}", " or ".join(ASV_KEYS))
    if len(set(pairs)) < len(pairs):
        first = {pair: row for row, pair in reversed(list(enumerate(pairs)))}
        row = next(row for row, pair in enumerate(pairs) if first[pair] != row)
        table.lines.refuse(row, f"trial {' '.join(pairs[row])} is listed twice", "every trial once")
    wanted = [row for row, one in enumerate(phase) if not phases or one in phases]
    if not wanted:
        raise TableError(
            f"{path}: no trial of the protocol's phase {' or '.join(sorted(phases))}, but of "
            f"{', '.join(sorted(set(phase)))}; expected trials of the same phase"
        )
    attacks = [attack[row] if attack else UNKNOWN for row in wanted]
    return _Key2021([pairs[row] for row in wanted], attacks, [state[row] for row in wanted])


def _require_same_trials(
    path: Path, scored: Collection[Pair], key_path: Path, wanted: Sequence[Pair], listed: Collection[Pair]
) -> None:
    """Check that every wanted trial has a score, and that every score is that of a listed trial."""
    for pair in wanted:
        if pair not in scored:
            raise ScoreError(f"{path}: no score of trial {' '.join(pair)}; expected all trials of {key_path}")
    strangers = [pair for pair in scored if pair not in listed]
    if strangers:
        raise ScoreError(
            f"{path}: {len(strangers)} of {len(scored)} trials are not in {key_path}, first {' '.join(strangers[0])}; "
            "expected the scores of its trials only"
        )


def _require_known(path: Path, key: _Key2021, known: Collection[str]) -> None:
    spoofs = [pair[1].rsplit("-", 2)[0] for pair, one in zip(key.pairs, key.classes, strict=True) if one == "spoof"]
    strangers = [name for name in spoofs if known and name not in known]
    if strangers:
        raise ScoreError(
            f"{path}: {len(strangers)} spoofed utterances are not in the protocol, first {strangers[0]}; expected the "
            "ASV scores of the protocol's edition, or --asv-anyway to use these"
        )


def _pairs(columns: Sequence[Column]) -> list[Pair]:
    first, second = columns
    return list(zip(first.cells, second.cells, strict=True))


def _only_table(path: Path) -> Table:
    lines = read_lines(path, ASV_2021)
    for cells in readings(lines):
        if sum(cell.count("-") >= 2 for cell in cells.first) == 2 and not cells.is_first_short:
            # The first line is a trial, though its `target` may also be the header of a protocol's column.
            columns = [Column(n, "", column) for n, column in enumerate(cells.take_columns(), 1)]
            return Table(lines, cells.separator, columns, "", lines.first)
    return next(tables(lines))

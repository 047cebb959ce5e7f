"""Score files of automatic speaker verification (ASV) systems, which a t-DCF needs beside those of the countermeasure.

The organisers of ASVspoof 2019 published lines of `attack-or-bonafide target|nontarget|spoof score`. Those of 2021
published `speaker-codec utterance-codec score` and, apart from it, the trial list that says what each trial is
(`ASV/trial_metadata.txt`).
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import compress
from pathlib import Path

import numpy as np

from spoofcache.common.tables.columns import Column, Table, tables
from spoofcache.common.tables.foreign import is_2021
from spoofcache.common.tables.layout import TableError, read_lines, readings, shown
from spoofcache.common.tables.roles import table_error, understand
from spoofcache.common.tables.words import NO_ATTACK
from spoofcache.metrics.det import FloatArray, ScoreError
from spoofcache.metrics.score_files import numbers_of
from spoofcache.metrics.scores import UNKNOWN, AsvScores

ASV_KEYS = ("target", "nontarget", "spoof")
ASV_2021 = "lines of `speaker-codec-transmission utterance-codec-transmission score`"
KEY_2021: Mapping[int, tuple[int, int, int]] = {8: (4, 5, 7), 12: (-1, 9, 11)}
"""Number of columns of the list of trials → where attack, class and phase are, from 0 on; -1 where there is none."""
ASV_2019 = "lines of `attack-or-bonafide target|nontarget|spoof score`"


def read_asv_scores(path: Path) -> AsvScores:
    """Read ASV scores in the form of ASVspoof 2019: the attack (`bonafide` or `-` for none), the class, the score.

    Columns may stand in any order and be separated by blanks, tabs, commas or semicolons; others are left aside.

    Raises:
        ScoreError: a text that is no such table; an unknown class; a target or nontarget trial with an attack, a spoof
            trial without one; a score that is no number; one of the three classes is missing.
    """
    try:
        lines = read_lines(path, ASV_2019)
        return understand(lines, {}, _asv_scores)
    except TableError as error:
        raise ScoreError(str(error)) from error


def _asv_scores(table: Table) -> AsvScores:
    key = _only(table, [one for one in table.columns if _says_class(one)], "states target, nontarget or spoof")
    others = [one for one in table.columns if one is not key]
    score = _only(table, [one for one in others if one.is_numeric], "of numbers")
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


def read_asv_2021(path: Path, key_path: Path, phases: Collection[str], known: Collection[str]) -> AsvScores:
    """Read ASV scores of ASVspoof 2021 and join them with the list of their trials.

    The official evaluation package pairs the lines of both files; here they are paired by speaker and utterance.

    Args:
        path: lines of `speaker-codec-transmission utterance-codec-transmission score`.
        key_path: the list of trials, `ASV/trial_metadata.txt`: eight columns in LA, twelve in PA.
        phases: phases whose trials are used; all of them where this is empty.
        known: utterances of the countermeasure's protocol; where given, all spoofed utterances must be among them.

    Raises:
        ScoreError: a file of another form; a trial without a score, with two, or of an unknown class; spoofed
            utterances that the protocol does not know; one of the three classes is missing.
    """
    try:
        scores, key = (_only_table(one) for one in (path, key_path))
        if len(scores.columns) != 3:
            raise ScoreError(f"{path}: {len(scores.columns)} columns in {shown(scores.first)}; expected {ASV_2021}")
        numbers = numbers_of(scores, scores.columns[2])
    except TableError as error:
        raise ScoreError(str(error)) from error
    if len(key.columns) not in KEY_2021:
        raise ScoreError(
            f"{key_path}: {len(key.columns)} columns in {shown(key.first)}; expected ASVspoof 2021's list of ASV "
            "trials, with eight columns (LA) or twelve (PA)"
        )
    attack, state, phase = (key.columns[k].cells if k >= 0 else [] for k in KEY_2021[len(key.columns)])
    wanted = range(key.n_rows) if not phases else [row for row, one in enumerate(phase) if one in phases]
    pairs, score_of = _pairs(key), _score_of_trials(scores, numbers.tolist())
    _require_scored(path, score_of, key_path, [(pairs[row], state[row]) for row in wanted])
    spoofs = [pairs[row][1].rsplit("-", 2)[0] for row in wanted if state[row] == "spoof"]
    strangers = [name for name in spoofs if known and name not in known]
    if strangers:
        raise ScoreError(
            f"{path}: {len(strangers)} spoofed utterances are not in the protocol, first {strangers[0]}; expected the "
            "ASV scores of the protocol's edition, or --asv-anyway to use these"
        )
    return asv_scores(
        path,
        [state[row] for row in wanted],
        [attack[row] if attack else UNKNOWN for row in wanted],
        [score_of[pairs[row]] for row in wanted],
    )


def _require_scored(
    path: Path, score_of: Collection[tuple[str, str]], key_path: Path, trials: Sequence[tuple[tuple[str, str], str]]
) -> None:
    """Check that every trial has a score and one of the three classes."""
    for pair, state in trials:
        if pair not in score_of:
            raise ScoreError(f"{path}: no score of trial {' '.join(pair)}; expected all trials of {key_path}")
        if state not in ASV_KEYS:
            raise ScoreError(
                f"{key_path}: class {shown(state)} of trial {' '.join(pair)}; expected {' or '.join(ASV_KEYS)}"
            )


def _score_of_trials(table: Table, numbers: Sequence[float]) -> dict[tuple[str, str], float]:
    score_of: dict[tuple[str, str], float] = {}
    for pair, number in zip(_pairs(table), numbers, strict=True):
        if score_of.setdefault(pair, number) != number:
            raise ScoreError(f"{table.lines.path}: two scores of trial {' '.join(pair)}; expected one")
    return score_of


def _pairs(table: Table) -> list[tuple[str, str]]:
    return list(zip(table.columns[0].cells, table.columns[1].cells, strict=True))


def _only_table(path: Path) -> Table:
    lines = read_lines(path, ASV_2021)
    for cells in readings(lines):
        if any(column[0].count("-") >= 2 for column in cells.columns[:2]) and not cells.is_first_short:
            # The first line is a trial, though its `target` may also be the header of a protocol's column.
            columns = [Column(n, "", column) for n, column in enumerate(cells.columns, 1)]
            return Table(lines, cells.separator, columns, "", lines.first)
    return next(tables(lines))

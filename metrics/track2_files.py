"""Score files and keys of ASVspoof 5 track 2, spoofing-robust speaker verification.

The evaluation package of ASVspoof 5 reads a table with the header `spk filename cm-score asv-score sasv-score`, and,
apart from it, the key: speaker, utterance, and whether the trial is target, nontarget or spoof.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spoofcache.common.tables.columns import Column, Table, tables
from spoofcache.common.tables.layout import TableError, read_lines, shown
from spoofcache.common.texts import compact
from spoofcache.metrics.asv_files import ASV_KEYS, asv_scores
from spoofcache.metrics.det import FloatArray, ScoreError
from spoofcache.metrics.score_files import numbers_of
from spoofcache.metrics.scores import UNKNOWN, AsvScores

SCORES = ("cm-score", "asv-score", "sasv-score")
FORM = "a table with the header `spk filename cm-score asv-score sasv-score`"
KEY_FORM = "the key of track 2: speaker, utterance, …, target|nontarget|spoof"
Pair = tuple[str, str]


@dataclass(frozen=True, eq=False)
class TandemScores(AsvScores):
    """Scores of speaker and spoofing together, with those of the two systems behind them."""

    asv: AsvScores
    cm: AsvScores
    """Countermeasure scores of the same trials; target and nontarget trials are bona fide."""


def is_track_2(path: Path) -> bool:
    """Whether a file has the header of track 2's score files."""
    try:
        return any(table.column("sasv-score") for table in tables(read_lines(path, FORM)) if table.header)
    except TableError:
        return False


def read_track_2(path: Path, key_path: Path) -> TandemScores:
    """Read scores of track 2 and join them with their key by speaker and utterance, in the order of the key.

    Raises:
        ScoreError: a file of another form, a trial that is there twice or only in one of the files, a score that is no
            number, or one of the three classes is missing.
    """
    try:
        scores, key = next(tables(read_lines(path, FORM))), _headless(key_path)
        spk, filename, *columns = (_named(scores, name) for name in ("spk", "filename", *SCORES))
        numbers = np.array([numbers_of(scores, column) for column in columns])
    except TableError as error:
        raise ScoreError(str(error)) from error
    row_of = _rows(scores, spk, filename)
    trials = _rows(key, key.columns[0], key.columns[1])
    for there, here, source in ((row_of, trials, path), (trials, row_of, key_path)):
        missing = next((pair for pair in here if pair not in there), None)
        if missing:
            other = key_path if source == path else path
            raise ScoreError(f"{source}: no trial {' '.join(missing)}; expected all trials of {other}")
    ordered = numbers[:, [row_of[pair] for pair in trials]]
    classes = _classes(key)
    cm, asv, sasv = (asv_scores(path, classes, [UNKNOWN] * key.n_rows, one.tolist()) for one in ordered)
    return TandemScores(sasv.target, sasv.nontarget, sasv.spoof, sasv.spoof_attacks, asv, cm)


def _headless(path: Path) -> Table:
    """The key; its first line is a trial if it states a class, though `target` may be a header elsewhere."""
    lines = read_lines(path, KEY_FORM)
    table = next(tables(lines))
    if not any(one.header in ASV_KEYS for one in table.columns):
        return table
    columns = [Column(one.number, "", compact([one.header, *one.cells])) for one in table.columns]
    return Table(lines, table.separator, columns, "", table.first)


def _named(table: Table, name: str) -> Column:
    column = table.column(name)
    if column is None or not table.header:
        raise TableError(f"{table.lines.path}: no column {name} in {shown(table.first)}; expected {FORM}")
    return column


def _rows(table: Table, speaker: Column, utterance: Column) -> dict[Pair, int]:
    row_of: dict[Pair, int] = {}
    for row, pair in enumerate(zip(speaker.cells, utterance.cells, strict=True)):
        if row_of.setdefault(pair, row) != row:
            raise ScoreError(f"{table.lines.path}: trial {' '.join(pair)} occurs twice; expected every trial once")
    return row_of


def _classes(key: Table) -> list[str]:
    found = [one for one in key.columns[2:] if one.values <= set(ASV_KEYS) and one.values & {"target", "nontarget"}]
    if len(found) != 1:
        raise ScoreError(
            f"{key.lines.path}: {len(found)} columns of target, nontarget and spoof in {shown(key.first)}; expected "
            f"{KEY_FORM}"
        )
    return list(found[0].cells)


def bona_fide(scores: AsvScores) -> FloatArray:
    """Scores of the target and nontarget trials together."""
    return np.concatenate([scores.target, scores.nontarget])

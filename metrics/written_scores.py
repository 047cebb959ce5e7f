"""Writing countermeasure scores, in any of the forms that other projects read."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import repeat, starmap
from typing import NamedTuple

import numpy as np

from spoofcache.metrics.det import ScoreError
from spoofcache.metrics.scores import KEYS, LARGEST, UNKNOWN, CmScores


class Form(NamedTuple):
    """The form of a score file: the template of its lines and, if the form has one, its header."""

    line: str
    header: str = ""


FORMS: Mapping[str, Form] = {
    "asvspoof2019": Form("{utt_id} {attack} {key} {score!r}"),
    "asvspoof2021": Form("{utt_id} {score!r}"),
    "asvspoof5": Form("{utt_id}\t{score!r}", header="filename\tcm-score"),
    "xieyuankun": Form("{utt_id}_{attack} {score!r} {key}"),
    "tsv": Form("{utt_id}\t{attack}\t{key}\t{score!r}", header="utt_id\tattack\tkey\tscore"),
}
"""The forms by name. `xieyuankun` is the form of the repository xieyuankun/ADD-W2V2-LCNN-19LA0.6."""
ALIASES: Mapping[str, str] = {"seed003": "xieyuankun"}
"""Former names of forms, which commands still accept but do not list."""


def format_cm_scores(scores: CmScores, form: str) -> Iterator[str]:
    """Format scores as the lines of a score file (each with its newline) in one of FORMS.

    A number that is read back is the same float64. Unknown attacks are written as UNKNOWN.

    Raises:
        ScoreError: the form is unknown; the form states keys and the scores have none; a score is NaN or beyond
            ±LARGEST; or a name could not be read back from a file of this form.
    """
    if form not in FORMS:
        raise ScoreError(f"score form {form!r}; expected one of {', '.join(FORMS)}")
    if scores.is_bonafide is None and "{key}" in FORMS[form].line:
        raise ScoreError(
            f"{scores.path or 'these scores'}: no column states whether a trial is bonafide or spoof, which form "
            f"{form} needs; expected scores with keys, or a protocol (--protocol)"
        )
    for row in _rows(scores):
        _check_writable(row, form)
    return _lines(_rows(scores), FORMS[form])


class _Row(NamedTuple):
    utt_id: str
    attack: str
    key: str
    score: float


def _rows(scores: CmScores) -> Iterator[_Row]:
    """The rows one by one, since all of them together would take much more memory than the scores."""
    attacks = scores.attacks or repeat(UNKNOWN, scores.scores.size)
    bonafide = np.zeros(scores.scores.size, bool) if scores.is_bonafide is None else scores.is_bonafide
    keys = (KEYS[is_bonafide] for is_bonafide in map(bool, bonafide))  # unknown keys are never written
    return starmap(_Row, zip(scores.utt_ids, attacks, keys, map(float, scores.scores), strict=True))


def _check_writable(row: _Row, form: str) -> None:
    if not abs(row.score) <= LARGEST:
        raise ScoreError(f"score {row.score} of {row.utt_id}; expected a finite number within ±{LARGEST:g}")
    joined = form == "xieyuankun"  # utterance and attack are joined by `_`
    if not _is_readable(row) or (joined and "_" in row.attack):
        raise ScoreError(
            f"utterance {row.utt_id!r} with attack {row.attack!r} cannot be written in form {form}; expected no blanks"
            + (", and no `_` in the attack" if joined else "")
        )


def _is_readable(row: _Row) -> bool:
    name = f"{row.utt_id} {row.attack}"
    return name.isprintable() and len(name.split()) == 2


def _lines(rows: Iterable[_Row], form: Form) -> Iterator[str]:
    if form.header:
        yield f"{form.header}\n"
    for row in rows:
        yield form.line.format(**row._asdict()) + "\n"

"""Score files: read them, and refuse what cannot be judged with file, line and value.

Countermeasure (CM) score files have one trial per line; a higher score means more bona fide. Only blanks and tabs
separate columns. The attack `-` stands for bona fide trials and for spoof trials whose attack is not known.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

from spoofcache.common.endings import AUDIO_ENDINGS
from spoofcache.metrics.det import FloatArray, ScoreError
from spoofcache.metrics.scores import KEYS, LARGEST, UNKNOWN, AsvScores, CmScores

ASV_KEYS = ("target", "nontarget", "spoof")
CM_2019 = "`utt_id attack key score`"
CM_2021 = "`utt_id score`"
CM_XIEYUANKUN = "`utt_attack score key`"
CM_ANY = f"lines of {CM_2019}, {CM_XIEYUANKUN} or {CM_2021}, or a tab-separated table with header"
ASV_2019 = "`attack-or-bonafide target|nontarget|spoof score`"
NO_CM = "not of the countermeasure"
COLUMN_NAMES: Mapping[str, tuple[str, ...]] = {
    "utt_id": ("utt_id", "utterance", "trial", "file", "filename"),
    "attack": ("attack", "attack_id"),
    "key": ("key", "label", "cm-label"),
    "score": ("score", "cm-score", "cm_score"),
    NO_CM: ("asv-score", "sasv-score"),
}
"""What a header may call each column; those of the other systems of ASVspoof 5 track 2 are not read."""
MEANING = {name: column for column, names in COLUMN_NAMES.items() for name in names}


def without_ending(utt_id: str) -> str:
    """An utterance's name without the ending of an audio file, so that `0.wav` and `0` are the same trial.

    >>> without_ending("file4.wav_16k.wav"), without_ending("LA_E_1.v2"), without_ending(".wav")
    ('file4.wav_16k', 'LA_E_1.v2', '.wav')
    """
    stem, dot, ending = utt_id.rpartition(".")
    return stem if stem and dot + ending.lower() in AUDIO_ENDINGS else utt_id


def read_scores(path: Path) -> CmScores:
    """Read a CM score file in any of the forms that `written_scores.FORMS` lists; the first line tells which.

    A line of names from COLUMN_NAMES with tabs between them is the header of a table (form `asvspoof5` or `tsv`,
    columns in any order); else four columns are `utt_id attack key score` (`asvspoof2019`), three are `utt_attack
    score key` (`xieyuankun`; a bona fide name ends in `_-`), two are `utt_id score` (`asvspoof2021`).

    Utterances lose audio endings: `0.wav` and `0` are the same trial.

    Raises:
        ScoreError: a line that is not of the form, a score that is no decimal number within ±LARGEST, an unknown key,
            a spoof whose attack is `bonafide`, a trial that stands twice, an unknown column, a file that is empty or
            holds bytes that are no text.
    """
    lines = _read_lines(path, CM_ANY)
    header = lines.rows[0].split("\t")
    if MEANING.keys().isdisjoint(header):
        form, columns = _bare_columns(lines)
    else:
        names, lines = _meanings(lines, header), lines._replace(rows=lines.rows[1:], first=2)
        form = "tsv" if set(header) - {"filename", "cm-score", *COLUMN_NAMES[NO_CM]} else "asvspoof5"
        columns = dict(zip(names, _table_columns(lines, header), strict=True))
    keys, attacks = columns.get("key"), columns.get("attack")
    if keys is not None:
        _check_keys(lines, keys, KEYS)
    if keys is not None and attacks is not None:
        attacks = _spoof_attacks(lines, attacks, keys)
    utt_ids = [without_ending(utt_id) for utt_id in columns["utt_id"]]
    _check_unique(lines, utt_ids)
    is_bonafide = None if keys is None else np.array(keys) == "bonafide"
    return CmScores(utt_ids, attacks, is_bonafide, _numbers(lines, columns["score"]), path, form)


def read_asv_scores(path: Path) -> AsvScores:
    """Read the ASV scores that a t-DCF needs: lines of `attack-or-bonafide target|nontarget|spoof score`.

    Raises:
        ScoreError: as `read_scores`; one of the three classes is missing.
    """
    lines = _read_lines(path, f"lines of {ASV_2019}")
    attacks, keys, texts = _columns(lines, 3, ASV_2019)
    _check_keys(lines, keys, ASV_KEYS)
    for row, (attack, key) in enumerate(zip(attacks, keys, strict=True)):
        if (attack == "bonafide") == (key == "spoof"):
            lines.refuse(row, f"{attack} with key {key}", "`bonafide` with target and nontarget only")
    scores, key_array = _numbers(lines, texts), np.array(keys)
    target, nontarget, spoof = (scores[key_array == key] for key in ASV_KEYS)
    for key, found in zip(ASV_KEYS, (target, nontarget, spoof), strict=True):
        if not found.size:
            raise ScoreError(f"{path}: no {key} trial in {len(keys)} lines; expected all of {', '.join(ASV_KEYS)}")
    return AsvScores(target, nontarget, spoof, [a for a, k in zip(attacks, keys, strict=True) if k == "spoof"])


class _Lines(NamedTuple):
    """The rows of a file and the line number of the first."""

    path: Path
    rows: list[str]
    first: int = 1

    def refuse(self, row: int, found: str, expected: str) -> NoReturn:
        raise ScoreError(f"{self.path}:{self.first + row}: {found}; expected {expected}")


def _read_lines(path: Path, expected: str) -> _Lines:
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        row = error.object.count(b"\n", 0, error.start)
        _Lines(path, []).refuse(row, f"byte {error.object[error.start]:#04x} is not text", expected)
    if not text.strip():
        raise ScoreError(f"{path}: empty; expected {expected}")
    lines = _Lines(path, text.removesuffix("\n").split("\n"))
    # NUL, lone carriage returns, no-break spaces …: what cannot be seen would part or join columns unnoticed
    if not text.replace("\n", "").replace("\t", "").isprintable():
        row, line = next((r, t) for r, t in enumerate(lines.rows) if not t.replace("\t", "").isprintable())
        unseen = next(character for character in line if character != "\t" and not character.isprintable())
        lines.refuse(row, f"character U+{ord(unseen):04X} in {_shown(line)}", "plain text, blanks and tabs")
    return lines


def _bare_columns(lines: _Lines) -> tuple[str, dict[str, list[str]]]:
    n_columns = len(lines.rows[0].split())
    if n_columns == 4:
        utt_ids, attacks, keys, texts = _columns(lines, 4, CM_2019)
        return "asvspoof2019", {"utt_id": utt_ids, "attack": attacks, "key": keys, "score": texts}
    if n_columns == 3:
        names, texts, keys = _columns(lines, 3, CM_XIEYUANKUN)
        utt_ids, attacks = _split_names(lines, names, keys)
        return "xieyuankun", {"utt_id": utt_ids, "attack": attacks, "key": keys, "score": texts}
    if n_columns == 2:
        utt_ids, texts = _columns(lines, 2, CM_2021)
        return "asvspoof2021", {"utt_id": utt_ids, "score": texts}
    return lines.refuse(0, f"{n_columns} columns in {_shown(lines.rows[0])}", CM_ANY)


def _columns(lines: _Lines, n_columns: int, expected: str) -> list[list[str]]:
    # one split of the whole is several times faster than one of each line; NUL, which no line holds, marks their ends
    cells, n_rows = " \0 ".join(lines.rows).split(), len(lines.rows)
    if len(cells) != n_rows * (n_columns + 1) - 1 or cells[n_columns :: n_columns + 1].count("\0") != n_rows - 1:
        found = [len(line.split()) for line in lines.rows]
        row = next(r for r, n in enumerate(found) if n != n_columns)
        lines.refuse(row, f"{found[row]} columns in {_shown(lines.rows[row])}", expected)
    return [cells[column :: n_columns + 1] for column in range(n_columns)]


def _meanings(lines: _Lines, header: Sequence[str]) -> list[str]:
    known = f"a header of {', '.join(MEANING)}, tabs between them"
    unknown = [name for name in header if name not in MEANING]
    if unknown:
        lines.refuse(0, f"column {_shown(unknown[0])}", known)
    meanings = [MEANING[name] for name in header]
    for column in set(meanings) - {NO_CM}:
        if meanings.count(column) > 1:
            lines.refuse(0, f"{meanings.count(column)} columns of {column} in {_shown(lines.rows[0])}", "one of each")
    for column in ("utt_id", "score"):
        if column not in meanings:
            lines.refuse(0, f"no column of {column} in {_shown(lines.rows[0])}", known)
    if len(lines.rows) == 1:
        raise ScoreError(f"{lines.path}: no trials below the header; expected one per line")
    return meanings


def _table_columns(lines: _Lines, header: Sequence[str]) -> list[list[str]]:
    rows = [line.split("\t") for line in lines.rows]
    for row, (line, cells) in enumerate(zip(lines.rows, rows, strict=True)):
        if len(cells) != len(header):
            lines.refuse(row, f"{len(cells)} columns in {_shown(line)}", f"{len(header)}: {', '.join(header)}")
        if line.split() != cells:
            lines.refuse(row, f"a blank or an empty cell in {_shown(line)}", "single tabs and no blanks")
    return [list(column) for column in zip(*rows, strict=True)]


def _split_names(lines: _Lines, names: Sequence[str], keys: Sequence[str]) -> tuple[list[str], list[str]]:
    pairs = [name.rpartition("_") for name in names]
    for row, ((utt_id, _, attack), key) in enumerate(zip(pairs, keys, strict=True)):
        if not utt_id or not attack:
            lines.refuse(row, f"name {_shown(names[row])}", "utterance and attack joined by `_`")
        if key == "bonafide" and attack != UNKNOWN:  # else the last part of an utterance's name would pass for one
            lines.refuse(row, f"name {_shown(names[row])} with key bonafide", "a bona fide name that ends in `_-`")
    return [utt_id for utt_id, _, _ in pairs], [attack for _, _, attack in pairs]


def _spoof_attacks(lines: _Lines, attacks: Sequence[str], keys: Sequence[str]) -> list[str]:
    for row, (attack, key) in enumerate(zip(attacks, keys, strict=True)):
        if attack == "bonafide" and key == "spoof":
            lines.refuse(row, "attack 'bonafide' with key spoof", "the attack's id, or `-` where it is not known")
    # scorers write `-`, `A00` or `bonafide` as the attack of bona fide trials; they have none
    return [UNKNOWN if key == "bonafide" else attack for attack, key in zip(attacks, keys, strict=True)]


def _check_keys(lines: _Lines, keys: Sequence[str], allowed: Sequence[str]) -> None:
    if not set(keys) <= set(allowed):
        row = next(r for r, key in enumerate(keys) if key not in allowed)
        lines.refuse(row, f"key {_shown(keys[row])}", " or ".join(allowed))


def _check_unique(lines: _Lines, utt_ids: Sequence[str]) -> None:
    if len(set(utt_ids)) == len(utt_ids):
        return
    first_row: dict[str, int] = {}
    for row, utt_id in enumerate(utt_ids):
        first = first_row.setdefault(utt_id, row)
        if first != row:
            found = f"trial {utt_id} stands on line {lines.first + first} already"
            lines.refuse(row, found, "every trial once")


def _numbers(lines: _Lines, texts: Sequence[str]) -> FloatArray:
    numbers = np.array([_float_or_nan(text) for text in texts])
    broken = np.flatnonzero(~(np.abs(numbers) <= LARGEST))
    if broken.size:
        lines.refuse(int(broken[0]), f"score {_shown(texts[broken[0]])}", f"a finite number within ±{LARGEST:g}")
    return numbers


def _float_or_nan(text: str) -> float:
    if "_" in text or not text.isascii():  # Python reads 1_0 as ten, and the digits of every script
        return math.nan
    try:
        return float(text)
    except ValueError:
        return math.nan


def _shown(text: str, most: int = 60) -> str:
    return repr(text if len(text) <= most else text[: most - 1] + "…")

"""Score files: read and refuse with file, line and value; write in the forms that users exchange.

Countermeasure (CM) score files have one trial per line, no header; a higher score is more bona fide. An attack id
of `-` means bona fide, or a spoof whose attack is not known.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from metrics.det import FloatArray, ScoreError

UNKNOWN = "-"
KEYS = ("spoof", "bonafide")
ASV_KEYS = ("target", "nontarget", "spoof")
CM_2019 = "`utt_id attack key score`"
CM_SEED003 = "`utt_attack score key`"
ASV_2019 = "`attack-or-bonafide target|nontarget|spoof score`"


class Form(NamedTuple):
    """How a score file is written: the template of a line and, where the form has one, its header."""

    line: str
    header: str = ""


FORMS: Mapping[str, Form] = {
    "asvspoof2019": Form("{utt_id} {attack} {key} {score!r}"),
    "asvspoof2021": Form("{utt_id} {score!r}"),
    "asvspoof5": Form("{utt_id}\t{score!r}", header="filename\tcm-score"),
    "seed003": Form("{utt_id}_{attack} {score!r} {key}"),
}


@dataclass(frozen=True, eq=False)
class CmScores:
    """Countermeasure scores of N trials, in the order of their file."""

    utt_ids: list[str]
    attacks: list[str]
    is_bonafide: NDArray[np.bool_]
    """Key of each trial [N]."""
    scores: FloatArray
    """Score of each trial [N], higher = more bona fide."""

    @property
    def bonafide(self) -> FloatArray:
        """Scores of the bona fide trials."""
        return self.scores[self.is_bonafide]

    @property
    def spoof(self) -> FloatArray:
        """Scores of all spoof trials."""
        return self.scores[~self.is_bonafide]

    def spoof_by_attack(self) -> dict[str, FloatArray]:
        """Scores of the spoof trials of each attack, attacks in alphabetical order."""
        return _by_attack(np.array(self.attacks)[~self.is_bonafide], self.spoof)


@dataclass(frozen=True, eq=False)
class AsvScores:
    """Scores of a speaker verification system, higher = more like the target speaker."""

    target: FloatArray
    nontarget: FloatArray
    spoof: FloatArray
    spoof_attacks: list[str]
    """Attack of each spoof score."""

    def spoof_by_attack(self) -> dict[str, FloatArray]:
        """Scores of the spoof trials of each attack, attacks in alphabetical order."""
        return _by_attack(np.array(self.spoof_attacks), self.spoof)


def read_cm_scores(path: Path) -> CmScores:
    """Read form `asvspoof2019` (`utt_id attack key score`) or `seed003` (`utt_attack score key`).

    The number of columns tells which; the other two forms carry no keys, so nothing can be judged from them alone.

    Raises:
        ScoreError: a line that is not of the form, a NaN or infinite score, an unknown key, a trial that stands
            twice, a single class, an empty or binary file.
    """
    lines = _read_lines(path, f"lines of {CM_2019} or {CM_SEED003}")
    n_columns = len(lines[0].split())
    if n_columns == 4:
        utt_ids, attacks, keys, texts = _columns(path, lines, 4, CM_2019)
    elif n_columns == 3:
        names, texts, keys = _columns(path, lines, 3, CM_SEED003)
        utt_ids, attacks = _split_names(path, names)
    else:
        _refuse(path, 1, f"{n_columns} columns in {_shown(lines[0])}", f"{CM_2019} or {CM_SEED003}")
    _check_keys(path, keys, KEYS)
    _check_unique(path, utt_ids)
    # scorers write `-`, `A00` or `bonafide` as the attack of bona fide trials; they have none
    attacks = [UNKNOWN if key == "bonafide" else attack for attack, key in zip(attacks, keys, strict=True)]
    scores = CmScores(utt_ids, attacks, np.array(keys) == "bonafide", _numbers(path, texts))
    if not scores.bonafide.size or not scores.spoof.size:
        raise ScoreError(f"{path}: all {len(keys)} trials are {keys[0]}; expected both bonafide and spoof")
    return scores


def read_asv_scores(path: Path) -> AsvScores:
    """Read the ASV scores that a t-DCF needs: lines of `attack-or-bonafide target|nontarget|spoof score`.

    Raises:
        ScoreError: as `read_cm_scores`; one of the three classes is missing.
    """
    lines = _read_lines(path, f"lines of {ASV_2019}")
    attacks, keys, texts = _columns(path, lines, 3, ASV_2019)
    _check_keys(path, keys, ASV_KEYS)
    for number, (attack, key) in enumerate(zip(attacks, keys, strict=True), 1):
        if (attack == "bonafide") == (key == "spoof"):
            _refuse(path, number, f"{attack} with key {key}", "`bonafide` with target and nontarget only")
    scores, key_array = _numbers(path, texts), np.array(keys)
    target, nontarget, spoof = (scores[key_array == key] for key in ASV_KEYS)
    for key, found in zip(ASV_KEYS, (target, nontarget, spoof), strict=True):
        if not found.size:
            raise ScoreError(f"{path}: no {key} trial in {len(keys)} lines; expected all of {', '.join(ASV_KEYS)}")
    return AsvScores(target, nontarget, spoof, [a for a, k in zip(attacks, keys, strict=True) if k == "spoof"])


def format_cm_scores(scores: CmScores, form: str) -> Iterator[str]:
    """Lines (each with its newline) of a score file in one of FORMS; the numbers read back to the same float64.

    Raises:
        ScoreError: an unknown form, a score that is not finite, or a name that the form could not give back.
    """
    if form not in FORMS:
        raise ScoreError(f"score form {form!r}; expected one of {', '.join(FORMS)}")
    _check_writable(scores, form)
    return _lines(scores, FORMS[form])


def check_coverage(scores: CmScores, keys: Mapping[str, str], attacks: Mapping[str, str], where: str) -> None:
    """Refuse scores that do not stand for exactly the trials of a protocol.

    Args:
        keys: key of every trial of the protocol, by utterance.
        attacks: attack of every trial of the protocol, by utterance.
        where: what the error begins with: the two files.

    Raises:
        ScoreError: trials without a score, scores without a trial, keys or attacks that differ; with their
            numbers and the first of each.
    """
    found = dict(zip(scores.utt_ids, scores.is_bonafide.tolist(), strict=True))
    common = [(u, attack) for u, attack in zip(scores.utt_ids, scores.attacks, strict=True) if u in keys]
    faults = (
        (f"of {len(keys)} trials have no score", [u for u in keys if u not in found]),
        (f"of {len(found)} scores belong to no trial", [u for u in found if u not in keys]),
        ("keys differ", [u for u, _ in common if keys[u] != KEYS[found[u]]]),
        ("attacks differ", [u for u, attack in common if attacks[u] != attack]),
    )
    told = [f"{len(utt_ids)} {what} ({_first(utt_ids)})" for what, utt_ids in faults if utt_ids]
    if told:
        raise ScoreError(f"{where}: {'; '.join(told)}; expected one score for every trial, with its key")


def check_attacks(cm: CmScores, asv: AsvScores, where: str) -> None:
    """ScoreError when a spoof attack among the CM scores has no ASV trial: its t-DCF would be undefined."""
    known = sorted(set(asv.spoof_attacks))
    missing = [attack for attack in cm.spoof_by_attack() if attack not in known]
    if missing:
        raise ScoreError(
            f"{where}: the ASV scores lack {_first(missing)} of the CM scores; they hold {_first(known)} "
            "(another partition?); expected ASV trials of every attack"
        )


def _read_lines(path: Path, expected: str) -> list[str]:
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        _refuse(path, line, f"byte {content[error.start]:#04x} is not text", expected)
    if not text.strip():
        raise ScoreError(f"{path}: empty; expected {expected}")
    return text.removesuffix("\n").split("\n")


def _columns(path: Path, lines: Sequence[str], n_columns: int, expected: str) -> list[list[str]]:
    rows = [line.split() for line in lines]
    for number, row in enumerate(rows, 1):
        if len(row) != n_columns:
            _refuse(path, number, f"{len(row)} columns in {_shown(lines[number - 1])}", expected)
    return [list(column) for column in zip(*rows, strict=True)]


def _split_names(path: Path, names: Sequence[str]) -> tuple[list[str], list[str]]:
    pairs = [name.rpartition("_") for name in names]
    for number, (utt_id, _, attack) in enumerate(pairs, 1):
        if not utt_id or not attack:
            _refuse(path, number, f"name {_shown(names[number - 1])}", "utterance and attack joined by `_`")
    return [utt_id for utt_id, _, _ in pairs], [attack for _, _, attack in pairs]


def _check_keys(path: Path, keys: Sequence[str], allowed: Sequence[str]) -> None:
    for number, key in enumerate(keys, 1):
        if key not in allowed:
            _refuse(path, number, f"key {_shown(key)}", " or ".join(allowed))


def _check_unique(path: Path, utt_ids: Sequence[str]) -> None:
    first_line: dict[str, int] = {}
    for number, utt_id in enumerate(utt_ids, 1):
        first = first_line.setdefault(utt_id, number)
        if first != number:
            _refuse(path, number, f"trial {utt_id} stands on line {first} already", "every trial once")


def _numbers(path: Path, texts: Sequence[str]) -> FloatArray:
    numbers = np.array([_float_or_nan(text) for text in texts])
    broken = np.flatnonzero(~np.isfinite(numbers))
    if broken.size:
        _refuse(path, int(broken[0]) + 1, f"score {_shown(texts[broken[0]])}", "a finite number")
    return numbers


def _float_or_nan(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _refuse(path: Path, line: int, found: str, expected: str) -> NoReturn:
    raise ScoreError(f"{path}:{line}: {found}; expected {expected}")


def _shown(text: str, most: int = 60) -> str:
    return repr(text if len(text) <= most else text[: most - 1] + "…")


def _first(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _by_attack(attacks: NDArray[np.str_], scores: FloatArray) -> dict[str, FloatArray]:
    return {str(attack): scores[attacks == attack] for attack in np.unique(attacks)}


def _check_writable(scores: CmScores, form: str) -> None:
    for utt_id, attack, score in zip(scores.utt_ids, scores.attacks, scores.scores.tolist(), strict=True):
        if not math.isfinite(score):
            raise ScoreError(f"score {score} of {utt_id}; expected a finite number")
        if len(f"{utt_id} {attack}".split()) != 2 or (form == "seed003" and "_" in attack):
            raise ScoreError(
                f"utterance {utt_id!r} with attack {attack!r} cannot be written in form {form}; expected no blanks"
                + (", and no `_` in the attack" if form == "seed003" else "")
            )


def _lines(scores: CmScores, form: Form) -> Iterator[str]:
    if form.header:
        yield f"{form.header}\n"
    rows = zip(scores.utt_ids, scores.attacks, scores.is_bonafide.tolist(), scores.scores.tolist(), strict=True)
    for utt_id, attack, is_bonafide, score in rows:
        yield form.line.format(utt_id=utt_id, attack=attack, key=KEYS[is_bonafide], score=score) + "\n"

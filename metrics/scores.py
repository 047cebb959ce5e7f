"""Score files: read and refuse with file, line and value; write in the forms that users exchange.

Countermeasure (CM) score files have one trial per line; a higher score is more bona fide. Only blanks and tabs
separate columns. An attack id of `-` means bona fide, or a spoof whose attack is not known.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from spoofcache.metrics.det import FloatArray, ScoreError

UNKNOWN = "-"
KEYS = ("spoof", "bonafide")
ASV_KEYS = ("target", "nontarget", "spoof")
CM_2019 = "`utt_id attack key score`"
CM_2021 = "`utt_id score`"
CM_SEED003 = "`utt_attack score key`"
CM_ANY = f"lines of {CM_2019}, {CM_SEED003} or {CM_2021}, or a tab-separated table with header"
ASV_2019 = "`attack-or-bonafide target|nontarget|spoof score`"
AUDIO_ENDINGS = (".flac", ".wav", ".mp3", ".m4a", ".mp4", ".aac", ".ogg", ".opus", ".webm", ".g722", ".aiff", ".aif")
LARGEST = 1e38
"""Scores beyond are infinities in disguise (`nan_to_num` writes the largest float), and their differences overflow."""


class Form(NamedTuple):
    """How a score file is written: the template of a line and, where the form has one, its header."""

    line: str
    header: str = ""


FORMS: Mapping[str, Form] = {
    "asvspoof2019": Form("{utt_id} {attack} {key} {score!r}"),
    "asvspoof2021": Form("{utt_id} {score!r}"),
    "asvspoof5": Form("{utt_id}\t{score!r}", header="filename\tcm-score"),
    "seed003": Form("{utt_id}_{attack} {score!r} {key}"),
    "tsv": Form("{utt_id}\t{attack}\t{key}\t{score!r}", header="utt_id\tattack\tkey\tscore"),
}
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


@dataclass(frozen=True, eq=False)
class ScoreFile:
    """What a CM score file says of its N trials, in its order."""

    path: Path
    form: str
    """A key of FORMS."""
    utt_ids: list[str]
    """Without audio endings: see `without_ending`."""
    scores: FloatArray
    """Score of each trial [N], higher = more bona fide."""
    keys: list[str] | None
    """`bonafide` or `spoof`; None where the file does not say."""
    attacks: list[str] | None
    """`-` where it is not known and for bona fide; None where the file has no such column."""

    @property
    def is_bonafide(self) -> NDArray[np.bool_] | None:
        """Key of each trial [N]; None where the file does not say."""
        return None if self.keys is None else np.array(self.keys) == "bonafide"


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
class TrialList:
    """The N trials of a test set, column by column; the scores of a system are an array [N] in the same order."""

    utt_ids: list[str]
    is_bonafide: NDArray[np.bool_]
    """Key of each trial [N]."""
    columns: Mapping[str, NDArray[np.str_]]
    """What the protocol says of each trial [N], by name: `attack`, `speaker`, `codec`, …; `-` where it is not known."""


@dataclass(frozen=True, eq=False)
class AsvScores:
    """Scores of a speaker verification system, higher = more like the target speaker."""

    target: FloatArray
    nontarget: FloatArray
    spoof: FloatArray
    spoof_attacks: list[str]
    """Attack of each spoof score."""

    @property
    def classes(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Scores of target, nontarget and spoof trials, in this order."""
        return self.target, self.nontarget, self.spoof

    def spoof_by_attack(self) -> dict[str, FloatArray]:
        """Scores of the spoof trials of each attack, attacks in alphabetical order."""
        return _by_attack(np.array(self.spoof_attacks), self.spoof)


def without_ending(utt_id: str) -> str:
    """An utterance's name without the ending of an audio file, so that `0.wav` and `0` are the same trial.

    >>> without_ending("file4.wav_16k.wav"), without_ending("LA_E_1.v2"), without_ending(".wav")
    ('file4.wav_16k', 'LA_E_1.v2', '.wav')
    """
    stem, dot, ending = utt_id.rpartition(".")
    return stem if stem and dot + ending.lower() in AUDIO_ENDINGS else utt_id


def read_scores(path: Path) -> ScoreFile:
    """Read a CM score file of any of FORMS, told apart by the first line.

    A line of names from COLUMN_NAMES with tabs between them is the header of a table (form `asvspoof5` or `tsv`,
    columns in any order); else four columns are `utt_id attack key score` (`asvspoof2019`), three are `utt_attack
    score key` (`seed003`; a bona fide name ends in `_-`), two are `utt_id score` (`asvspoof2021`).

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
    return ScoreFile(path, form, utt_ids, _numbers(lines, columns["score"]), keys, attacks)


def trial_list(scores: ScoreFile) -> TrialList:
    """The trials of a score file that carries their keys, for want of a protocol; of columns there is `attack`.

    Raises:
        ScoreError: a file without keys, or with a single class.
    """
    is_bonafide = scores.is_bonafide
    if is_bonafide is None:
        keyed = ", ".join(form for form in FORMS if needs_keys(form))
        raise ScoreError(
            f"{scores.path}: form {scores.form} without keys; expected a form with them ({keyed}), or a protocol "
            "(evaluate.py --protocol)"
        )
    if is_bonafide.all() or not is_bonafide.any():
        only = KEYS[bool(is_bonafide[0])]
        raise ScoreError(f"{scores.path}: all {is_bonafide.size} trials are {only}; expected both bonafide and spoof")
    attacks = scores.attacks or [UNKNOWN] * is_bonafide.size
    return TrialList(scores.utt_ids, is_bonafide, {"attack": np.array(attacks)})


def needs_keys(form: str) -> bool:
    """Whether a form of FORMS is written with the key of each trial."""
    return "{key}" in FORMS[form].line


def read_cm_scores(path: Path) -> CmScores:
    """Read a CM score file that carries keys: form `asvspoof2019`, `seed003`, or `tsv` with a key column.

    Raises:
        ScoreError: as `read_scores`; a file without keys, or with a single class.
    """
    scores = read_scores(path)
    trials = trial_list(scores)
    return CmScores(trials.utt_ids, trials.columns["attack"].tolist(), trials.is_bonafide, scores.scores)


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


def format_cm_scores(scores: CmScores, form: str) -> Iterator[str]:
    """Lines (each with its newline) of a score file in one of FORMS; the numbers read back to the same float64.

    Raises:
        ScoreError: an unknown form, a score beyond ±LARGEST or NaN, or a name that the form could not give back.
    """
    if form not in FORMS:
        raise ScoreError(f"score form {form!r}; expected one of {', '.join(FORMS)}")
    _check_writable(scores, form)
    return _lines(scores, FORMS[form])


def align(scores: ScoreFile, trials: TrialList, where: str, outside: Collection[str] = ()) -> FloatArray:
    """Scores [N] in the order of the N `trials`, matched by name without audio endings.

    Args:
        where: what an error begins with: the two files.
        outside: utterances of the protocol that are not to be judged; their scores are dropped.

    Raises:
        ScoreError: trials without a score, scores of no trial, trials that share a name, keys or attacks that
            contradict the protocol's (an attack that one side does not know is no contradiction); with their
            numbers and the first of each.
    """
    return _aligned(scores, trials, where, outside)


def check_coverage(scores: CmScores, keys: Mapping[str, str], attacks: Mapping[str, str], where: str) -> None:
    """Refuse scores that do not stand for exactly the trials of a protocol.

    Args:
        keys: key of every trial of the protocol, by utterance.
        attacks: attack of every trial of the protocol, by utterance.
        where: what the error begins with: the two files.

    Raises:
        ScoreError: as `align`; and where the scores do not know an attack, since they are judged by theirs.
    """
    attack_column = np.array([attacks.get(utt_id, UNKNOWN) for utt_id in keys])
    trials = TrialList(list(keys), np.array(list(keys.values())) == "bonafide", {"attack": attack_column})
    _aligned(scores, trials, where, may_be_unknown=False)


def check_attacks(attacks: Collection[str], asv: AsvScores, where: str) -> None:
    """ScoreError when one of the CM trials' spoof `attacks` has no ASV trial: its t-DCF would be undefined."""
    known = sorted(set(asv.spoof_attacks))
    missing = sorted(set(attacks).difference(known))
    if missing:
        raise ScoreError(
            f"{where}: the ASV scores lack {_first(missing)} of the CM scores; they hold {_first(known)} "
            "(another partition?); expected ASV trials of every attack"
        )


def _aligned(
    scores: ScoreFile | CmScores,
    trials: TrialList,
    where: str,
    outside: Collection[str] = (),
    may_be_unknown: bool = True,
) -> FloatArray:
    names = [without_ending(utt_id) for utt_id in trials.utt_ids]
    row_of = {utt_id: row for row, utt_id in enumerate(scores.utt_ids)}
    rows = np.array([row_of.get(name, -1) for name in names], dtype=np.intp)
    wanted = {*names, *map(without_ending, outside)}
    twice = [name for name, count in Counter(names).items() if count > 1] if len(set(names)) < len(names) else []
    faults = (
        (f"of {len(names)} trials have no score", _where(names, rows < 0)),
        (f"of {len(row_of)} scores belong to no trial", [name for name in row_of if name not in wanted]),
        (f"of {len(names)} trials share their name with another", twice),
        ("keys differ", _where(names, (rows >= 0) & _keys_differ(scores, trials, rows))),
        ("attacks differ", _where(names, (rows >= 0) & _attacks_differ(scores, trials, rows, may_be_unknown))),
    )
    told = [f"{len(utt_ids)} {what} ({_first(utt_ids)})" for what, utt_ids in faults if utt_ids]
    if told:
        raise ScoreError(f"{where}: {'; '.join(told)}; expected one score for every trial, with its key")
    return scores.scores[rows]


def _keys_differ(scores: ScoreFile | CmScores, trials: TrialList, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    said = scores.is_bonafide
    return np.zeros(rows.size, bool) if said is None else said[rows] != trials.is_bonafide


def _attacks_differ(
    scores: ScoreFile | CmScores, trials: TrialList, rows: NDArray[np.intp], may_be_unknown: bool
) -> NDArray[np.bool_]:
    if scores.attacks is None or "attack" not in trials.columns:
        return np.zeros(rows.size, bool)
    said, expected = np.array(scores.attacks)[rows], trials.columns["attack"]
    differ = said != expected
    return differ & (said != UNKNOWN) & (expected != UNKNOWN) if may_be_unknown else differ


def _where(names: Sequence[str], chosen: NDArray[np.bool_]) -> list[str]:
    return [names[i] for i in np.flatnonzero(chosen).tolist()]


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
        names, texts, keys = _columns(lines, 3, CM_SEED003)
        utt_ids, attacks = _split_names(lines, names, keys)
        return "seed003", {"utt_id": utt_ids, "attack": attacks, "key": keys, "score": texts}
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


def _first(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _by_attack(attacks: NDArray[np.str_], scores: FloatArray) -> dict[str, FloatArray]:
    return {str(attack): scores[attacks == attack] for attack in np.unique(attacks)}


def _check_writable(scores: CmScores, form: str) -> None:
    for utt_id, attack, score in zip(scores.utt_ids, scores.attacks, scores.scores.tolist(), strict=True):
        if not abs(score) <= LARGEST:
            raise ScoreError(f"score {score} of {utt_id}; expected a finite number within ±{LARGEST:g}")
        if not _is_readable(utt_id, attack) or (form == "seed003" and "_" in attack):
            raise ScoreError(
                f"utterance {utt_id!r} with attack {attack!r} cannot be written in form {form}; expected no blanks"
                + (", and no `_` in the attack" if form == "seed003" else "")
            )


def _is_readable(utt_id: str, attack: str) -> bool:
    name = f"{utt_id} {attack}"
    return name.isprintable() and len(name.split()) == 2


def _lines(scores: CmScores, form: Form) -> Iterator[str]:
    if form.header:
        yield f"{form.header}\n"
    rows = zip(scores.utt_ids, scores.attacks, scores.is_bonafide.tolist(), scores.scores.tolist(), strict=True)
    for utt_id, attack, is_bonafide, score in rows:
        yield form.line.format(utt_id=utt_id, attack=attack, key=KEYS[is_bonafide], score=score) + "\n"

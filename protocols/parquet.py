"""Data sets of the hub with the audio inside: Parquet files in the form of the library datasets.

`--protocol` names one file. If it is one of several parts, `train-00000-of-00003.parquet`, all of them are read.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from spoofcache.common.names import utterance_of, word
from spoofcache.common.parquet import ParquetAudio, ParquetError, place_of
from spoofcache.common.tables.words import BINARY, HEADERS, NO_ATTACK, NOT_KEYS, class_of, plain
from spoofcache.protocols.corpus import Corpus, Location
from spoofcache.protocols.key_columns import POLARITY, SYNONYMS
from spoofcache.protocols.trial import UNKNOWN, ProtocolError, check_attack, check_utterance, known
from spoofcache.protocols.trial_table import Row, TrialTable, check_unique

PART = re.compile(r"(?P<name>.+)-\d{5}-of-(?P<count>\d{5})")

ROLES = ("utterance", "key", "attack", "speaker")


class _Columns(NamedTuple):
    """Columns of a file by their meaning; the utterance is None where the paths of the audio name it."""

    utterance: str | None
    key: str
    one_means: str
    attack: str | None
    speaker: str | None
    conditions: Mapping[str, str]


def parts_of(path: Path) -> list[Path]:
    """The parts of a data set, in their order, of which the path is one; ProtocolError if one is missing."""
    match = PART.fullmatch(path.stem)
    if match is None:
        return [path]
    count = int(match["count"])
    parts = [path.with_stem(f"{match['name']}-{index:05}-of-{match['count']}") for index in range(count)]
    missing = [part.name for part in parts if not part.is_file()]
    if missing:
        raise ProtocolError(f"{path}: no {missing[0]} beside it; expected all {count} parts")
    return parts


def read_parquet(where: Location, partition: str) -> TrialTable:
    """The trials of the file or of all its parts; each has its audio in a row of the file.

    Raises:
        ProtocolError: a file cannot be read, a column is missing or can be understood in two ways, a row has no
            utterance or no class, or two rows name the same utterance.
    """
    path = where.folder("protocol")
    try:
        trials = TrialTable.of_rows(row for part in parts_of(path) for row in _rows(ParquetAudio(part), where.columns))
    except ParquetError as error:
        raise ProtocolError(str(error)) from error
    if not trials:
        raise ProtocolError(f"{path}: no rows; expected utterances")
    check_unique(trials, path, start=0)
    return trials


def _rows(file: ParquetAudio, asked: Mapping[str, str]) -> Iterator[Row]:
    texts = {name: texts for name in file.columns if name != file.audio and (texts := file.texts(name)) is not None}
    columns = _understand(file, texts, asked)
    paths = file.names()
    utterances = texts[columns.utterance] if columns.utterance else paths
    for row, (name, path) in enumerate(zip(utterances, paths, strict=True)):
        utt_id = (word(name) if columns.utterance else utterance_of(name)) if name else ""
        check_utterance(utt_id, file.path, row)
        key = _key(file.path, row, texts[columns.key][row], columns.one_means)
        attack = word(texts[columns.attack][row]) if columns.attack else UNKNOWN
        if key == "bonafide" and attack.lower() in NO_ATTACK:
            attack = UNKNOWN
        if attack not in ("", UNKNOWN):
            check_attack(attack, key, file.path, row)
        speaker = texts[columns.speaker][row] if columns.speaker else UNKNOWN
        stated = known({name: texts[column][row] for name, column in columns.conditions.items()}, key)
        yield utt_id, key, attack or UNKNOWN, speaker or UNKNOWN, stated, place_of(file.path, row, path), path or ""


def _understand(file: ParquetAudio, texts: Mapping[str, Sequence[str]], asked: Mapping[str, str]) -> _Columns:
    """The meaning of the columns: what the user says, or else what their names say."""
    asked = {SYNONYMS.get(name, name): column for name, column in asked.items()}
    asked = {"utterance" if name == "file" else name: column for name, column in asked.items()}
    for name, column in asked.items():
        if column not in texts:
            raise ProtocolError(f"{file.path}: --column {name}={column}; expected one of {', '.join(texts)}")
    polarity = [name for name in POLARITY if name in asked]
    key = asked[polarity[0]] if polarity else asked.get("key") or _key_column(file, texts)
    free = [name for name in texts if name != key and name not in asked.values()]
    attack, speaker = (asked.get(role) or _named(role, free) for role in ("attack", "speaker"))
    others = {name: name for name in free if name not in (attack, speaker)}
    named = {name: column for name, column in asked.items() if name not in (*ROLES, *POLARITY)}
    return _Columns(asked.get("utterance"), key, "".join(polarity[:1]), attack, speaker, {**others, **named})


def _key_column(file: ParquetAudio, texts: Mapping[str, Sequence[str]]) -> str:
    """The only column whose values all mean a class; if there are several, the one whose name says so."""
    found = [name for name, values in texts.items() if _says_class(name, values)]
    named = _named("key", found)
    if named or len(found) == 1:
        return named or found[0]
    what = f"columns {' and '.join(found)} say" if found else "no column says"
    raise ProtocolError(
        f"{file.path}: {what} bonafide or spoof; expected --column key=NAME, or --column bonafide=NAME or "
        f"--column spoof=NAME for a column of 0 and 1, with one of {', '.join(texts)}"
    )


def _says_class(name: str, values: Sequence[str]) -> bool:
    return plain(name) not in NOT_KEYS and bool(values) and all(map(class_of, set(values)))


def _named(role: str, columns: Sequence[str]) -> str | None:
    """The column whose name has that meaning; None if there is none, or if two have it."""
    for names in HEADERS[role]:
        found = [column for column in columns if plain(column) in names]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _key(path: Path, row: int, text: str, one_means: str) -> str:
    if one_means:
        other = {"bonafide": "spoof", "spoof": "bonafide"}[one_means]
        key = {"1": one_means, "0": other}.get(BINARY.get(text.lower(), text))
        expected = "0 or 1"
    else:
        key, expected = class_of(text), "a word for bona fide or spoof"
    if key is None:
        raise ProtocolError(f"{path}:{row}: key {text!r}; expected {expected}")
    return key


CORPUS = Corpus(read_parquet, needs=("protocol",), may=("columns",))

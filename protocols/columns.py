"""Reads protocols without a header, whose columns are known."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from spoofcache.protocols.trial import (
    KEYS,
    UNKNOWN,
    ProtocolError,
    check_attack,
    check_utterance,
    key_of,
    known,
    text_lines,
)
from spoofcache.protocols.trial_table import Row, TrialTable, check_unique


def read_columns(
    path: Path,
    columns: str,
    split: Callable[[str], list[str]] = str.split,
    spellings: Mapping[str, str] = KEYS,
    utterance_of: Callable[[str], str] | None = None,
) -> TrialTable:
    """Read a protocol without a header, in its order.

    Args:
        path: the protocol.
        columns: names of the columns: `utterance key`, usually `speaker attack`, and the conditions.
        split: line → its values.
        spellings: spelling of a key in this corpus → key.
        utterance_of: audio file → utterance, if the column `utterance` names files.

    Raises:
        ProtocolError: the file is empty; a line has another number of columns, no utterance or an unknown key; a bona
            fide trial has an attack, or a spoof has none (if there is such a column); an utterance is listed twice.
    """
    rows = enumerate(_rows(path, columns, split), 1)
    trials = TrialTable.of_rows(_trial(path, number, row, spellings, utterance_of) for number, row in rows)
    if not trials:
        raise ProtocolError(f"{path}: empty; expected lines of {columns}")
    check_unique(trials, path)
    return trials


def _rows(path: Path, columns: str, split: Callable[[str], list[str]]) -> Iterator[dict[str, str]]:
    names = columns.split()
    for number, line in enumerate(text_lines(path, f"lines of {columns}"), 1):
        values = split(line)
        if len(values) != len(names):
            found = f"{len(values)} columns in {line.strip()[:60]!r}"
            raise ProtocolError(f"{path}:{number}: {found}; expected {len(names)}: {columns}")
        yield dict(zip(names, values, strict=True))


def _trial(
    path: Path,
    line: int,
    row: dict[str, str],
    spellings: Mapping[str, str],
    utterance_of: Callable[[str], str] | None,
) -> Row:
    name, speaker, attack = row.pop("utterance"), row.pop("speaker", UNKNOWN), row.pop("attack", None)
    utt_id, file = (utterance_of(name), name) if utterance_of else (name, "")
    key = key_of(row.pop("key"), spellings, path, line)
    check_utterance(utt_id, path, line)
    if attack is not None:
        check_attack(attack, key, path, line)
    if attack is None or key == "bonafide":
        attack = UNKNOWN
    return utt_id, key, attack, speaker, known(row, key), None, file

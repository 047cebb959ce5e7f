"""Reads tables of trials: a user's own, the meta.csv of In-the-Wild, the CSV of SpeechFake, the trial list of a cache.

A table may have a header. Cells may be separated by commas, tabs, semicolons or blanks. Columns may be in any order.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path

from spoofcache.common.names import quoted, utterance_of, word
from spoofcache.common.tables.layout import TableError, shown
from spoofcache.common.tables.words import BINARY, NO_ATTACK, class_of
from spoofcache.common.text_index import first_repeat
from spoofcache.protocols.audio import find_audio
from spoofcache.protocols.corpus import Corpus, Location
from spoofcache.protocols.key_columns import KeyColumns, key_columns
from spoofcache.protocols.trial import UNKNOWN, ProtocolError, Trial, check_attack, check_utterance, key_of, known
from spoofcache.protocols.trial_table import Row, TrialTable

SPELLINGS: Mapping[str, str] = {"bonafide": "bonafide", "bona-fide": "bonafide", "spoof": "spoof"}


def read_table(
    path: Path, spellings: Mapping[str, str] | None = SPELLINGS, columns: Mapping[str, str] | None = None
) -> TrialTable:
    """Read a table of trials, in its order, for a corpus whose audio will be looked up.

    If the table names files, the name of each utterance is `utterance_of` the path. Every column that is neither
    utterance, key, attack nor speaker becomes a condition under its own name. A column without a name, or called
    `Unnamed: 0` (the row numbers that data frames write), is omitted. A cell that is empty or `-` means unknown, also
    for the attack of a spoof.

    Args:
        path: the table.
        spellings: how the corpus spells the keys → our key; None to accept any word that means one of the classes.
        columns: our name of a column (`file`, `label`, `speaker`, `attack`, `bonafide` or `spoof` for a column of 0
            and 1, a condition) → its header or its number.

    Raises:
        ProtocolError: the text is not a table, has no utterances or keys, or can be read in two ways; a row has another
            width; a key is unknown; a bona fide trial has an attack; two rows name the same utterance.
    """
    try:
        found = key_columns(path, columns or {})
    except TableError as error:
        raise ProtocolError(str(error)) from error
    return unique_utterances(trials_of(found, spellings), path)


def trials_of(found: KeyColumns, spellings: Mapping[str, str] | None) -> TrialTable:
    """The trials of a table whose columns are known, in the order of the table.

    Unlike `read_table`, it allows two files of one utterance (`u1.mp3` and `u1.ogg`).

    Args:
        found: the table and the meaning of its columns.
        spellings: as in `read_table`.

    Raises:
        ProtocolError: a row names no utterance, or one that an earlier row names; a key is unknown; a bona fide trial
            has an attack.
    """
    return TrialTable.of_rows(_rows(found, spellings))


def _rows(found: KeyColumns, spellings: Mapping[str, str] | None) -> Iterator[Row]:
    lines, again = found.table.lines, first_repeat(found.utterance.cells)
    holds_files, conditions = found.holds_files, found.conditions
    cells = zip(*(one.cells for one in conditions.values()), strict=True) if conditions else None
    attacks, speakers = (one.cells if one else repeat(UNKNOWN) for one in (found.attack, found.speaker))
    columns = zip(found.utterance.cells, found.key.cells, attacks, speakers, strict=False)
    for row, (name, spelling, spelt_attack, speaker) in enumerate(columns):
        line = lines.numbers[row]
        key = _key(found, spelling, spellings, line)
        utt_id = utterance_of(name) if holds_files else word(name)
        check_utterance(utt_id, lines.path, line)
        if again and again.row == row:
            first = f"utterance {shown(name)} is in line {lines.numbers[again.earlier]} already"
            raise ProtocolError(f"{lines.path}:{line}: {first}; expected every utterance once")
        stated = known(dict(zip(conditions, next(cells), strict=True)), key) if cells else {}
        attack = _attack(found, spelt_attack, key, line)
        yield utt_id, key, attack, speaker or UNKNOWN, stated, None, name if holds_files else ""


def _key(found: KeyColumns, spelling: str, spellings: Mapping[str, str] | None, line: int) -> str:
    path = found.table.lines.path
    if found.one_means:
        other = {"bonafide": "spoof", "spoof": "bonafide"}[found.one_means]
        return key_of(BINARY.get(spelling.lower(), spelling), {"1": found.one_means, "0": other}, path, line)
    if spellings is not None:
        return key_of(spelling, spellings, path, line)
    key = class_of(spelling)
    if key is None:
        raise ProtocolError(f"{path}:{line}: key {spelling!r}; expected a word for bona fide or spoof ({found})")
    return key


def _attack(found: KeyColumns, spelling: str, key: str, line: int) -> str:
    attack = word(spelling) or UNKNOWN
    if key == "bonafide" and attack.lower() in NO_ATTACK:
        return UNKNOWN
    if attack != UNKNOWN:
        check_attack(attack, key, found.table.lines.path, line)
    return attack


def unique_utterances(trials: Sequence[Trial], path: Path) -> TrialTable:
    """The trials; raises ProtocolError if two files would be the same utterance."""
    table = TrialTable.of(trials)
    again = first_repeat(table.names)
    if again:
        name = table.names[again.row]
        one, two = quoted(*(table[row].file or name for row in (again.earlier, again.row)))
        raise ProtocolError(
            f"{path}: {one} and {two} would both be utterance {name}; expected files whose names differ in "
            "more than their endings, blanks or Unicode normal forms"
        )
    return table


def read_own(where: Location, partition: str) -> TrialTable:
    """The trials of a user's table, with the audio of a folder."""
    trials = read_table(where.folder("protocol"), None, where.columns)
    return find_audio(trials, where.folder("audio_dir"))


CSV = Corpus(read_own, needs=("protocol", "audio_dir"), may=("columns",))

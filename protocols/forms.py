"""Read a protocol or a key file of any form, and take columns from its trials."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from spoofcache.common.tables.foreign import VERIFICATION
from spoofcache.common.tables.layout import Lines, TableError, read_lines
from spoofcache.common.tables.roles import Names
from spoofcache.common.texts import SharedTexts, Texts
from spoofcache.protocols import asvspoof5, asvspoof19, asvspoof21, codecfake
from spoofcache.protocols.key_columns import EXPECTED, POLARITY, KeyColumns, key_columns
from spoofcache.protocols.table import trials_of
from spoofcache.protocols.trial import KEYS, UNKNOWN, ProtocolError, Trial
from spoofcache.protocols.trial_table import TrialTable

LOOKED_AT = 1000
"""Number of lines from which a form without a header is recognised."""


class KeyFile(NamedTuple):
    """A protocol or a key file that was read."""

    trials: TrialTable
    understood: str
    """How its columns were understood, in words."""
    polarity: str
    """A sentence where 1 was taken for bona fide although the user does not say what 1 means; else empty."""


class Form(NamedTuple):
    """A form of lines without a header, as a corpus uses it."""

    read: Callable[[Path], TrialTable]
    columns: str
    """Names of the columns, which include `utterance` and `key`."""
    spellings: Mapping[str, str] = KEYS


OFFICIAL: Mapping[int, Form] = {
    3: Form(codecfake.read_protocol, codecfake.COLUMNS, codecfake.SPELLINGS),
    5: Form(asvspoof19.read_protocol, asvspoof19.COLUMNS),
    8: Form(partial(asvspoof21.read_protocol, scenario="LA"), asvspoof21.COLUMNS["LA"]),
    9: Form(asvspoof5.read_protocol, asvspoof5.COLUMNS.replace(" attack_tag", "")),
    10: Form(asvspoof5.read_protocol, asvspoof5.COLUMNS),
    12: Form(partial(asvspoof21.read_protocol, scenario="PA"), asvspoof21.COLUMNS["PA"]),
    13: Form(partial(asvspoof21.read_protocol, scenario="DF"), asvspoof21.COLUMNS["DF"]),
}
"""Protocols of corpora by their number of columns, which no two of them share."""
NAMES: Mapping[int, str] = {n: form.columns for n, form in OFFICIAL.items() if n not in (3, 9)}
"""Names of the columns of such a protocol if it has commas or comments."""


def read_any_protocol(
    path: Path, columns: Mapping[str, str] | None = None, known_names: Names | None = None
) -> TrialTable:
    """The trials of a protocol or a key file, as `read_key_file` reads them."""
    return read_key_file(path, columns, known_names).trials


def read_key_file(path: Path, columns: Mapping[str, str] | None = None, known_names: Names | None = None) -> KeyFile:
    """Read a protocol or a key file, in its order (trials without paths).

    A protocol of a corpus is recognised by its columns and read by the corpus's own reader; any other table is
    understood by its header and its contents.

    Args:
        path: the file.
        columns: our name of a column → the header or the number of it; see `table.read_table`.
        known_names: returns names of utterances, which decide between several possible columns.

    Raises:
        ProtocolError: the protocol is malformed.
    """
    columns = columns or {}
    try:
        form = None if columns else _official(read_lines(path, EXPECTED, printable=False))
        found = None if form else key_columns(path, columns, known_names, NAMES)
    except TableError as error:
        raise ProtocolError(str(error)) from error
    if form:
        trials = form.read(path)
        return KeyFile(trials, f"{len(trials):,} rows in the form of a corpus, whose columns are {form.columns}", "")
    assert found is not None
    return KeyFile(trials_of(found, None), str(found), _polarity(found, columns))


def polarity_warning(path: Path, columns: Mapping[str, str]) -> str:
    """A sentence where 1 is taken for bona fide because the user names a key of 0 and 1 and not what 1 means."""
    if not columns.keys() & {"key", "label"}:
        return ""
    try:
        return _polarity(key_columns(path, columns, None, NAMES), columns)
    except TableError as error:
        raise ProtocolError(str(error)) from error


def _polarity(found: KeyColumns, columns: Mapping[str, str]) -> str:
    if not found.one_means or columns.keys() & POLARITY.keys():
        return ""
    reference = found.key.header or found.key.number
    return (
        f"{found.table.lines.path}: 1 in {found.key} was taken for bona fide (if it means spoof: --column "
        f"spoof={reference})"
    )


def _official(lines: Lines) -> Form | None:
    """The form of a corpus, if some line has a key in the form's key column, and most names of utterances differ."""
    form = OFFICIAL.get(len(lines.first.split()))
    has_all_lines = len(lines.numbers) == lines.numbers[-1]  # protocols of corpora have no comments or blank lines
    if form is None or not has_all_lines:
        return None
    names = form.columns.split()
    key, utterance = names.index("key"), names.index("utterance")
    texts = chain.from_iterable(block.split("\n") for block in lines.blocks())
    rows = [text.split() for text in islice(texts, LOOKED_AT)]
    rows = [row for row in rows if len(row) == len(names)]
    keys = {row[key] for row in rows}
    if keys.isdisjoint(form.spellings) or keys & VERIFICATION:
        return None
    return form if 2 * len({row[utterance] for row in rows}) >= len(rows) else None


FIELDS = ("key", "attack", "speaker")


def column(trials: Sequence[Trial], name: str) -> Texts | SharedTexts:
    """The value of a column (`key`, `attack`, `speaker` or a condition) for each trial; `-` if it is unknown.

    Raises:
        ProtocolError: no trial has the column.
    """
    table = TrialTable.of(trials)
    there = (*FIELDS, *table.condition_names())
    if name not in there:
        raise ProtocolError(f"column {name!r}; expected one of {', '.join(there)}")
    return table.column(name, UNKNOWN)

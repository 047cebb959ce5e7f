"""Read a protocol or a key file of any form, and take columns from its trials."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from spoofcache.common.tables.foreign import VERIFICATION
from spoofcache.common.tables.layout import Lines, TableError, read_lines
from spoofcache.common.tables.roles import Names
from spoofcache.protocols import asvspoof5, asvspoof19, asvspoof21, codecfake
from spoofcache.protocols.key_columns import EXPECTED, POLARITY, key_columns
from spoofcache.protocols.table import read_keys
from spoofcache.protocols.trial import KEYS, UNKNOWN, ProtocolError, Trial
from spoofcache.protocols.trial_table import TrialTable

LOOKED_AT = 1000
"""Number of lines from which a form without a header is recognised."""


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
    try:
        form = None if columns else _official(read_lines(path, EXPECTED, printable=False))
    except TableError as error:
        raise ProtocolError(str(error)) from error
    if form:
        return form.read(path)
    return read_keys(path, None, columns, NAMES, known_names)


def explain_protocol(path: Path, columns: Mapping[str, str] | None = None) -> str:
    """How the columns of a protocol or a key file are understood, in words; raises as `read_any_protocol`."""
    try:
        lines = read_lines(path, EXPECTED, printable=False)
        form = None if columns else _official(lines)
        if form:
            return f"{len(lines.texts):,} rows in the form of a corpus, whose columns are {form.columns}"
        return str(key_columns(path, columns or {}, None, NAMES))
    except TableError as error:
        raise ProtocolError(str(error)) from error


def polarity_warning(path: Path, columns: Mapping[str, str]) -> str:
    """A sentence where 1 is taken for bona fide because the user names a key of 0 and 1 and not what 1 means."""
    if not columns.keys() & {"key", "label"}:
        return ""
    try:
        found = key_columns(path, columns, None, NAMES)
    except TableError as error:
        raise ProtocolError(str(error)) from error
    if not found.one_means or columns.keys() & POLARITY.keys():
        return ""
    reference = found.key.header or found.key.number
    return f"{path}: 1 in {found.key} was taken for bona fide (if it means spoof: --column spoof={reference})"


def _official(lines: Lines) -> Form | None:
    """The form of a corpus, if some line has a key in the form's key column, and most names of utterances differ."""
    form = OFFICIAL.get(len(lines.texts[0].split()))
    if form is None or len(lines.texts) < lines.numbers[-1]:  # the protocols of corpora have no comments or blank lines
        return None
    names = form.columns.split()
    key, utterance = names.index("key"), names.index("utterance")
    rows = [text.split() for text in islice(lines.texts, LOOKED_AT)]
    rows = [row for row in rows if len(row) == len(names)]
    keys = {row[key] for row in rows}
    if keys.isdisjoint(form.spellings) or keys & VERIFICATION:
        return None
    return form if 2 * len({row[utterance] for row in rows}) >= len(rows) else None


FIELDS = ("key", "attack", "speaker")


def column(trials: Sequence[Trial], name: str) -> list[str]:
    """The value of a column (`key`, `attack`, `speaker` or a condition) for each trial; `-` if it is unknown.

    Raises:
        ProtocolError: no trial has the column.
    """
    table = TrialTable.of(trials)
    there = (*FIELDS, *table.condition_names())
    if name not in there:
        raise ProtocolError(f"column {name!r}; expected one of {', '.join(there)}")
    return table.column(name, UNKNOWN)

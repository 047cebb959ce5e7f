"""A protocol of any known form, recognised by its first line, and the columns of its trials."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from spoofcache.protocols import asvspoof5, asvspoof19, asvspoof21, codecfake
from spoofcache.protocols.table import KEY, UTTERANCE, is_header, read_table
from spoofcache.protocols.trial import UNKNOWN, ProtocolError, Trial, read_text

READERS: Mapping[int, Callable[[Path], list[Trial]]] = {
    3: codecfake.read_protocol,
    5: asvspoof19.read_protocol,
    8: partial(asvspoof21.read_protocol, scenario="LA"),
    9: asvspoof5.read_protocol,
    10: asvspoof5.read_protocol,
    12: partial(asvspoof21.read_protocol, scenario="PA"),
    13: partial(asvspoof21.read_protocol, scenario="DF"),
}
"""Readers of the forms without a header, by the number of columns, which no two of them share."""

FORMS = (
    "3 columns (Codecfake), 5 (ASVspoof 2019), 8, 12 or 13 (ASVspoof 2021 LA, PA, DF), 10 (ASVspoof 5), or a header "
    f"with commas or tabs that names the utterance ({', '.join(UTTERANCE)}) and the key ({', '.join(KEY)})"
)


def read_any_protocol(path: Path) -> list[Trial]:
    """Read a protocol or a key file of any known form, in its order (trials without paths).

    Raises:
        ProtocolError: a first line of no known form, or what the reader of its form refuses.
    """
    first = read_text(path, f"a protocol of {FORMS}").partition("\n")[0]
    if is_header(first):
        return read_table(path)
    n_columns = len(first.split())
    if n_columns not in READERS:
        raise ProtocolError(f"{path}:1: {n_columns} columns in {first.strip()[:60]!r}; expected {FORMS}")
    return READERS[n_columns](path)


FIELDS = ("key", "attack", "speaker")


def column(trials: Sequence[Trial], name: str) -> list[str]:
    """One value per trial of a column (`key`, `attack`, `speaker` or a condition), `-` where it is unknown.

    Raises:
        ProtocolError: no trial has the column.
    """
    if name in FIELDS:
        return [getattr(trial, name) for trial in trials]
    conditions = {condition for trial in trials for condition in trial.conditions}
    if name not in conditions:
        raise ProtocolError(f"column {name!r}; expected one of {', '.join((*FIELDS, *sorted(conditions)))}")
    return [trial.conditions.get(name, UNKNOWN) for trial in trials]

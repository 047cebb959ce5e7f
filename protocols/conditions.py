"""Conditions on the columns of a protocol, such as `phase=eval`, `codec!=opus` and `snr>=10`."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from spoofcache.protocols.forms import column
from spoofcache.protocols.trial import UNKNOWN, ProtocolError, Trial
from spoofcache.protocols.trial_table import TrialTable

CONDITION = re.compile(r"(?P<name>[^!<>=]+)(?P<sign>!=|<=|>=|=|<|>)(?P<values>.*)", re.DOTALL)
EXPECTED = "NAME=VALUE, NAME!=VALUE, NAME<VALUE, NAME<=VALUE, NAME>VALUE or NAME>=VALUE (in quotation marks in a shell)"
ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
DIGITS = re.compile(r"(\d+)", re.ASCII)
MOST_LISTED = 20
"""Number of values of a column that an error message lists."""


class Condition(NamedTuple):
    """One condition: the trials whose column `name` stands in the relation `sign` to one of the `values`."""

    name: str
    sign: str
    values: tuple[str, ...]


def parse_condition(text: str) -> Condition:
    """Read a condition as the user wrote it, such as `codec=alaw,opus`.

    Raises:
        ProtocolError: the text has no sign, no name, or, for a comparison of size, more than one value to compare with.
    """
    match = CONDITION.fullmatch(text)
    if not match or not match["name"].strip():
        raise ProtocolError(f"condition {text!r}; expected {EXPECTED}")
    values = tuple(value.strip() for value in match["values"].split(","))
    condition = Condition(match["name"].strip(), match["sign"], values)
    if condition.sign in ORDERS and len([value for value in values if value != UNKNOWN]) != 1:
        raise ProtocolError(f"condition {text!r}: {condition.sign} compares with one value; expected {EXPECTED}")
    return condition


def select(trials: Sequence[Trial], conditions: Sequence[str]) -> TrialTable:
    """Select the trials that meet every condition, in their order.

    `=` selects the trials that have one of the values (separated by commas), and `!=` those that have none of them.
    `<`, `<=`, `>` and `>=` compare numbers, or values that differ in their numbers only, such as `A07` and `A17`.
    `-` stands for an unknown value; a comparison of size selects the trials whose value is unknown only if `-` is
    among its values (`snr>=10,-`). The conditions apply one after the other.

    Raises:
        ProtocolError: a condition of another form, a column that the trials do not have, a value that none of the
            remaining trials has, values that cannot be compared, or a condition that no remaining trial meets.
    """
    selected = TrialTable.of(trials)
    for text in conditions:
        condition = parse_condition(text)
        found = column(selected, condition.name)
        met = _ordered(condition, found) if condition.sign in ORDERS else _listed(condition, found)
        if not met:
            raise ProtocolError(f"condition {text}: no trial meets it; expected some of {_some_of(found)}")
        selected = selected.take(found.are_among(met).nonzero()[0].tolist())
    return selected


def _listed(condition: Condition, found: Sequence[str]) -> set[str]:
    """The values of the column that `=` or `!=` selects."""
    there = set(found)
    for value in condition.values:
        if value not in there:
            raise ProtocolError(f"{condition.name} {value!r}: no such trial; expected some of {_some_of(found)}")
    return there.intersection(condition.values) if condition.sign == "=" else there.difference(condition.values)


def _ordered(condition: Condition, found: Sequence[str]) -> set[str]:
    """The values of the column that a comparison of size selects."""
    (bound,) = (value for value in condition.values if value != UNKNOWN)
    there = sorted(set(found) - {UNKNOWN})
    sizes = _sizes([bound, *there])
    if sizes is None:
        raise ProtocolError(
            f"condition {condition.name}{condition.sign}{bound}: {_some_of(there)} cannot be compared with {bound!r}; "
            "expected numbers, or values that differ in their numbers only"
        )
    is_met = ORDERS[condition.sign]
    met = {value for value in there if is_met(sizes[value], sizes[bound])}
    return met | ({UNKNOWN} & set(condition.values) & set(found))


def _sizes(values: Sequence[str]) -> dict[str, Any] | None:
    """The sort key of each value; None if the values cannot be compared."""
    if all(NUMBER.fullmatch(value) for value in values):
        return {value: float(value) for value in values}
    parts = {value: DIGITS.split(value) for value in values}  # text, digits, text, digits, …
    if len({tuple(of_one[::2]) for of_one in parts.values()}) > 1 or any(len(of_one) < 2 for of_one in parts.values()):
        return None
    return {value: [int(digits) for digits in of_one[1::2]] for value, of_one in parts.items()}


def _some_of(found: Sequence[str]) -> str:
    there = sorted(set(found))
    more = f" and {len(there) - MOST_LISTED} more" if len(there) > MOST_LISTED else ""
    return ", ".join(there[:MOST_LISTED]) + more

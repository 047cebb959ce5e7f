"""Flatten nested settings."""

from collections.abc import Iterable, Mapping
from typing import Any


def flatten(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The values of nested settings by their dotted names.

    >>> flatten({"train": {"epochs": 3}, "seed": 1})
    {'train.epochs': 3, 'seed': 1}
    """
    return dict(_flatten(settings, ""))


def _flatten(settings: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value

"""TOML as users write it: a byte order mark is allowed, and whatever cannot be read is an error with a reason."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DEEPEST = 32
"""Levels of tables and lists within each other that are accepted."""

LARGEST = 2**63
"""Whole numbers of TOML have 64 bits."""


class TomlError(ValueError):
    """A text that is not TOML, or whose values no program could use. The message is the reason, without a file."""


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises:
        TomlError: the text is not TOML, is nested too deeply, or has a whole number of more than 64 bits.
    """
    try:
        tables = tomllib.loads(text.removeprefix("\ufeff"))
    except RecursionError:
        raise TomlError(f"nested more than {DEEPEST} levels deep") from None
    except ValueError as error:  # TOMLDecodeError, or a number with more digits than Python converts
        reason = "a whole number of more than 64 bits" if "integer string conversion" in str(error) else str(error)
        raise TomlError(reason) from error
    _require_usable(tables)
    return tables


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; TomlError as `parse_toml`, also for a file that is not UTF-8."""
    try:
        return parse_toml(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise TomlError(f"not UTF-8: {error}") from error


def _require_usable(tables: Mapping[str, Any]) -> None:
    level: list[Any] = [tables]
    for _ in range(DEEPEST):
        if any(isinstance(value, int) and not -LARGEST <= value < LARGEST for value in level):
            raise TomlError("a whole number of more than 64 bits")
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return
    raise TomlError(f"nested more than {DEEPEST} levels deep")


def _inside(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list) else []

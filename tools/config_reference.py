"""Write docs/configuration.md, the reference of every key of an experiment, from the classes in engine/config.py."""

import spoofcache.common.signals  # noqa: F401

import dataclasses
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import click

from spoofcache.engine.config import ExperimentConfig, without_none

PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"

OPENING = """\
# Configuration

With this page you can write an experiment file of your own, or change one of [configs/](../configs). It lists every
key, its type, its default and its meaning.

An experiment is a TOML file. Only `backend.name` is required:

```toml
[backend]
name = "lcnn"

[optimizer]
lr = 3e-4
```

`main_train.py --set section.key=value` overrides one key and can be repeated, as in `--set train.epochs=5 --set
optimizer.lr=1e-4`. An unknown key, a value of the wrong type and a number outside its limits are errors, and the
message suggests the key that was probably meant. The run folder keeps the whole experiment, defaults included, in
`config.toml`.

*This page is generated from [engine/config.py](../engine/config.py) by `python tools/config_reference.py`.*
"""


class Section(NamedTuple):
    """A table of the experiment: its name in TOML ("" at the top), and the class of its keys."""

    name: str
    keys: Any


def sections(name: str = "", keys: Any = ExperimentConfig) -> Iterator[Section]:
    """Every table of the experiment, each followed by the tables that it contains."""
    yield Section(name, keys)
    for key, of_key in get_type_hints(keys).items():
        kind = without_none(of_key)
        if dataclasses.is_dataclass(kind):
            yield from sections(f"{name}.{key}".lstrip("."), kind)


def type_in_words(kind: Any) -> str:
    """A type in the words of TOML."""
    plain = {int: "integer", float: "number", str: "string", bool: "`true` or `false`"}
    if kind in plain:
        return plain[kind]
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(f'`"{choice}"`' for choice in get_args(kind))
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(type_in_words(each) for each in get_args(kind))
    if get_origin(kind) is tuple:
        first, *rest = get_args(kind)
        return (
            f"list of {type_in_words(first)}s" if rest == [...] else f"list of {1 + len(rest)} {type_in_words(first)}s"
        )
    return "table"


def limits_in_words(limits: Mapping[str, Any]) -> str:
    """The limits of a number, for example "at least 0, below 1"."""
    words = {"at_least": "at least", "above": "above", "at_most": "at most", "below": "below"}
    return ", ".join(f"{words[key]} {_number(limits[key])}" for key in words if key in limits)


def default_in_toml(spec: "dataclasses.Field[Any]") -> str:
    """The default of a key as it is written in TOML, or "required"."""
    if spec.default_factory is not dataclasses.MISSING:
        return "`{}`"
    if spec.default is dataclasses.MISSING:
        return "required"
    value = spec.default
    if isinstance(value, tuple):
        return f"`[{', '.join(_number(each) for each in value)}]`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{_number(value)}`"


def _number(value: Any) -> str:
    return "2^63" if value == 2**63 else f"{value:g}" if isinstance(value, float) else str(value)


def table(section: Section) -> list[str]:
    """The keys of a section as lines of a Markdown table. Keys that are sections themselves are omitted."""
    hints = get_type_hints(section.keys)
    rows = ["| Key | Type | Default | Meaning |", "|---|---|---|---|"]
    for spec in dataclasses.fields(section.keys):
        if not dataclasses.is_dataclass(without_none(hints[spec.name])):
            kind = ", ".join(filter(None, (type_in_words(hints[spec.name]), limits_in_words(spec.metadata))))
            rows.append(f"| `{spec.name}` | {kind} | {default_in_toml(spec)} | {spec.metadata['help']} |")
    return rows if len(rows) > 2 else []


def page() -> str:
    """The whole page in Markdown."""
    lines = [OPENING]
    for section in sections():
        title = f"`[{section.name}]`" if section.name else "At the top of the file"
        rows = table(section)
        if rows:
            text = [] if not section.name else [" ".join((section.keys.__doc__ or "").split()), ""]
            lines += [f"## {title}", "", *text, *rows, ""]
    return "\n".join(lines)


EXAMPLE = """\b
Example:
  python tools/config_reference.py
"""


@click.command(epilog=EXAMPLE)
def main() -> None:
    """Regenerate the configuration reference in docs/configuration.md."""
    PAGE.write_text(page(), encoding="utf-8")
    click.echo(PAGE)


if __name__ == "__main__":
    main()

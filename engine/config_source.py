"""Where the values of an experiment come from, so that an error names the file or the override that set a value."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spoofcache.common.errors import InputError

SHOWN = 100
"""Letters of a value that an error message shows."""


class ConfigError(InputError):
    """A mistake in a configuration. The message names its source, the key, the value, and what was expected."""


@dataclass(frozen=True)
class Source:
    """Where the values of an experiment come from: a file, and the overrides by the dotted key that they set."""

    path: Path
    overrides: dict[str, str] = field(default_factory=dict)

    def of(self, *keys: str) -> str:
        """The override that set one of the keys, or a table around one; otherwise the file."""
        for key in keys:
            parts = key.split(".")
            for length in range(len(parts), 0, -1):
                override = self.overrides.get(".".join(parts[:length]))
                if override is not None:
                    return f"--set {shown(override)}"
        return str(self.path)

    def error(self, message: str, *keys: str) -> ConfigError:
        """An error about the value of these keys."""
        return ConfigError(f"{self.of(*keys)}: {message}")


def shown(value: Any) -> str:
    """A value as it stands in a sentence: long ones are cut, and control characters are written as escapes."""
    text = value if isinstance(value, str) and value.isprintable() else repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"

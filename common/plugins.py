"""Plug-ins of the user: `package.module:Name` is accepted wherever an option or a config takes a registry name."""

import hashlib
import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from spoofcache.common.children import HOME
from spoofcache.common.errors import InputError

Part = TypeVar("Part")
SPELLING = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
EXPECTED = "package.module:Name"


class PluginError(InputError):
    """A plug-in cannot be loaded, or is of the wrong type; the message says what was expected."""


class PluginChanged(UserWarning):
    """The source of a plug-in has changed since a run was trained with it; the message names the plug-in."""


class Plugin(NamedTuple):
    """A plug-in and its origin."""

    spelling: str
    """`package.module:Name`."""
    part: Any
    """The object of that name in the module."""
    source: str
    """`sha256:` and the SHA-256 of the source file of the module. Files that the module imports are not included."""

    @property
    def origin(self) -> dict[str, str]:
        """What an identity, a manifest or a run folder records of the plug-in, so that a change is noticed."""
        return {"plugin": self.spelling, "source": self.source}


def is_plugin(name: str) -> bool:
    """Whether a name has the form `package.module:Name`."""
    return SPELLING.fullmatch(name) is not None


@cache
def load_plugin(spelling: str) -> Plugin:
    """Import the object that `package.module:Name` names.

    While the module is imported, the current folder is the last place in which Python looks for it.

    Raises:
        PluginError: the module cannot be imported, has no such name, or has no source file.
    """
    module_name, _, name = spelling.partition(":")
    with _importable_from_here():
        try:
            module = importlib.import_module(module_name)
        except Exception as error:  # the module of the user may raise any exception
            raise PluginError(
                f"{spelling}: {module_name} cannot be imported ({type(error).__name__}: {error}); expected a module of "
                "an installed package, on PYTHONPATH or in the current folder"
            ) from error
    if not hasattr(module, name):
        raise PluginError(f"{spelling}: {module.__file__ or module_name} has no {name}; expected {EXPECTED}")
    file = inspect.getsourcefile(module) if getattr(module, "__file__", None) else None
    if file is None:
        raise PluginError(f"{spelling}: {module_name} has no source file; expected a module in Python")
    digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    return Plugin(spelling, getattr(module, name), f"sha256:{digest}")


@contextmanager
def _importable_from_here() -> Iterator[None]:
    """Make modules in the current folder importable, after all others.

    Meanwhile, the folder of a clone is not searched, so that `models` means the package of the user, not ours.
    """
    before = list(sys.path)
    is_clone = (HOME / "spoofcache" / "common").is_symlink()
    sys.path[:] = [entry for entry in before if not (is_clone and Path(entry).resolve() == HOME)] + [str(Path.cwd())]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


def find_part(name: str, registry: Mapping[str, Part]) -> Part:
    """The entry of a registry, or else the plug-in of that name.

    Raises:
        KeyError: the name is not in the registry and does not have the form of a plug-in.
        PluginError: the plug-in cannot be loaded or called.
    """
    if name in registry or not is_plugin(name):
        return registry[name]
    part: Part = load_plugin(name).part
    if not callable(part):
        raise PluginError(f"{name} is {part!r}; expected a class or a function")
    return part


def with_origin(spelling: str, base: type) -> Any:
    """The class of a plug-in, extended so that its `settings` include its origin.

    Raises:
        PluginError: the plug-in cannot be loaded, or is not a subclass of `base`.
    """
    plugin = load_plugin(spelling)
    if not (isinstance(plugin.part, type) and issubclass(plugin.part, base)):
        raise PluginError(f"{spelling} is {plugin.part!r}; expected a subclass of {base.__module__}.{base.__name__}")

    def settings(self: Any) -> dict[str, Any]:
        return {**plugin.part.settings(self), **plugin.origin}

    return type(plugin.part.__name__, (plugin.part,), {"settings": settings, "__module__": plugin.part.__module__})


def origin_of(name: str) -> dict[str, str]:
    """The origin of a plug-in; empty for a registry name."""
    return load_plugin(name).origin if is_plugin(name) else {}


def origins(*names: str) -> dict[str, str]:
    """Spelling → source of those names that are plug-ins."""
    return {name: load_plugin(name).source for name in names if is_plugin(name)}

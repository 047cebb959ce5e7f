"""Start Python child processes that import this same package, whatever the current folder of the user contains."""

import os
import site
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import spoofcache

HOME = Path(spoofcache.__file__).resolve().parent.parent
"""The folder from which `spoofcache` is imported: a clone, or the site-packages folder of an installation."""


def python_command(module: str, *arguments: str) -> list[str]:
    """The command that runs one of our modules in a new interpreter, without the current folder on its path."""
    return [sys.executable, "-P", "-m", module, *arguments]


def child_environment() -> Mapping[str, str]:
    """The environment of this process, extended so that a child finds the same `spoofcache` before any installed one.

    The user's entries of PYTHONPATH are kept. For an installed package, no entry is added, because it would put all
    other installed packages before the standard library.
    """
    installed = {Path(sysconfig.get_path("purelib")).resolve(), Path(site.getusersitepackages()).resolve()}
    entries = [] if HOME in installed else [str(HOME)]
    if "PYTHONPATH" in os.environ:
        entries.append(os.environ["PYTHONPATH"])
    return {**os.environ, **({"PYTHONPATH": os.pathsep.join(entries)} if entries else {})}

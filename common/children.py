"""Child processes of Python that import this very package, whatever the user's current folder holds."""

import os
import site
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import spoofcache

HOME = Path(spoofcache.__file__).resolve().parent.parent
"""The folder that `spoofcache` is imported from: a clone, or the site-packages folder of an installation."""


def python_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of ours in a new interpreter, without the current folder on its path."""
    return [sys.executable, "-P", "-m", module, *arguments]


def child_environment() -> Mapping[str, str]:
    """This process's environment, in which a child finds the same `spoofcache` before any installed one.

    What the user has on PYTHONPATH stays there. An installed package needs no entry: it would only move the other
    installed packages before the standard library.
    """
    installed = {Path(sysconfig.get_path("purelib")).resolve(), Path(site.getusersitepackages()).resolve()}
    entries = [] if HOME in installed else [str(HOME)]
    if "PYTHONPATH" in os.environ:
        entries.append(os.environ["PYTHONPATH"])
    return {**os.environ, **({"PYTHONPATH": os.pathsep.join(entries)} if entries else {})}

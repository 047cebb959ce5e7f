"""What lies under torch and has to be set from outside: the C library's allocator, and how OpenMP's threads wait.

What the user has set in the environment stays.
"""

import ctypes
import os
from collections.abc import Mapping
from contextlib import suppress

MALLOPT: Mapping[str, tuple[int, int]] = {
    "MALLOC_MMAP_THRESHOLD_": (-3, 2**31 - 1),
    "MALLOC_TRIM_THRESHOLD_": (-1, 2**31 - 1),
    "MALLOC_TOP_PAD_": (-2, 2**26),
}
"""Variable of the environment → parameter of glibc's mallopt (malloc.h), and its value in bytes."""

SPIN = "1000"
"""How often a thread without work looks for some before it sleeps: microseconds, by default milliseconds."""


def keep_freed_memory() -> None:
    """Have glibc keep what is freed for what comes next; by default large blocks go back to the system at once.

    A training step asks for the same blocks again, and the system would clear every page of them anew.
    """
    if "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    with suppress(AttributeError, OSError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for name, (parameter, value) in MALLOPT.items():
            if name not in os.environ:
                mallopt(parameter, value)


def sleep_soon() -> None:
    """Have OpenMP's threads sleep soon where they wait; before torch is imported.

    They spin for milliseconds otherwise, and take the core from those that still work when the machine is shared.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN)

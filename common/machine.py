"""The machine below torch: the C library's allocator, how OpenMP's threads wait, and how much memory may be taken.

What the user has set in the environment stays.
"""

import ctypes
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

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


def available_memory() -> int:
    """Bytes of host memory that may be taken; the page cache counts as free where Linux tells."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    return min([available, *cgroup_room(_read("/proc/self/cgroup"))])


def cgroup_room(membership: str, root: Path = Path("/sys/fs/cgroup")) -> Iterator[int]:
    """Bytes that the cgroups of a container or a job leave to take, each of those around a process that has a limit.

    Their page cache counts as free.

    Args:
        membership: `/proc/self/cgroup` of the process: lines of `0::/path` (version 2) or `4:memory:/path` (version 1).
        root: where the cgroups are mounted.
    """
    for line in membership.splitlines():
        _, controller, path = line.split(":", 2)
        names = {"": ("max", "current"), "memory": ("limit_in_bytes", "usage_in_bytes")}.get(controller)
        top = root / controller
        own = top / path.lstrip("/")
        for folder in [each for each in (own, *own.parents) if names and each.is_relative_to(top)]:
            most, taken = (_read(folder / f"memory.{name}").strip() for name in names or ())
            if most.isdigit() and taken.isdigit():  # not `max`, not missing
                yield max(0, int(most) - int(taken) + _page_cache(_read(folder / "memory.stat")))


def _page_cache(stat: str) -> int:
    """Bytes of files in a cgroup's `memory.stat`."""
    fields = [line.split() for line in stat.splitlines()]
    return sum(int(value) for name, value in fields if name in ("active_file", "inactive_file"))


def _read(path: Path | str) -> str:
    """A text file; empty where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""

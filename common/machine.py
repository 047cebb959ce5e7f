"""Settings of the machine below torch: the allocator of the C library, waiting OpenMP threads, and available memory.

Settings that the user has made in the environment are not changed.
"""

import ctypes
import os
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from spoofcache.common.errors import InputError

if TYPE_CHECKING:
    import torch

MALLOPT: Mapping[str, tuple[int, int]] = {
    "MALLOC_MMAP_THRESHOLD_": (-3, 2**31 - 1),
    "MALLOC_TRIM_THRESHOLD_": (-1, 2**31 - 1),
    "MALLOC_TOP_PAD_": (-2, 2**26),
}
"""Environment variable → parameter of mallopt in glibc (malloc.h) and its value in bytes."""

SPIN = "1000"
"""How often an idle thread looks for work before it sleeps: this takes microseconds, the default takes milliseconds."""


class DeviceError(InputError):
    """A device does not exist or cannot be used on this machine."""


def find_device(name: str, asked_by: str) -> "torch.device":
    """Find the torch device for `auto`, `cpu`, `cuda` or `cuda:k`; `asked_by` is the option or argument in messages.

    Raises:
        DeviceError: there is no such device here.
    """
    import torch  # imported here so that `--help` does not wait for it

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"{asked_by} {name}: expected auto, cpu, cuda or cuda:k") from None
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"{asked_by} {name}: expected auto, cpu, cuda or cuda:k")
    if device.type == "cuda" and not torch.cuda.is_available():  # devices are counted even if the driver is too old
        raise DeviceError(
            f"{asked_by} {name}: torch {torch.__version__} can use no GPU here; expected cpu, or a GPU, a driver that "
            "is new enough for it, and a build of torch with CUDA"
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"{asked_by} {name}: this machine has {torch.cuda.device_count()} CUDA devices")
    return device


def keep_freed_memory() -> None:
    """Make glibc keep freed memory for reuse; by default, it returns large blocks to the system at once.

    Each training step allocates the same blocks again, and the system would have to clear every page of them again.
    """
    if "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    with suppress(AttributeError, OSError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for name, (parameter, value) in MALLOPT.items():
            if name not in os.environ:
                mallopt(parameter, value)


def sleep_soon() -> None:
    """Make waiting OpenMP threads sleep soon. This must be called before torch is imported.

    Otherwise, they spin for milliseconds, and occupy cores that other threads need when the machine is shared.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN)


def available_memory() -> int:
    """Bytes of host memory that are available; on Linux, the page cache counts as available.

    macOS does not report free pages through this interface: half of its physical memory counts as available.
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        has_free_pages = "SC_AVPHYS_PAGES" in os.sysconf_names
        pages = os.sysconf("SC_AVPHYS_PAGES") if has_free_pages else os.sysconf("SC_PHYS_PAGES") // 2
        available = os.sysconf("SC_PAGE_SIZE") * pages
    return min([available, *cgroup_room(_read("/proc/self/cgroup"))])


def cgroup_room(membership: str, root: Path = Path("/sys/fs/cgroup")) -> Iterator[int]:
    """Bytes that remain within the memory limit of each cgroup (of a container or a job) that contains a process.

    The page cache of a cgroup counts as available.

    Args:
        membership: the content of `/proc/self/cgroup`: lines of `0::/path` (version 2) or `4:memory:/path` (version 1).
        root: folder in which the cgroups are mounted.
    """
    for line in membership.splitlines():
        _, controller, path = line.split(":", 2)
        names = {"": ("max", "current"), "memory": ("limit_in_bytes", "usage_in_bytes")}.get(controller)
        top = root / controller
        own = top / path.lstrip("/")
        for folder in [each for each in (own, *own.parents) if names and each.is_relative_to(top)]:
            most, taken = (_read(folder / f"memory.{name}").strip() for name in names or ())
            if most.isdigit() and taken.isdigit():  # neither `max` nor missing
                yield max(0, int(most) - int(taken) + _page_cache(_read(folder / "memory.stat")))


def _page_cache(stat: str) -> int:
    """Bytes of cached files according to the `memory.stat` of a cgroup."""
    fields = [line.split() for line in stat.splitlines()]
    return sum(int(value) for name, value in fields if name in ("active_file", "inactive_file"))


def _read(path: Path | str) -> str:
    """The content of a text file; empty if it does not exist."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def peak_bytes(usage: resource.struct_rusage) -> int:
    """The largest resident memory in a usage of `resource.getrusage` or `os.wait4`, in bytes on every system."""
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)

"""Describe the machine on which a benchmark ran, and write its figures to a file."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Machine:
    """The properties of the machine that affect a figure. `load` is the one-minute load average at the start."""

    name: str
    cpu: str
    cores: int
    ram_bytes: int
    load: float
    system: str
    python: str
    torch: str

    @classmethod
    def here(cls) -> "Machine":
        """This machine, now. Torch is not imported, because a benchmark of memory must be small itself."""
        return cls(
            name=platform.node(),
            cpu=_cpu_model(),
            cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            ram_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            load=os.getloadavg()[0],
            system=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
            torch=version("torch"),
        )

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.cpu}, {self.cores} cores (load {self.load:.1f}), {self.ram_bytes / 2**30:.0f} GiB, "
            f"{self.system}, Python {self.python}, torch {self.torch}"
        )


def _cpu_model() -> str:
    """The name of the processor on Linux, or else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


class OthersShare:
    """The share of all cores that other processes use while the block runs, which disturbs measured rates.

    >>> with OthersShare() as others:
    ...     pass
    >>> 0 <= others.share <= 1
    True
    """

    share = 0.0

    def __enter__(self) -> "OthersShare":
        self._before = _core_seconds()
        return self

    def __exit__(self, *exception: object) -> None:
        (all_before, others_before), (all_now, others_now) = self._before, _core_seconds()
        if all_now > all_before:
            self.share = min(1.0, max(0.0, (others_now - others_before) / (all_now - all_before)))


def _core_seconds() -> tuple[float, float]:
    """Seconds of all cores since the machine started, and those of other processes; 0 on systems other than Linux."""
    try:
        first_line = Path("/proc/stat").read_text(encoding="utf-8").partition("\n")[0]
    except OSError:
        return 0.0, 0.0
    user, nice, system, idle, waiting, *rest = (
        int(ticks) / os.sysconf("SC_CLK_TCK") for ticks in first_line.split()[1:9]
    )
    ours = os.times()
    busy = user + nice + system + sum(rest)
    return busy + idle + waiting, busy - ours.user - ours.system


def write_json(path: Path | None, machine: Machine, figures: Mapping[str, Any]) -> None:
    """Write the figures in full precision, with the machine, if a file is given."""
    if path is not None:
        path.write_text(json.dumps({"machine": asdict(machine), **figures}, indent=1) + "\n", encoding="utf-8")

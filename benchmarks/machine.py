"""What a figure was measured on, and how it is kept: every benchmark prints its machine."""

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
    """The machine, as far as it decides a figure. `load` is the one-minute load average when we started."""

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
        """This machine, now. Does not import torch: a benchmark of memory must stay small itself."""
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
    """The processor's name where Linux tells it, else its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


class OthersShare:
    """The share of all cores that other processes take while the block runs: what disturbs a rate.

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
    """Since the start of the machine: seconds of all cores, and those used by other processes; 0 where not Linux."""
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
    """Keep the figures in full precision, with their machine, where a file was asked for."""
    if path is not None:
        path.write_text(json.dumps({"machine": asdict(machine), **figures}, indent=1) + "\n", encoding="utf-8")

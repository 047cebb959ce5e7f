"""Which tasks of a plan a worker does: its share of all of them, or those that are listed.

Tasks are numbered from 0. Shares are decided by numbers alone, so that workers need neither locks nor each other.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from spoofcache.common.errors import InputError

EXPECTED = "expected I/N (share I of N, counted from 0), task numbers such as 0,3-5, or slurm"
_STRETCH = re.compile(r"(\d+)(?:-(\d+)(?::(\d+))?)?")
_LONGEST = 10**7
"""Largest task number that a list may contain; a corpus of 100 million utterances has 200,000 tasks."""


class ShareError(InputError):
    """A share that does not exist, or that cannot be understood."""


@dataclass(frozen=True)
class Share:
    """Every `count`-th task from `index` on. The shares of one count are disjoint, and differ by at most one task.

    Neighbouring tasks lie in different shares, so that the shares of what is missing are balanced, too.

    >>> [list(Share(index, 3).of(7)) for index in range(3)]
    [[0, 3, 6], [1, 4], [2, 5]]
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ShareError(f"--tasks {self.index}/{self.count}: expected a share from 0 to {self.count - 1}")

    def of(self, n_tasks: int) -> Sequence[int]:
        """The task numbers of this share."""
        return range(self.index, n_tasks, self.count)


@dataclass(frozen=True)
class Listed:
    """Exactly these task numbers."""

    numbers: Sequence[int]

    def of(self, n_tasks: int) -> Sequence[int]:
        """The task numbers; ShareError if the plan does not have all of them."""
        beyond = [number for number in self.numbers if number >= n_tasks]
        if beyond:
            raise ShareError(f"--tasks: there is no task {beyond[0]}; expected numbers from 0 to {n_tasks - 1}")
        return self.numbers


def parse_tasks(text: str, environment: Mapping[str, str]) -> Share | Listed:
    """Read the value of `--tasks`: `I/N`, a list of task numbers, or `slurm`.

    Raises:
        ShareError: the text is none of these, or names a share that does not exist; or the variables of Slurm are
            missing or contradict each other.
    """
    if text == "slurm":
        return slurm_share(environment)
    share = re.fullmatch(r"(\d+)/(\d+)", text)
    if share:
        return Share(int(share[1]), int(share[2]))
    return Listed(read_array_expression(text))


def slurm_share(environment: Mapping[str, str]) -> Share | Listed:
    """The share of a process that Slurm has started, by the variables that `sbatch --array` and `srun` set.

    An array without holes shares all tasks, wherever its numbers begin and whatever its step. In an array with holes,
    such as `--status` prints for the missing tasks, the number of the array task is the number of a task. The processes
    that one `srun` starts in an array task divide what that array task does. Without an array, the processes of `srun`
    share all tasks.

    Raises:
        ShareError: the variables are missing or contradict each other.
    """
    if "SLURM_ARRAY_TASK_ID" not in environment:
        return Share(_number(environment, "SLURM_PROCID"), _number(environment, "SLURM_NTASKS"))
    share = _share_of_array(environment)
    n_processes = _number(environment, "SLURM_STEP_NUM_TASKS", 1)  # set by srun only, unlike SLURM_NTASKS
    if n_processes == 1:
        return share
    process = _number(environment, "SLURM_PROCID")
    if isinstance(share, Share):
        return Share(share.index * n_processes + process, share.count * n_processes)
    return Listed(share.numbers[process::n_processes])


def _share_of_array(environment: Mapping[str, str]) -> Share | Listed:
    number, count = _number(environment, "SLURM_ARRAY_TASK_ID"), _number(environment, "SLURM_ARRAY_TASK_COUNT")
    first, step = _number(environment, "SLURM_ARRAY_TASK_MIN", 0), _number(environment, "SLURM_ARRAY_TASK_STEP", 1)
    last = _number(environment, "SLURM_ARRAY_TASK_MAX", first + max(1, step) * (count - 1))
    if not (first <= number <= last and step):
        raise ShareError(
            f"--tasks slurm: SLURM_ARRAY_TASK_ID is {number} in an array of {count} from {first} to {last}; expected "
            "the variables that sbatch --array sets (SLURM_ARRAY_TASK_MIN, SLURM_ARRAY_TASK_MAX)"
        )
    position, rest = divmod(number - first, step)
    if last - first == step * (count - 1) and not rest:
        return Share(position, count)
    return Listed((number,))


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environment.get(name, "" if default is None else str(default))
    if not text.isdecimal():
        found = f"{name} is {text!r}" if text else f"{name} is not set"
        raise ShareError(
            f"--tasks slurm: {found}; expected a job of Slurm, with SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT or "
            "with SLURM_PROCID and SLURM_NTASKS"
        )
    return int(text)


def array_expression(numbers: Iterable[int]) -> str:
    """Task numbers as `sbatch --array` reads them.

    >>> array_expression([5, 0, 4, 3, 8, 7])
    '0,3-5,7-8'
    """
    stretches = groupby(enumerate(sorted(set(numbers))), key=lambda pair: pair[1] - pair[0])
    ends = [[number for _, number in stretch] for _, stretch in stretches]
    return ",".join(f"{each[0]}-{each[-1]}" if len(each) > 1 else str(each[0]) for each in ends)


def read_array_expression(text: str) -> Sequence[int]:
    """Inverse of `array_expression`; also reads steps. ShareError for anything else.

    >>> read_array_expression("0,3-5,10-20:5")
    (0, 3, 4, 5, 10, 15, 20)
    """
    numbers: set[int] = set()
    for part in text.split(","):
        stretch = _STRETCH.fullmatch(part.strip())
        first, last, step = (int(group or 0) for group in stretch.groups()) if stretch else (0, 0, 0)
        last = last if stretch and stretch[2] else first
        if not stretch or last < first or last > _LONGEST or stretch[3] == "0":
            raise ShareError(f"--tasks {text!r}; {EXPECTED}")
        numbers.update(range(first, last + 1, step or 1))
    return tuple(sorted(numbers))

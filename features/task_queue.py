"""The tasks that workers elsewhere run, and what becomes of those that fail or whose worker is lost."""

from collections import defaultdict, deque
from collections.abc import Iterable, Set

MOST_FAILURES = 3
"""After so many errors, a task is not tried again."""

MOST_CRASHES = 5
"""After so many workers died of a task on machines that are still there, it is not tried again."""


class TaskQueue:
    """Tasks that are still to be done, by number. Those that are to be tried again come last.

    Attributes:
        failed: task that is not tried again → the last reason.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        self._waiting = deque(numbers)
        self._open: set[int] = set()
        self._failures = defaultdict[int, int](int)
        self._crashes = defaultdict[int, list[str]](list)
        self.failed: dict[int, str] = {}

    @property
    def n_left(self) -> int:
        """The number of tasks that are neither finished nor given up."""
        return len(self._waiting) + len(self._open)

    def take(self) -> int | None:
        """The next task, which is open until one of the other methods is called for it; None if none waits."""
        if not self._waiting:
            return None
        number = self._waiting.popleft()
        self._open.add(number)
        return number

    def finish(self, number: int) -> None:
        """The task is done."""
        self._open.remove(number)

    def fail(self, number: int, reason: str) -> None:
        """The task ended with an error: it is tried again, unless it has failed too often."""
        self._failures[number] += 1
        self._again(number, reason if self._failures[number] >= MOST_FAILURES else None)

    def lose(self, number: int, node: str, nodes: Set[str]) -> None:
        """The worker of the task died on `node`: the task is tried again.

        Workers that went with their machine are not counted. Those that died on one of the present `nodes` are: a task
        of which one process after another dies, for want of memory for example, would otherwise never end.
        """
        self._crashes[number].append(node)
        n_crashes = sum(each in nodes for each in self._crashes[number])
        reason = f"{n_crashes} workers died of it on machines that are still there, most likely because memory ran out"
        self._again(number, reason if n_crashes >= MOST_CRASHES else None)

    def _again(self, number: int, given_up: str | None) -> None:
        self._open.remove(number)
        if given_up is None:
            self._waiting.append(number)
        else:
            self.failed[number] = given_up

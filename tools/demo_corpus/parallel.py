"""Work spread over processes, in order, so that the result is the same as in one."""

from spoofcache.common.signals import end_with_parent

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Protocol, TypeVar

A = TypeVar("A")
B = TypeVar("B")


class Mapper(Protocol):
    """`map` of one argument."""

    def __call__(self, function: Callable[[A], B], items: Iterable[A], /) -> Iterator[B]:
        """Results in the order of the items."""


@contextlib.contextmanager
def spread(workers: int) -> Iterator[Mapper]:
    """`map` over `workers` processes, or in this one."""
    if workers == 1:
        yield map
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=end_with_parent)
    with _surroundings_of_workers():
        for _ in range(workers):
            pool.submit(os.getpid)  # starts one
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _surroundings_of_workers() -> Iterator[None]:
    """What processes that start in this block inherit.

    They ignore Ctrl-C, which reaches every process of the terminal: the process that started them answers it. They use
    one thread of linear algebra, and find no modules in the current folder, where a user may have a `random.py`.
    """
    own = {"OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}
    answer, before = signal.signal(signal.SIGINT, signal.SIG_IGN), {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, answer)
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value

"""Work spread over processes, in order, so that the result is the same as in one."""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Protocol, TypeVar

from spoofcache.common.signals import end_with_parent

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
    """What processes that start in this block inherit: deafness to Ctrl-C, and one thread of linear algebra.

    Ctrl-C reaches every process of the terminal; the one that started the others answers it.
    """
    answer, threads = signal.signal(signal.SIGINT, signal.SIG_IGN), os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, answer)
        del os.environ["OMP_NUM_THREADS"]
        if threads is not None:
            os.environ["OMP_NUM_THREADS"] = threads

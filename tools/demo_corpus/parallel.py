"""Distribute work over processes. Results come in order, so they are the same as from a single process."""

from spoofcache.common.signals import end_with_parent, unheard_by_children

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Protocol, TypeVar

A = TypeVar("A")
B = TypeVar("B")


class Mapper(Protocol):
    """A function like `map` that takes one sequence of arguments."""

    def __call__(self, function: Callable[[A], B], items: Iterable[A], /) -> Iterator[B]:
        """The results, in the order of the items."""


@contextlib.contextmanager
def spread(workers: int) -> Iterator[Mapper]:
    """Yield a `map` that runs in `workers` processes, or in this process if there is only one worker."""
    if workers == 1:
        yield map
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=end_with_parent, initargs=(os.getpid(),))
    with _environment_of_workers():
        for _ in range(workers):
            pool.submit(os.getpid)  # starts one process
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _environment_of_workers() -> Iterator[None]:
    """Set what the processes inherit that are started in this block.

    They ignore Ctrl-C and the other ending signals, which a terminal and a scheduler send to every process: the process
    that started them handles them. They use a single thread for linear algebra, and do not import modules from the
    current folder, where a user may have a `random.py`.
    """
    own = {"OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        with unheard_by_children():
            yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value

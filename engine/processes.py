"""The processes that train one network together, as torchrun and accelerate launch start them. Usually there is one.

All processes hold the same weights and draw the same batches. Each takes its own share of every batch through the
network; gradients, batch statistics, losses and dev scores are summed over all processes. Only the main process writes
files.
"""

from spoofcache.common.signals import exit_status

import math
import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple, TypeVar

import torch
from torch import distributed

from spoofcache.engine.about import RunError
from spoofcache.features.feed import Batch, Feed

Value = TypeVar("Value")
Rows = TypeVar("Rows", Sequence[int], torch.Tensor)

CPU = torch.device("cpu")

GRACE = 5.0
"""Seconds within which a launcher ends every process after one of them has failed."""


PATIENCE = timedelta(hours=1)
"""Time for which a process waits for the others, which may be compiling; the ten minutes of NCCL can be too short."""


class Share(NamedTuple):
    """This process's share of a batch, and the number of utterances in the whole batch."""

    batch: Batch
    batch_size: int


def even_parts(batch: torch.Tensor, largest: int, batch_size: int | None = None) -> tuple[torch.Tensor, ...]:
    """Split a batch [B, …] into the fewest parts of at most `largest` utterances (0: no limit), of even sizes.

    Even sizes make a part of a single utterance rare; batch norms cannot take statistics from one.

    Args:
        batch: the batch, or this process's share of it.
        largest: the largest number of utterances in a part, over all processes.
        batch_size: number of utterances in the whole batch, where `batch` is only a share of it. The parts are then
            this process's shares of the parts of the whole batch.
    """
    size = len(batch) if batch_size is None else batch_size
    return batch.tensor_split(math.ceil(size / (largest or size)))


@dataclass(frozen=True)
class Processes:
    """This process among those that train together: its rank, their number, and the device that it computes on.

    `total` and `broadcast` wait for all processes, which must call them in the same order.

    >>> [Processes(rank=rank, count=3).own([10, 11, 12, 13]) for rank in range(3)]
    [[10, 11], [12], [13]]
    """

    device: torch.device = CPU
    rank: int = 0
    count: int = 1
    count_here: int = 1
    """Number of the processes that run on this machine and share its memory."""

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def own(self, rows: Rows) -> Rows:
        """This process's contiguous share of the rows. Shares are even; the first processes take the remainder."""
        size, more = divmod(len(rows), self.count)
        start = self.rank * size + min(self.rank, more)
        return rows[start : start + size + (self.rank < more)]

    def share_out(self, feed: Feed, batches: Iterable[Sequence[int]], largest_part: int = 0) -> Iterator[Share]:
        """Read this process's share of each batch of row numbers; a batch too small for all processes yields nothing.

        With `largest_part`, the share is taken from each part of a batch (see `even_parts`), so that several processes
        compute the same parts as a single one.
        """
        sizes: deque[int] = deque()  # of the batches that are being read

        def own_rows() -> Iterator[Sequence[int]]:
            for rows in batches:
                own = self.own_of_parts(rows, largest_part)
                if len(own):
                    sizes.append(len(rows))
                    yield own

        for batch in feed.batches(own_rows()):
            yield Share(batch, sizes.popleft())

    def own_of_parts(self, rows: Sequence[int], largest_part: int) -> Sequence[int]:
        """This process's shares of the parts of a batch."""
        if self.count == 1:
            return rows
        return torch.cat([self.own(part) for part in even_parts(torch.tensor(rows), largest_part)]).tolist()

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Sum of a tensor over all processes, identical in each of them; `values` itself if there is one process."""
        if self.count == 1:
            return values
        summed = values.to(self.device, copy=True)
        distributed.all_reduce(summed)
        return summed

    def broadcast(self, value: Value) -> Value:
        """The main process's value, in every process."""
        if self.count == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values)
        return values[0]


ALONE = Processes()


def join_processes(device: torch.device) -> Processes:
    """Join the processes that a launcher started. If `device` is a GPU, each process takes a GPU of its own.

    Raises:
        RunError: `device` is a numbered GPU, or this machine has fewer GPUs than processes.
    """
    if _count() == 1:
        return Processes(device)
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if device.type == "cuda" and device.index is not None:
        raise RunError(
            f"--device {device} for {_count()} processes; expected cuda (each takes a GPU of its own) or cpu"
        )
    if device.type == "cuda" and here > torch.cuda.device_count():
        raise RunError(
            f"{here} processes on a machine with {torch.cuda.device_count()} CUDA devices; expected at most one "
            "process per device, or --device cpu"
        )
    from accelerate import PartialState  # imported here, since a single process does not need it

    state = PartialState(cpu=device.type == "cpu", timeout=PATIENCE)
    return Processes(state.device, state.process_index, state.num_processes, here)


@contextmanager
def report_error_once() -> Iterator[None]:
    """Let one process report an error that several processes meet, and end all processes in order.

    If there are several processes, this one ends with the block.

    The launcher ends all processes after one has failed. The main process therefore raises its error at once. The
    others wait first, and raise theirs only if they have not been ended by then; so does every process whose error may
    be the consequence of another process's end.
    """
    if _count() == 1:
        yield
        return
    rank = int(os.environ["RANK"])
    try:
        yield
    except KeyboardInterrupt as interrupt:  # every process receives it
        if rank:
            raise SystemExit(exit_status(interrupt)) from None
        raise
    except Exception as error:
        is_consequence = isinstance(error, RuntimeError)  # a broken connection raises one
        if rank or is_consequence:
            time.sleep(GRACE * (4 if is_consequence else 1) + rank)
        raise
    if distributed.is_initialized():
        distributed.destroy_process_group()
    _leave()


def _leave() -> None:
    """End this process without the end of the interpreter.

    During that, threads of torch's process groups (2.13, Gloo) ended one training in ten by SIGABRT or SIGSEGV although
    everything was written, and the launcher reported a failure.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))

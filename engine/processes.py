"""The processes that train one network together, as torchrun and accelerate launch start them; mostly there is one.

All of them hold the same weights and draw the same batches. Each takes its own utterances of a batch through the
network; gradients, batch statistics, losses and dev scores are summed over all. The main process alone writes.
"""

import math
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import distributed

from spoofcache.engine.checkpoint import RunError
from spoofcache.features.feed import Batch, Feed

Value = TypeVar("Value")
Rows = TypeVar("Rows", Sequence[int], torch.Tensor)

CPU = torch.device("cpu")

GRACE = 5.0
"""Seconds within which a launcher has ended every process after one of them failed."""


class Share(NamedTuple):
    """This process's part of a batch, and how many utterances the whole batch has."""

    batch: Batch
    whole: int


def even_parts(batch: torch.Tensor, most: int, whole: int | None = None) -> tuple[torch.Tensor, ...]:
    """A batch [B, …] in as few parts of at most so many (0: any number) as can be, of sizes as even as can be.

    A part of a single utterance, of which batch norms refuse to make statistics, is then rare. Where the batch is one
    process's share of a `whole` one, its parts are the process's shares of the whole one's parts.
    """
    size = len(batch) if whole is None else whole
    return batch.tensor_split(math.ceil(size / (most or size)))


@dataclass(frozen=True)
class Processes:
    """This process, `rank` of `count`, and the device it computes on; alone unless a launcher started it.

    What all have to call together, and in the same order, waits for the last of them: `total`, `main_says`.

    >>> [Processes(rank=rank, count=3).own([10, 11, 12, 13]) for rank in range(3)]
    [[10, 11], [12], [13]]
    """

    device: torch.device = CPU
    rank: int = 0
    count: int = 1
    count_here: int = 1
    """Of them on this machine, which share its memory."""

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def own(self, rows: Rows) -> Rows:
        """This process's stretch of a batch, as even as can be; the first processes have one more where it must be."""
        size, more = divmod(len(rows), self.count)
        start = self.rank * size + min(self.rank, more)
        return rows[start : start + size + (self.rank < more)]

    def share_out(self, feed: Feed, batches: Iterable[Sequence[int]], most: int = 0) -> Iterator[Share]:
        """This process's share of every batch of row numbers; no share where a batch is too small for all.

        With `most`, of every part of a batch (see `even_parts`): so several processes have the parts that one has.
        """
        shares = [(own, len(rows)) for rows in batches if len(own := self.own_of_parts(rows, most))]
        for batch, (_, whole) in zip(feed.batches(own for own, _ in shares), shares, strict=True):
            yield Share(batch, whole)

    def own_of_parts(self, rows: Sequence[int], most: int) -> Sequence[int]:
        """This process's stretches of the parts of a batch."""
        if self.count == 1:
            return rows
        return torch.cat([self.own(part) for part in even_parts(torch.tensor(rows), most)]).tolist()

    def require_shares(self, n_rows: int, batch_size: int, most: int) -> None:
        """RunError unless every process has a share in every part of the batches of so many rows."""
        batches = torch.arange(n_rows).split(batch_size)
        least = min(len(part) for batch in (batches[0], batches[-1]) for part in even_parts(batch, most))
        if least < self.count:
            parts = f" and parts of {most}" if most else ""
            raise RunError(
                f"{n_rows} utterances in batches of {batch_size}{parts} leave {least} to {self.count} processes once; "
                "expected at least one for each, by another train.batch_size or train.micro_batch"
            )

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Sum of a tensor over all processes, the same bits in each; `values` themselves in a process alone."""
        if self.count == 1:
            return values
        summed = values.to(self.device, copy=True)
        distributed.all_reduce(summed)
        return summed

    def main_says(self, value: Value) -> Value:
        """The main process's value: what it has measured, chosen or found."""
        if self.count == 1:
            return value
        said = [value]
        distributed.broadcast_object_list(said)
        return said[0]


ALONE = Processes()


def join(device: torch.device) -> Processes:
    """The processes that a launcher started, each with a GPU of its own where `device` is one.

    Raises:
        RunError: a numbered GPU, or fewer GPUs than processes on this machine.
    """
    if _count() == 1:
        return Processes(device)
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if device.type == "cuda" and device.index is not None:
        raise RunError(f"--device {device} for {_count()} processes; expected cuda, of which each takes one, or cpu")
    if device.type == "cuda" and here > torch.cuda.device_count():
        raise RunError(
            f"{here} processes on a machine with {torch.cuda.device_count()} CUDA devices; expected at most one for "
            "each, or --device cpu"
        )
    from accelerate import PartialState  # here, not above: a process alone does without

    state = PartialState(cpu=device.type == "cpu")
    return Processes(state.device, state.process_index, state.num_processes, here)


@contextmanager
def one_voice() -> Iterator[None]:
    """What several processes fail with is said once, and they leave each other in order.

    The launcher ends all processes after one has failed. So the main process speaks at once; the others speak only if
    they are still there after a while, and so does whoever may have failed because another one was gone.
    """
    if _count() == 1:
        yield
        return
    rank = int(os.environ["RANK"])
    try:
        yield
    except KeyboardInterrupt:  # all have heard it
        raise SystemExit(130) if rank else KeyboardInterrupt from None
    except Exception as error:
        is_consequence = isinstance(error, RuntimeError)  # a connection that broke is one
        if rank or is_consequence:
            time.sleep(GRACE * (4 if is_consequence else 1) + rank)
        raise
    if distributed.is_initialized():
        distributed.destroy_process_group()


def _count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))

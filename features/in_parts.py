"""Runs a network on a batch in smaller parts if the whole batch does not fit into the memory of the GPU."""

from collections.abc import Callable

import torch


class InParts:
    """A function of a batch [B, …] that is called with half as many rows as before whenever memory does not suffice.

    Args:
        function: maps a batch [B, …] to one result per row, [B, …].
        largest: the largest number of rows for one call; without it, a batch is passed on whole.

    Attributes:
        largest: as given, or what has been found to fit since.
    """

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor], largest: int | None = None) -> None:
        self._function = function
        self.largest = largest

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """The results of all rows.

        Raises:
            torch.OutOfMemoryError: not even a single row fits.
        """
        while True:
            size = min(len(batch), self.largest or len(batch))
            try:
                parts = [self._function(part) for part in batch.split(size)]
                return parts[0] if len(parts) == 1 else torch.cat(parts)
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
            # only now, when the exception no longer holds the tensors of the attempt
            self.largest = (size + 1) // 2
            torch.cuda.empty_cache()

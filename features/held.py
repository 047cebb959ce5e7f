"""A partition that a process reads is held, so that `spoofcache cache rm` refuses to remove it."""

import weakref
from contextlib import ExitStack
from pathlib import Path

from spoofcache.common.files import occupied
from spoofcache.features.plan import TRIALS, StoreError


class Held:
    """A lock on the trial list of a partition that any number of readers share, from now until this object is gone.

    It is the trial list that is locked, since writers of shards lock the folder. On a file system without locks,
    nothing is held.

    Raises:
        StoreError: the partition is being removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        stack = ExitStack()
        try:
            stack.enter_context(occupied(folder / TRIALS, alone=False))
        except BlockingIOError as error:
            raise StoreError(f"{folder}: is being removed by another process; expected a cache that stays") from error
        weakref.finalize(self, stack.close)

    def __reduce__(self) -> tuple[type["Held"], tuple[Path]]:
        """In another process, the partition is held anew."""
        return Held, (self._folder,)

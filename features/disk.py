"""The file that HDF5 writes a shard to, which reports what the disk refuses without HDF5 noticing."""

import io
from pathlib import Path
from typing import Any


class Disk(io.FileIO):
    """The file that HDF5 writes to.

    HDF5 crashes at exit if it could not flush a file, so errors such as a full disk are hidden from it: after the first
    error, further writes are discarded, and `check` raises that error.
    """

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)  # what a killed process left there; a link is removed, never followed
        super().__init__(path, "x+")
        self._refusal: OSError | None = None

    def check(self) -> None:
        """Raise the OSError of the first failed write, if there is one."""
        if self._refusal:
            raise self._refusal

    def write(self, data: Any) -> int:
        """Write all data, in as many pieces as the system requires."""
        left = memoryview(data)
        while left and not self._refusal:
            try:
                left = left[super().write(left) :]
            except OSError as error:
                self._refusal = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Cut or extend the file."""
        try:
            return super().truncate(size)
        except OSError as error:
            self._refusal = self._refusal or error
            return size or 0

"""The bytes of a text file, block by block; they are read again rather than kept, since a file may be large."""

import codecs
import os
import stat
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from spoofcache.common.errors import InputError

BLOCK = 1 << 18
"""Number of bytes that are read at once. Their cells take several times as much memory."""


class TableError(InputError):
    """A text is not a table, or its columns are not clear; the message states file, line, value and expectation."""


class _State(NamedTuple):
    """The properties of a file by which a change is noticed."""

    device: int
    number: int
    size: int
    changed_at: int


class Source:
    """A file whose blocks can be read repeatedly. A file that cannot be read twice, such as a pipe, is kept in memory.

    Raises:
        OSError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self._state = _state_of(file)
            self._kept = None if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else file.read()

    def blocks(self) -> Iterator[bytes]:
        """Blocks of whole lines, joined by line feeds, without one at the end of a block; at least one block.

        A byte-order mark and the carriage returns before line feeds are omitted.

        Raises:
            TableError: the file changed since it was first opened.
        """
        for number, block in enumerate(self.blocks_as_they_are()):
            text = block if number else block.removeprefix(codecs.BOM_UTF8)
            yield (text.replace(b"\r\n", b"\n") if b"\r" in text else text).removesuffix(b"\n")

    def blocks_as_they_are(self) -> Iterator[bytes]:
        """Blocks of whole lines with their ends; at least one block. Raises TableError as `blocks` does."""
        block = self._whole_lines(at=0)
        at = len(block)
        yield block
        while block := self._whole_lines(at):
            at += len(block)
            yield block

    def _whole_lines(self, at: int) -> bytes:
        """A block from an offset on. The file is closed after each block, since a caller may stop after any block."""
        with self.path.open("rb") if self._kept is None else BytesIO(self._kept) as file:
            if self._kept is None and _state_of(file) != self._state:
                raise TableError(f"{self.path}: the file changed while it was read; expected one that is complete")
            file.seek(at)
            block = file.read(BLOCK)
            return block if block.endswith(b"\n") else block + file.readline()


def _state_of(file: BinaryIO) -> _State:
    now = os.fstat(file.fileno())
    return _State(now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns)

"""The audio of an utterance as a file, also where it is a row of a Parquet file."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spoofcache.common.parquet import is_packed, packed_audio


@contextmanager
def as_file(path: Path) -> Iterator[Path]:
    """A file with the audio that a path names: the path itself, or a temporary file, which is removed afterwards.

    The decoders run in other processes and open a file by its name; therefore the bytes are written to one.

    Raises:
        ParquetError: the row has no audio, or its file cannot be read.
    """
    if not is_packed(path):
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="spoofcache-", suffix=path.suffix) as file:
        file.write(packed_audio(path))
        file.flush()
        yield Path(file.name)


def exists(path: Path) -> bool:
    """Whether there is a file of that name, or a Parquet file that has the row."""
    return path.exists() or is_packed(path)

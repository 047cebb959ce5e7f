"""Files of audio in the form of the library datasets: Parquet tables with a column of structs `bytes` and `path`.

The audio of row 17 of `train.parquet` is named by the path `train.parquet/17.flac`, with the ending that the row
states. No file of that name exists. The library pyarrow is imported only when such a file is read.
"""

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Any

from spoofcache.common.errors import InputError

ENDING = ".parquet"
GROUPS_IN_MEMORY = 2
"""Row groups whose audio is kept: utterances are read in order, and several threads may be in two groups at once."""


class ParquetError(InputError):
    """A Parquet file cannot be used; the message names it and says what was expected."""


class ParquetAudio:
    """A Parquet file with one column of audio.

    Attributes:
        path: the file.
        audio: name of the column of audio.
        features: column → its description by datasets, such as the names of a ClassLabel; empty if there is none.

    Raises:
        ParquetError: pyarrow is not installed, the file is no Parquet file, or not exactly one column has audio.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _open(path)
        schema = self._file.schema_arrow
        self.columns: Sequence[str] = schema.names
        found = [field.name for field in schema if _is_audio(field.type)]
        if len(found) != 1:
            raise ParquetError(
                f"{path}: {len(found)} columns with the fields bytes and path ({', '.join(found) or 'none'}) among "
                f"{', '.join(schema.names)}; expected one, as the library datasets writes audio"
            )
        self.audio = found[0]
        metadata = self._file.metadata
        self._ends = [*accumulate(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))]
        self.features: Mapping[str, Any] = _features(schema.metadata or {})

    def names(self) -> list[str | None]:
        """The path that each row states for its audio [N], None where it states none."""
        return [audio and audio["path"] for audio in self._read(f"{self.audio}.path").to_pylist()]

    def texts(self, column: str) -> list[str] | None:
        """A column [N] as texts, missing values as ""; the names of a ClassLabel; None if it holds no single values."""
        import pyarrow.types as types

        kind = self._file.schema_arrow.field(column).type
        if types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind):
            return None
        values = self._read(column).to_pylist()
        labels = self.features.get(column, {}).get("names")
        if not labels:
            return ["" if value is None else str(value) for value in values]
        try:  # datasets writes −1 for an unknown class
            return ["" if value is None or value < 0 else labels[value] for value in values]
        except IndexError as error:
            raise ParquetError(
                f"{self.path}: {max(values)} in column {column}; expected a number below {len(labels)}, one of "
                f"{', '.join(labels)}"
            ) from error

    def location(self, row: int) -> tuple[int, int]:
        """The row group of a row, and its place in the group."""
        group = bisect_right(self._ends, row)
        if group == len(self._ends):
            raise ParquetError(f"{self.path}: no row {row}; it has {self._file.metadata.num_rows} rows")
        return group, row - (self._ends[group - 1] if group else 0)

    def audio_of_group(self, group: int) -> Any:
        """The bytes of the audio of a row group, as an Arrow array of structs."""
        return self._read(f"{self.audio}.bytes", group)

    def _read(self, column: str, group: int | None = None) -> Any:
        """A column of the whole file or of a row group; ParquetError if the file is damaged."""
        import pyarrow

        groups = range(len(self._ends)) if group is None else [group]
        try:
            return self._file.read_row_groups([*groups], columns=[column], use_threads=False).column(0)
        except (pyarrow.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise ParquetError(f"{self.path}: damaged ({reason}); expected a whole Parquet file") from error


def place_of(path: Path, row: int, name: str | None) -> Path:
    """The path by which the audio of a row is named."""
    return path / f"{row}{Path(name or '').suffix.lower()}"


def is_packed(path: Path) -> bool:
    """Whether a path names the audio of a row of a Parquet file."""
    return path.parent.suffix == ENDING and path.stem.isdigit() and path.parent.is_file()


def packed_audio(path: Path) -> bytes:
    """The bytes of the audio that a path of `place_of` names.

    Raises:
        ParquetError: the file cannot be read, or the row has no bytes.
    """
    status = path.parent.stat()
    with _LOCK:
        file = _opened(path.parent, status.st_mtime_ns, status.st_size)
        group, row = file.location(int(path.stem))
        found = _group(file, group)[row].as_py()
    audio: bytes | None = found and found["bytes"]
    if not audio:
        raise ParquetError(f"{path}: no bytes in column {file.audio}; expected the audio itself, not only its path")
    return audio


_LOCK = Lock()


@lru_cache(maxsize=GROUPS_IN_MEMORY)
def _opened(path: Path, modified: int, size: int) -> ParquetAudio:
    return ParquetAudio(path)


@lru_cache(maxsize=GROUPS_IN_MEMORY)
def _group(file: ParquetAudio, group: int) -> Any:
    return file.audio_of_group(group)


def _open(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ParquetError(
            f"{path}: reading it needs the library pyarrow; expected it to be installed: "
            'pip install -r requirements-hub.txt, or pip install "spoofcache[hub]"'
        ) from error
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ParquetError(f"{path}: cannot be read ({reason}); expected a Parquet file") from error


def _is_audio(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_struct(kind)) and {"bytes", "path"} <= {field.name for field in kind}


def _features(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    """The description of the columns that datasets writes into the file; empty if there is none that can be read."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in features.items() if isinstance(feature, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}

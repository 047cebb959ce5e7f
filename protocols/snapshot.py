"""The trial list that lies beside the shards of a cache, `trials.tsv`."""

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from spoofcache.protocols.trial import COLUMNS, KEYS, UNKNOWN, ProtocolError, Trial, key_of, table_rows, text_lines
from spoofcache.protocols.trial_table import Row, TrialTable


def snapshot(trials: Sequence[Trial]) -> bytes:
    """The trial list as tab-separated text with a header, the content of a cache's `trials.tsv`.

    The columns are `utt_id speaker attack key`, then the conditions. Paths are not included, so that the same protocol
    gives the same bytes on every machine.
    """
    table = TrialTable.of(trials)
    conditions = table.condition_names()
    content = io.BytesIO()
    text = io.TextIOWrapper(content, "utf-8", newline="")
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow((*COLUMNS, *conditions))
    columns = [table.column(name, UNKNOWN) for name in COLUMNS[1:]]
    cells = [table.condition(name, UNKNOWN) for name in conditions]
    writer.writerows(zip(table.names, *columns, *cells, strict=True))
    text.flush()
    return content.getvalue()


def snapshot_sha256(content: bytes) -> str:
    """The hash by which a shard identifies the trial list to which it belongs."""
    return hashlib.sha256(content).hexdigest()


def sha256_of_file(path: Path) -> str:
    """`snapshot_sha256` of the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_snapshot(path: Path) -> TrialTable:
    """Read the `trials.tsv` of a cache. The trials have no paths."""
    return TrialTable.of_rows(_rows(path))


def _rows(path: Path) -> Iterator[Row]:
    table = table_rows(text_lines(path, f"a table of {' '.join(COLUMNS)}"), "\t", path)
    header = tuple(next(table, ()))
    if header[: len(COLUMNS)] != COLUMNS:
        raise ProtocolError(f"{path}:1: header {' '.join(header) or 'missing'}; expected {' '.join(COLUMNS)}")
    names = header[len(COLUMNS) :]
    for line, (utt_id, speaker, attack, key, *values) in enumerate(table, 2):
        named = zip(names, values, strict=True) if names else ()
        conditions = {name: value for name, value in named if value != UNKNOWN}
        yield utt_id, key_of(key, KEYS, path, line), attack, speaker, conditions, None, ""

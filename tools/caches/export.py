"""Writes a cached partition in forms that other tools read: one `.npy` file with a table, or WebDataset's tar files."""

import csv
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spoofcache.common.files import free_bytes, new_folder
from spoofcache.features.plan import SKIPPED, StoreError, skipped_table
from spoofcache.features.store import INT16_SCALE, crc32_of
from spoofcache.protocols.trial import CLASS_INDEX, COLUMNS, UNKNOWN, Trial
from spoofcache.tools.caches.source import Source

FEATURES, TABLE, ABOUT = "features.npy", "table.tsv", "cache.json"


class _Row(NamedTuple):
    """A row by its number, with its trial, its features [*row] as stored, and their checksum."""

    number: int
    trial: Trial
    features: NDArray[Any]
    crc32: int

    def columns(self) -> list[object]:
        """Number, name, speaker, attack, key and checksum."""
        return [self.number, *(getattr(self.trial, name) for name in COLUMNS), f"{self.crc32:08x}"]


HEADER = ("row", *COLUMNS, "crc32")


def export(source: Source, form: str, folder: Path, advance: Callable[[int], None] = lambda n: None) -> None:
    """Write a partition in a form of EXPORTS into a new folder, which appears when it is complete.

    Beside the features, `cache.json` has the identity and what else a reader must know, and `skipped.tsv` the omitted
    utterances, if there are any.

    Raises:
        StoreError: the folder exists, the disk has no space, or a row has changed since it was written.
    """
    if folder.exists():
        raise StoreError(f"{folder}: exists already, and is not overwritten; expected another --out")
    needed = len(source.data) * source.plan.row_bytes
    if needed > free_bytes(folder):
        raise StoreError(f"{folder}: {needed / 1e9:.2f} GB are to be written there, which are not free")
    with new_folder(folder) as place:
        EXPORTS[form](source, place, advance)
        (place / ABOUT).write_text(json.dumps(_about(source), indent=1) + "\n", encoding="utf-8")
        if source.omitted:
            names = {source.trials.names[number]: reason for number, reason in source.omitted.items()}
            (place / SKIPPED).write_bytes(skipped_table(names))


def _about(source: Source) -> dict[str, Any]:
    plan = source.plan
    return {
        "corpus": plan.corpus,
        "partition": plan.partition,
        "identity": dict(plan.identity.settings),
        "trial_list_sha256": plan.trial_list_sha256,
        "n_rows": len(source.data),
        "row_shape": list(plan.row_shape),
        "class_index": dict(CLASS_INDEX),
        **({"full_scale": INT16_SCALE} if plan.identity.dtype == "int16" else {}),
    }


def _rows(source: Source, advance: Callable[[int], None]) -> Iterator[_Row]:
    for number, trial in enumerate(source.data.trials):
        features = np.empty(source.plan.row_shape, source.plan.identity.dtype)
        source.data.copy_row(number, features)
        yield _Row(number, trial, features, crc32_of(features))
        advance(1)


def _write_npy(source: Source, place: Path, advance: Callable[[int], None]) -> None:
    """`features.npy` [N, *row], and `table.tsv` with a line for each row, in the same order.

    The array is written from front to back, since writing to a memory map kills the process when the disk is full.
    """
    conditions = source.data.trials.condition_names()
    shape = (len(source.data), *source.plan.row_shape)
    form = np.lib.format.header_data_from_array_1_0(np.empty(0, source.plan.identity.dtype)) | {"shape": shape}
    with (place / FEATURES).open("wb") as file, (place / TABLE).open("w", encoding="utf-8", newline="") as text:
        np.lib.format.write_array_header_1_0(file, form)
        table = csv.writer(text, delimiter="\t", lineterminator="\n")
        table.writerow((*HEADER, *conditions))
        for row in _rows(source, advance):
            file.write(row.features.data)
            table.writerow([*row.columns(), *(row.trial.conditions.get(name, UNKNOWN) for name in conditions)])


def _write_webdataset(source: Source, place: Path, advance: Callable[[int], None]) -> None:
    """`shard-00000.tar` and so on, with three files for each utterance: features, class index, and description.

    Files are named by the number of the row, since WebDataset takes everything after the first dot of a name for its
    ending, and names of utterances may have dots. Equal caches give equal bytes.
    """
    rows, size = _rows(source, advance), source.plan.shard_size
    for shard, start in enumerate(range(0, len(source.data), size)):
        with tarfile.open(place / f"shard-{shard:05d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for _ in range(start, min(start + size, len(source.data))):
                row = next(rows)
                for ending, content in _files_of(row).items():
                    member = tarfile.TarInfo(f"{row.number:09d}.{ending}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))


def _files_of(row: _Row) -> dict[str, bytes]:
    array = io.BytesIO()
    np.save(array, row.features, allow_pickle=False)
    fields = dict(zip(HEADER, row.columns(), strict=True)) | {"conditions": dict(row.trial.conditions)}
    return {
        "cls": str(row.trial.label).encode(),
        "json": json.dumps(fields).encode(),
        "npy": array.getvalue(),
    }


EXPORTS: Mapping[str, Callable[[Source, Path, Callable[[int], None]], None]] = {
    "npy": _write_npy,
    "webdataset": _write_webdataset,
}

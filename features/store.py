"""Writes and reads a shard: an HDF5 file with a group of utterances.

The dataset `features` [N, *row] is contiguous, so that any HDF5 tool can read it and the reader can map it from the
page cache. `utt_id` [N] names the utterance of each row, and `checksum` [N] is the CRC-32 of each row's bytes. The
attributes describe the shard.
"""

import contextlib
import json
import math
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from spoofcache.common.files import Claim, free_bytes
from spoofcache.features.disk import Disk
from spoofcache.features.fingerprint import Fingerprint, as_array
from spoofcache.features.inspection import inspect
from spoofcache.features.plan import FORMAT_VERSION, Identity, Plan, ShardMismatch, StoreError
from spoofcache.features.rows import open_rows, system_error
from spoofcache.features.sealing import check_seal, seal
from spoofcache.features.shard_layout import read_layout

CHECKSUM = "crc32"
SEALED = "sealed"
"""Attribute of a shard that ends with a seal (features/sealing.py)."""
REMEDY = "repeat the preprocess.py command that made it with --repair, which recomputes damaged shards"
INT16_SCALE = 32_768.0
"""int16 waveforms are stored in the scale of 16-bit audio files: full scale ±1 is ±32,768."""

TORCH_DTYPE: Mapping[str, torch.dtype] = {"float16": torch.float16, "float32": torch.float32, "int16": torch.int16}


class Stored(NamedTuple):
    """Features [B, *row] in the stored type `dtype`, and the largest magnitude [B] in each row before conversion."""

    rows: torch.Tensor
    largest: torch.Tensor
    dtype: str


def convert(features: torch.Tensor, dtype: str) -> Stored:
    """Convert features [B, *row] in float32 to the stored type on their device, without checks that wait for a GPU."""
    largest = features.abs().flatten(1).amax(1)
    if dtype == "int16":
        features = (features * INT16_SCALE).round().clamp(max=INT16_SCALE - 1)
    return Stored(features.to(TORCH_DTYPE[dtype]).contiguous(), largest, dtype)


def require_fit(largest: Sequence[float], dtype: str, utt_ids: Sequence[str]) -> None:
    """Raise StoreError for the first utterance with a NaN, an infinity, or a magnitude that `dtype` cannot hold."""
    for utt_id, magnitude in zip(utt_ids, largest, strict=True):
        if fault := misfit(magnitude, dtype):
            raise StoreError(f"utterance {utt_id}: {fault}")


def misfit(magnitude: float, dtype: str) -> str:
    """Why a row whose largest feature has this magnitude cannot be stored in a type; "" if it can be stored."""
    limit = 1.0 if dtype == "int16" else float(torch.finfo(TORCH_DTYPE[dtype]).max)
    if magnitude <= limit:  # false for NaN
        return ""
    remedy = "store a wider --dtype" if math.isfinite(magnitude) else "compute in a wider --precision, such as float32"
    return f"a feature of magnitude {magnitude} does not fit {dtype} (at most {limit:g}); check its audio, or {remedy}"


def to_stored(features: torch.Tensor, dtype: str, utt_ids: Sequence[str]) -> NDArray[Any]:
    """Features [B, *row] in float32 → the array that is stored, after checking the values.

    Raises:
        StoreError: a NaN, an infinity, or a value that `dtype` cannot hold; the message names the utterance.
    """
    stored = convert(features, dtype)
    require_fit(stored.largest.tolist(), dtype, utt_ids)
    return stored.rows.cpu().numpy()


def from_stored(rows: torch.Tensor) -> torch.Tensor:
    """Stored rows → features: int16 becomes float32 between −1 and 1, and floating types do not change."""
    return rows.float() / INT16_SCALE if rows.dtype == torch.int16 else rows


def is_finite(row: NDArray[Any]) -> bool:
    """Whether all values of a row are finite. For float16, this is 25 times as fast as numpy's function."""
    if row.dtype == np.float16 and row.size:
        magnitudes = row.view(np.uint16) & np.uint16(0x7FFF)  # without the sign; from 0x7C00 on: infinity or NaN
        return bool(magnitudes.max() < 0x7C00)
    return bool(np.isfinite(row).all())


def crc32_of(row: NDArray[Any]) -> int:
    """The checksum of a row [*row] as stored."""
    return zlib.crc32(np.ascontiguousarray(row).data)


class ShardWriter:
    """Writes shard `index` of a plan row by row, under a claim; `commit` makes the shard visible to readers.

    A writer that is not committed must be abandoned, which removes everything that it wrote.
    """

    def __init__(self, claim: Claim, plan: Plan, index: int, compression: str | None = None) -> None:
        self._claim = claim
        self._plan = plan
        self._index = index
        self._compression = compression
        self._utt_ids: list[str] = []
        self._checksums: list[int] = []
        self._skipped: dict[str, str] = {}
        group = plan.group(index)
        self._guard(lambda: self._create(group.stop - group.start))

    def append(self, utt_ids: Sequence[str], rows: NDArray[Any]) -> None:
        """Add the rows [B, *row] of these utterances."""
        start = len(self._utt_ids)
        self._utt_ids += utt_ids
        self._checksums += [crc32_of(row) for row in rows]
        self._guard(lambda: self._features.write_direct(rows, dest_sel=np.s_[start : start + len(rows)]))

    def skip(self, utt_id: str, reason: str) -> None:
        """Omit an utterance of the group, and store the reason in the shard."""
        self._skipped[utt_id] = reason

    def commit(self, audio: Sequence[Fingerprint] | None = None) -> None:
        """Flush, fsync and rename the shard, which makes it visible to readers.

        Args:
            audio: the fingerprint of the audio of each row; None if it is not known.
        """
        self._guard(lambda: self._finish(audio))
        self._guard(self._claim.commit)

    def abandon(self) -> None:
        """Remove what was written. This has no effect after `commit`."""
        self._claim.abandon()
        self._close()

    def _create(self, n_rows: int) -> None:
        self._disk = Disk(self._claim.temporary)
        self._file = h5py.File(self._disk, "w")
        shape = (n_rows, *self._plan.row_shape)
        compression = self._compression if n_rows else None  # an empty dataset has no chunks
        chunks = (1, *self._plan.row_shape) if compression else None
        self._features = self._file.create_dataset(
            "features", shape, self._plan.identity.dtype, chunks=chunks, compression=compression
        )

    def _finish(self, audio: Sequence[Fingerprint] | None) -> None:
        n_rows = len(self._utt_ids)
        if n_rows < len(self._features):  # a contiguous dataset cannot shrink: write the kept rows once more
            kept = self._features[:n_rows]
            self._close()
            self._create(n_rows)
            self._features[...] = kept
        names = [utt_id.encode() for utt_id in self._utt_ids]
        text = h5py.string_dtype(
            "utf-8", max(map(len, names), default=1)
        )  # strings of fixed length need no heap, in which damage could make HDF5 loop
        self._file.create_dataset("utt_id", data=np.array(names, text), dtype=text, shape=(n_rows,))
        self._file.create_dataset("checksum", data=np.array(self._checksums, np.uint32))
        if audio is not None:
            self._file.create_dataset("audio", data=as_array([*audio]))
        self._file.attrs.update(_header(self._plan, self._index))
        self._file.attrs["skipped"] = json.dumps(self._skipped)
        self._file.attrs[SEALED] = 1
        stretches = _feature_ranges(self._features)
        self._file.close()
        self._disk.check()  # a shard with failed writes cannot be sealed
        seal(self._disk, stretches)
        self._disk.close()

    def _guard(self, act: Callable[[], None]) -> None:
        """Run a step. If the disk refuses it, remove the unfinished shard and raise StoreError."""
        try:
            act()
            self._disk.check()
        except OSError as error:
            self.abandon()
            free = free_bytes(self._claim.path.parent)
            raise StoreError(
                f"{self._claim.path}: cannot be written ({_first_line(error)}); "
                f"{free / 1e9:.1f} GB are free there. Finished shards are kept"
            ) from error

    def _close(self) -> None:
        with contextlib.suppress(AttributeError):  # not opened yet
            self._file.close()
            self._disk.close()


def _feature_ranges(features: Any) -> list[tuple[int, int]]:
    """Offset and length in bytes of each piece of a dataset, in ascending order."""
    features.file.flush()  # HDF5 allocates space only when it writes
    if features.size == 0:
        return []
    if features.chunks is None:
        return [(features.id.get_offset(), features.id.get_storage_size())]
    chunks = [features.id.get_chunk_info(number) for number in range(features.id.get_num_chunks())]
    return sorted((chunk.byte_offset, chunk.size) for chunk in chunks)


def _first_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error).splitlines()[0]


def _header(plan: Plan, index: int) -> dict[str, Any]:
    """The HDF5 attributes that describe a shard."""
    return {
        "format_version": FORMAT_VERSION,
        "identity": plan.identity.to_json(),
        "corpus": plan.corpus,
        "partition": plan.partition,
        "shard_index": index,
        "shard_count": plan.shard_count,
        "shard_size": plan.shard_size,
        "trial_list_sha256": plan.trial_list_sha256,
        "checksum_algorithm": CHECKSUM,
    }


class DamagedShard(StoreError):
    """A file that is not a shard of SpoofCache, or is a damaged one."""


class ShardReader:
    """A finished shard. No file is kept open between two uses, so that a cache may have any number of shards.

    Attributes:
        path: the file.
        layout: everything in the shard except the features.
        features: [N, *row] in the stored type: a copy-on-write memory map of contiguous features, or compressed rows
            that are unpacked when they are indexed. No row is read before it is indexed.

    Raises:
        DamagedShard: the file is not a whole shard of SpoofCache.
        StoreError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            is_sealed = check_seal(path)
            if not is_sealed:
                inspect(path)
            self.layout = read_layout(path)
            if SEALED in self.header and not is_sealed:
                raise ValueError("it was changed or cut short since it was written")
            self.features = open_rows(path, self.layout.shape, self.layout.dtype, self.layout.offset)
        except (OSError, KeyError, RuntimeError, ValueError, TypeError, RecursionError) as error:
            raise _refusal(path, error) from error

    @property
    def header(self) -> Mapping[str, Any]:
        """The attributes of the shard."""
        return self.layout.header

    @property
    def identity(self) -> Identity:
        """The identity of the features."""
        return self.layout.identity

    @property
    def utt_ids(self) -> list[str]:
        """The name of the utterance in each row."""
        return self.layout.utt_ids

    @property
    def skipped(self) -> Mapping[str, str]:
        """The reason for each utterance of the group that was omitted."""
        return self.layout.skipped

    def require(self, plan: Plan, index: int) -> None:
        """Raise ShardMismatch unless this is shard `index` of the plan, or of an earlier trial list of the plan."""
        self.identity.require_same(plan.identity, self.path)
        for name, expected in _header(plan.of_list(self.header.get("trial_list_sha256")), index).items():
            found = self.header.get(name)
            if type(found) is not type(expected) or found != expected:
                raise ShardMismatch(f"{self.path}: {name} is {found}; expected {expected}")
        form, expected_form = (self.layout.shape[1:], self.layout.dtype), (plan.row_shape, plan.identity.dtype)
        if form != expected_form:
            raise ShardMismatch(f"{self.path}: rows of {form}; expected {expected_form}")

    def has_utterances(self, group: Sequence[str]) -> bool:
        """Whether the rows and the omitted utterances of this shard are those of the group, in the same order."""
        kept = [utt_id for utt_id in group if utt_id not in self.skipped]
        return self.utt_ids == kept and len(kept) + len(self.skipped) == len(group)

    def require_utterances(self, group: Sequence[str]) -> None:
        """Raise ShardMismatch unless the rows and the omitted utterances are those of the group, in the same order."""
        if not self.has_utterances(group):
            raise ShardMismatch(
                f"{self.path}: its rows and omitted utterances are not the utterances of the trial list"
            )

    def corrupt(self) -> list[str]:
        """Re-read every row, and return the utterances whose rows have changed or contain NaN or infinity."""
        if self.header["checksum_algorithm"] != CHECKSUM:
            raise StoreError(f"{self.path}: checksums by {self.header['checksum_algorithm']}; expected {CHECKSUM}")
        return [utt_id for row, utt_id in enumerate(self.utt_ids) if not self._is_intact(row)]

    def _is_intact(self, row: int) -> bool:
        try:
            values = self.features[row]
            return crc32_of(values) == int(self.layout.checksums[row]) and is_finite(values)
        except StoreError:  # a compressed row that can no longer be decompressed
            return False


def _refusal(path: Path, error: Exception) -> StoreError:
    """The error for a shard that cannot be opened: DamagedShard only if the contents themselves are bad."""
    number = system_error(error)
    if number is not None:
        return StoreError(f"{path}: cannot be read ({os.strerror(number)}); the shard itself may be in order")
    return DamagedShard(f"{path}: not a whole shard of SpoofCache ({_first_line(error)}); {REMEDY}")

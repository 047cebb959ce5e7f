"""Reads and checks everything in a shard except the features."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from spoofcache.features.plan import ITEM_BYTES, Identity

DATASETS = ("features", "utt_id", "checksum")


class Layout(NamedTuple):
    """A shard without its features.

    Attributes:
        header: the attributes of the file, with strings as `str`.
        identity: the identity of the features.
        utt_ids: the utterance of each row.
        skipped: the reason for each utterance of the group that was omitted.
        checksums: [N], the CRC-32 of each row's bytes.
        audio: [N, 2], the size and the hash of the audio file of each row; None in shards of earlier versions.
        shape: the shape of the features, (N, *row).
        dtype: the stored number type of the features.
        offset: the byte at which contiguous features begin; None if they are compressed or empty.
    """

    header: Mapping[str, Any]
    identity: Identity
    utt_ids: list[str]
    skipped: Mapping[str, str]
    checksums: NDArray[np.uint32]
    audio: NDArray[np.uint64] | None
    shape: tuple[int, ...]
    dtype: str
    offset: int | None


def read_layout(path: Path) -> Layout:
    """Open a shard and read all but its features.

    Raises:
        ValueError, KeyError, TypeError, RuntimeError: the file is not a shard of SpoofCache, or is incomplete.
        OSError: the file cannot be read, or HDF5 refuses it.
    """
    with h5py.File(path, "r", locking=False) as file:
        datasets = {name: _own_dataset(file, name) for name in DATASETS}
        header = {name: _plain(value) for name, value in file.attrs.items()}
        features, n_rows = datasets["features"], len(datasets["features"])
        if not (datasets["utt_id"].shape == datasets["checksum"].shape == (n_rows,)):
            raise ValueError("features, utt_id and checksum are of different lengths")
        if str(features.dtype) not in ITEM_BYTES or not features.dtype.isnative:
            raise ValueError(f"features of type {features.dtype}; expected one of {', '.join(ITEM_BYTES)}")
        if datasets["checksum"].dtype != np.uint32:
            raise ValueError(f"checksums of type {datasets['checksum'].dtype}; expected uint32")
        return Layout(
            header,
            _identity(header["identity"]),
            datasets["utt_id"].asstr()[:].tolist(),
            _skipped(header["skipped"]),
            datasets["checksum"][:],
            _audio(file, n_rows),
            features.shape,
            str(features.dtype),
            features.id.get_offset() if features.size else None,
        )


def _own_dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """The dataset of that name; ValueError unless all its bytes are in this file.

    With a link, a virtual dataset or external storage, the reader could return the content of another file of the user.
    """
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} is missing or a link to elsewhere; expected a dataset of the file itself")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None or dataset.ndim == 0:
        raise ValueError(f"{name} is not an array")
    if dataset.is_virtual or dataset.external:
        raise ValueError(f"{name} keeps its numbers in another file; expected them in the file itself")
    return dataset


def _audio(file: h5py.File, n_rows: int) -> NDArray[np.uint64] | None:
    if "audio" not in file:
        return None
    audio = _own_dataset(file, "audio")
    if audio.shape != (n_rows, 2) or audio.dtype != np.uint64:
        raise ValueError(f"audio of shape {audio.shape} and type {audio.dtype}; expected ({n_rows}, 2) and uint64")
    return np.asarray(audio[:])


def _plain(value: Any) -> Any:
    """An attribute as a Python value: a `str` for any kind of string, an `int` for any integer."""
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.generic) else value


def _identity(text: object) -> Identity:
    settings = json.loads(str(text))
    if not isinstance(settings, dict) or not isinstance(settings.get("dtype"), str):
        raise ValueError("its identity is not one that SpoofCache writes")
    return Identity(settings)


def _skipped(text: object) -> dict[str, str]:
    skipped = json.loads(str(text))
    if not isinstance(skipped, dict) or not all(isinstance(reason, str) for reason in skipped.values()):
        raise ValueError("its omitted utterances are not a table of reasons")
    return skipped

"""What a shard may not be: a way to some other file, or arrays of another form."""

import h5py
import numpy as np
import pytest

from spoofcache.features.plan import StoreError
from spoofcache.features.store import ShardReader
from tests.corpora import make_trials, write_cache
from tests.features.shards import changed

ROWS = np.arange(7 * 20, dtype="float16").reshape(7, 5, 4)


@pytest.fixture
def shard(tmp_path):
    return write_cache(tmp_path / "train", make_trials(7), ROWS) / "shard-00000.h5"


def external_link(file, elsewhere):
    file["features"] = h5py.ExternalLink(str(elsewhere), "features")


def soft_link(file, elsewhere):
    file["features"] = h5py.SoftLink("/utt_id")


def virtual_dataset(file, elsewhere):
    layout = h5py.VirtualLayout(ROWS.shape, ROWS.dtype)
    layout[:] = h5py.VirtualSource(str(elsewhere), "features", ROWS.shape)
    file.create_virtual_dataset("features", layout)


def external_storage(file, elsewhere):
    file.create_dataset("features", ROWS.shape, ROWS.dtype, external=[(str(elsewhere), 0, ROWS.nbytes)])


@pytest.mark.parametrize("way", [external_link, soft_link, virtual_dataset, external_storage])
def test_a_way_to_another_file_is_refused(shard, tmp_path, way):
    elsewhere = tmp_path / "secret.h5"
    with h5py.File(elsewhere, "w") as file:
        file["features"] = ROWS
    with changed(shard) as file:
        del file["features"]
        way(file, elsewhere)
    with pytest.raises(StoreError, match=r"features (is missing or a link|keeps its numbers in another file)"):
        ShardReader(shard)


def group(file):
    file.create_group("features")


def scalar(file):
    file["features"] = np.float16(1)


def nothing(file):
    file["features"] = h5py.Empty("float16")


def strings(file):
    file["features"] = [b"a"] * 7


def swapped_bytes(file):
    file["features"] = ROWS.astype(">f2")


@pytest.mark.parametrize("form", [group, scalar, nothing, strings, swapped_bytes])
def test_features_of_another_form_are_refused(shard, form):
    with changed(shard) as file:
        del file["features"]
        form(file)
    with pytest.raises(StoreError, match="not a whole shard of SpoofCache"):
        ShardReader(shard)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("identity", "[1, 2]"),
        ("identity", "[" * 100_000),
        ("identity", "{}"),
        ("identity", np.arange(3)),
        ("skipped", "[]"),
        ("skipped", '{"a": 1}'),
    ],
)
def test_attributes_of_another_form_are_refused(shard, name, value):
    with changed(shard) as file:
        del file.attrs[name]
        file.attrs[name] = value
    with pytest.raises(StoreError, match="not a whole shard of SpoofCache"):
        ShardReader(shard)


@pytest.mark.parametrize("value", [np.array([1, 1]), "1", 1.0, 2])
def test_another_version_is_refused(shard, value):
    from spoofcache.features.plan import ShardMismatch, read_manifest

    with changed(shard) as file:
        file.attrs["format_version"] = value
    with pytest.raises(ShardMismatch, match="format_version is"):
        ShardReader(shard).require(read_manifest(shard.parent), 0)

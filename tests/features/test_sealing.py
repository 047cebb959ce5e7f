"""The seal of a shard: damage outside of the rows is noticed before HDF5 sees the file."""

import shutil

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spoofcache.features.plan import StoreError
from spoofcache.features.sealing import BrokenSeal, check_seal, seal
from spoofcache.features.store import ShardReader
from tests.features.test_store import open_writer, plan_of, rows_of


@pytest.fixture(scope="module", params=[None, "lzf"])
def shard(request, tmp_path_factory):
    """A finished shard of seven rows."""
    plan = plan_of()
    path = plan.shard_path(tmp_path_factory.mktemp("sealed"), 0)
    writer = open_writer(path, plan, compression=request.param)
    writer.append([f"U_000{i}" for i in range(7)], rows_of(plan))
    writer.commit()
    return path


def stretches_of(path):
    """The bytes of the file that are features."""
    with h5py.File(path) as file:
        features = file["features"]
        if features.chunks is None:
            start = features.id.get_offset()
            return set(range(start, start + features.id.get_storage_size()))
        chunks = [features.id.get_chunk_info(number) for number in range(features.id.get_num_chunks())]
        return {place for chunk in chunks for place in range(chunk.byte_offset, chunk.byte_offset + chunk.size)}


def test_a_finished_shard_is_sealed_and_any_hdf5_tool_reads_it(shard):
    assert check_seal(shard)
    with h5py.File(shard) as file:
        np.testing.assert_array_equal(file["features"][:], rows_of(plan_of()))


def test_a_file_without_a_seal_is_of_an_earlier_edition(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"anything that is long enough to hold one")
    (tmp_path / "b.h5").write_bytes(b"")
    assert not check_seal(tmp_path / "a.h5")
    assert not check_seal(tmp_path / "b.h5")


def test_one_flipped_bit_outside_of_the_rows_is_noticed(shard, tmp_path):
    rows, path, data = stretches_of(shard), tmp_path / "shard-00000.h5", bytearray(shard.read_bytes())
    for place in sorted(set(range(len(data) - 8)) - rows)[::7]:
        data[place] ^= 1 << place % 8
        path.write_bytes(data)
        with pytest.raises(BrokenSeal):
            check_seal(path)
        data[place] ^= 1 << place % 8


def test_a_shard_that_lost_its_end_is_no_shard_of_an_earlier_edition(shard, tmp_path):
    whole, path = shard.read_bytes(), tmp_path / "shard-00000.h5"
    for lost in (1, 8, 16, 40, len(whole) // 2):
        path.write_bytes(whole[:-lost])
        with pytest.raises(StoreError, match="not a whole shard of SpoofCache"):
            ShardReader(path)


def test_a_shard_that_was_changed_with_an_hdf5_tool_is_refused(shard, tmp_path):
    path = tmp_path / "shard-00000.h5"
    shutil.copy(shard, path)
    with h5py.File(path, "r+") as file:
        file["utt_id"][0] = b"U_0009"
    with pytest.raises(StoreError, match="changed or cut short"):
        ShardReader(path)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(line=st.binary(max_size=200), length=st.integers(0, 2**64 - 1))
def test_any_end_of_a_file_is_answered(line, length, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.h5"
    path.write_bytes(line + length.to_bytes(8, "little") + b"SPFSEAL1")
    with pytest.raises(BrokenSeal, match="the seal at its end is damaged"):
        check_seal(path)


def test_stretches_beyond_the_file_are_refused(tmp_path):
    path = tmp_path / "a.h5"
    for data in ([(0, 99)], [(3, 2), (1, 1)], [(-1, 2)]):
        with path.open("w+b") as file:
            file.write(b"0123456789")
            try:
                seal(file, data)
            except (BrokenSeal, OSError):
                continue
        with pytest.raises(BrokenSeal):
            check_seal(path)

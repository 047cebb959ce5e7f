"""A shard on disk: what any HDF5 tool sees, what comes back, and what is noticed when it is not whole."""

import json
import os
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from spoofcache.common.files import Claim
from spoofcache.features.plan import Identity, Plan, ShardMismatch, StoreError
from spoofcache.features.rows import PackedRows
from spoofcache.features.store import ShardReader, ShardWriter, from_stored, to_stored
from tests.corpora import IDENTITY, make_trials
from tests.features.shards import changed

ROOT = Path(__file__).resolve().parents[2]
SHAPES = {"float16": (5, 4), "float32": (3, 5, 4), "int16": (50,)}


def identity_of(dtype):
    return Identity({**IDENTITY.settings, "dtype": dtype})


def plan_of(row_shape=(5, 4), dtype="float16", n_trials=7):
    return Plan.make("la", "train", identity_of(dtype), make_trials(n_trials), row_shape)


def open_writer(path, plan, compression=None):
    claim = Claim.take(path)
    assert claim is not None
    return ShardWriter(claim, plan, 0, compression)


def rows_of(plan):
    """Numbers that the plan's type holds exactly [N, *row]."""
    random = np.random.default_rng(0)
    return random.integers(-1000, 1000, (plan.n_trials, *plan.row_shape)).astype(plan.identity.dtype)


@pytest.fixture
def write(tmp_path):
    """Write the first shard of a plan; `skip` omits rows. Returns its path."""

    def write_shard(plan, rows, skip=(), compression=None):
        path = plan.shard_path(tmp_path, 0)
        writer = open_writer(path, plan, compression)
        for trial, row in zip(make_trials(len(rows)), rows, strict=True):
            if trial.utt_id in skip:
                writer.skip(trial.utt_id, "broken")
            else:
                writer.append([trial.utt_id], row[None])
        writer.commit()
        return path

    return write_shard


class TestForm:
    """The format of docs/cache-format.md, read with bare h5py."""

    @pytest.mark.parametrize(("dtype", "row_shape"), SHAPES.items())
    def test_rows_are_contiguous_and_uncompressed(self, write, dtype, row_shape):
        plan = plan_of(row_shape, dtype)
        with h5py.File(write(plan, rows_of(plan))) as file:
            features = file["features"]
            assert (features.shape, features.dtype) == ((7, *row_shape), dtype)
            assert (features.chunks, features.compression) == (None, None)
            assert features.id.get_offset() is not None
            np.testing.assert_array_equal(features[:], rows_of(plan))

    def test_utterances_and_checksums_stand_beside_the_rows(self, write):
        plan = plan_of()
        with h5py.File(write(plan, rows_of(plan))) as file:
            assert set(file) == {"features", "utt_id", "checksum"}
            assert file["utt_id"].asstr()[:].tolist() == [f"U_000{i}" for i in range(7)]
            assert file["checksum"][:].tolist() == [zlib.crc32(row.tobytes()) for row in rows_of(plan)]

    def test_a_shard_describes_itself(self, write):
        plan = plan_of()
        with h5py.File(write(plan, rows_of(plan))) as file:
            attributes = dict(file.attrs)
        assert json.loads(attributes.pop("identity")) == plan.identity.settings
        assert attributes == {
            "sealed": 1,
            "format_version": 1,
            "corpus": "la",
            "partition": "train",
            "shard_index": 0,
            "shard_count": 1,
            "shard_size": 512,
            "trial_list_sha256": plan.trial_list_sha256,
            "checksum_algorithm": "crc32",
            "skipped": "{}",
        }

    def test_nothing_else_lies_in_the_folder(self, write):
        plan = plan_of()
        path = write(plan, rows_of(plan))
        assert os.listdir(path.parent) == ["shard-00000.h5"]


class TestReading:
    @pytest.mark.parametrize("compression", [None, "lzf", "gzip"])
    @pytest.mark.parametrize(("dtype", "row_shape"), SHAPES.items())
    def test_what_was_written_comes_back(self, write, dtype, row_shape, compression):
        plan = plan_of(row_shape, dtype)
        shard = ShardReader(write(plan, rows_of(plan), compression=compression))
        np.testing.assert_array_equal(shard.features[:], rows_of(plan))
        assert shard.utt_ids == [f"U_000{i}" for i in range(7)]
        assert shard.identity == plan.identity
        assert shard.corrupt() == []
        shard.require(plan, 0)

    def test_contiguous_rows_are_mapped_and_compressed_ones_unpacked_when_asked_for(self, write):
        plan = plan_of()
        assert isinstance(ShardReader(write(plan, rows_of(plan))).features, np.ndarray)
        assert isinstance(ShardReader(write(plan, rows_of(plan), compression="gzip")).features, PackedRows)

    def test_changing_a_mapped_row_changes_no_file(self, write):
        plan = plan_of()
        path = write(plan, rows_of(plan))
        ShardReader(path).features[0] = 7
        assert ShardReader(path).corrupt() == []


class TestSkipping:
    @pytest.mark.parametrize("compression", [None, "gzip"])
    def test_omitted_rows_leave_no_gap(self, write, compression):
        plan = plan_of()
        shard = ShardReader(write(plan, rows_of(plan), skip=("U_0000", "U_0003"), compression=compression))
        kept = [1, 2, 4, 5, 6]
        assert shard.utt_ids == [f"U_000{i}" for i in kept]
        assert shard.skipped == {"U_0000": "broken", "U_0003": "broken"}
        np.testing.assert_array_equal(shard.features[:], rows_of(plan)[kept])
        assert shard.corrupt() == []

    @pytest.mark.parametrize("compression", [None, "gzip"])
    def test_a_shard_may_be_left_with_no_row_at_all(self, write, compression):
        plan = plan_of(n_trials=2)
        shard = ShardReader(write(plan, rows_of(plan), skip=("U_0000", "U_0001"), compression=compression))
        assert shard.features.shape == (0, 5, 4)
        assert (shard.utt_ids, shard.corrupt()) == ([], [])


class TestStoredNumbers:
    @pytest.mark.parametrize("dtype", ["float16", "float32"])
    def test_floating_types_are_rounded_once(self, dtype):
        rows = torch.tensor([[[1 / 3, -65_504.0]]])
        stored = to_stored(rows, dtype, ["a"])
        np.testing.assert_array_equal(stored, rows.numpy().astype(dtype))
        assert torch.equal(from_stored(torch.from_numpy(stored)), torch.from_numpy(stored))

    def test_every_sample_of_16_bit_audio_goes_through_int16_unchanged(self):
        audio = torch.arange(-32_768, 32_768).float()[None] / 32_768
        stored = to_stored(audio, "int16", ["a"])
        assert stored[0].tolist() == list(range(-32_768, 32_768))
        assert torch.equal(from_stored(torch.from_numpy(stored)), audio)

    @pytest.mark.parametrize(
        ("sample", "stored"),
        [(1.0, 32_767), (-1.0, -32_768), (0.6 / 32_768, 1), (-0.6 / 32_768, -1), (0.4 / 32_768, 0)],
    )
    def test_other_samples_are_rounded_to_the_nearest(self, sample, stored):
        assert to_stored(torch.tensor([[sample]]), "int16", ["a"]).tolist() == [[stored]]

    @pytest.mark.parametrize(
        ("dtype", "value", "sentence"),
        [
            ("float16", 65_536.0, "a feature of magnitude 65536.0 does not fit float16 (at most 65504)"),
            ("float16", -1e9, "a feature of magnitude 1000000000.0 does not fit float16 (at most 65504)"),
            ("float16", float("nan"), "a feature of magnitude nan does not fit float16 (at most 65504)"),
            ("float16", float("-inf"), "a feature of magnitude inf does not fit float16 (at most 65504)"),
            ("float32", float("nan"), "a feature of magnitude nan does not fit float32 (at most 3.40282e+38)"),
            ("float32", float("inf"), "a feature of magnitude inf does not fit float32 (at most 3.40282e+38)"),
            ("int16", 1.0001, "a feature of magnitude 1.000100016593933 does not fit int16 (at most 1)"),
            ("int16", float("nan"), "a feature of magnitude nan does not fit int16 (at most 1)"),
        ],
    )
    def test_a_value_that_does_not_fit_stops_with_the_name_of_the_utterance(self, dtype, value, sentence):
        rows = torch.zeros(3, 4, 2)
        rows[1, 2, 1] = value
        with pytest.raises(StoreError) as refusal:
            to_stored(rows, dtype, ["a", "b", "c"])
        assert str(refusal.value).startswith(f"utterance b: {sentence}")


class TestDamage:
    @pytest.mark.parametrize("compression", [None, "lzf", "gzip"])
    def test_a_flipped_byte_is_found(self, write, compression):
        plan = plan_of()
        path = write(plan, rows_of(plan), compression=compression)
        with h5py.File(path) as file:
            features = file["features"].id
            start = features.get_offset() if compression is None else features.get_chunk_info(3).byte_offset
        position = start + (3 * 5 * 4 * 2 if compression is None else 4)
        data = bytearray(path.read_bytes())
        data[position] ^= 0x40
        path.write_bytes(data)
        assert ShardReader(path).corrupt() == ["U_0003"]

    @pytest.mark.parametrize("left", [0, 100, 2_000, -1])
    def test_a_truncated_copy_is_refused(self, write, left):
        plan = plan_of((201, 16))
        path = write(plan, rows_of(plan))
        path.write_bytes(path.read_bytes()[:left])
        with pytest.raises(StoreError, match=f"^{path}: not a whole shard of SpoofCache"):
            ShardReader(path)

    def test_a_missing_shard_is_refused(self, tmp_path):
        with pytest.raises(StoreError, match=r"shard-00001\.h5: cannot be read \(No such file"):
            ShardReader(tmp_path / "shard-00001.h5")

    def test_any_other_hdf5_file_is_refused(self, tmp_path):
        path = tmp_path / "shard-00000.h5"
        with h5py.File(path, "w") as file:
            file["features"] = np.zeros(3)
        with pytest.raises(StoreError, match=f"^{path}: not a whole shard of SpoofCache"):
            ShardReader(path)

    @pytest.mark.parametrize("name", ["features", "utt_id", "checksum"])
    def test_parts_of_different_lengths_are_refused(self, write, name):
        plan = plan_of()
        path = write(plan, rows_of(plan))
        with changed(path) as file:
            shorter = file[name][:-1]
            del file[name]
            file[name] = shorter
        with pytest.raises(StoreError, match="features, utt_id and checksum are of different lengths"):
            ShardReader(path)


class TestBelonging:
    @pytest.mark.parametrize(
        ("changes", "index", "sentence"),
        [
            ({"identity": identity_of("float32")}, 0, "another identity: dtype is 'float16', expected 'float32'"),
            ({}, 1, "shard_index is 0; expected 1"),
            ({"trial_list_sha256": "0" * 64}, 0, "trial_list_sha256 is [0-9a-f]{64}; expected 0{64}"),
            ({"partition": "dev"}, 0, "partition is train; expected dev"),
            ({"corpus": "df"}, 0, "corpus is la; expected df"),
            ({"shard_size": 4}, 0, "shard_count is 1; expected 2"),
        ],
    )
    def test_a_shard_of_something_else_is_refused_naming_the_field(self, write, changes, index, sentence):
        plan = plan_of()
        path = write(plan, rows_of(plan))
        with pytest.raises(ShardMismatch, match=f"^{path}: .*{sentence}$"):
            ShardReader(path).require(replace(plan, **changes), index)

    def test_a_shard_that_does_not_say_is_refused(self, write):
        plan = plan_of()
        path = write(plan, rows_of(plan))
        with changed(path) as file:
            del file.attrs["corpus"]
        with pytest.raises(ShardMismatch, match="corpus is None; expected la"):
            ShardReader(path).require(plan, 0)


class TestNotCommitting:
    def test_an_abandoned_shard_leaves_nothing(self, tmp_path):
        plan = plan_of()
        writer = open_writer(plan.shard_path(tmp_path, 0), plan)
        writer.append(["U_0000"], rows_of(plan)[:1])
        writer.abandon()
        assert os.listdir(tmp_path) == []

    def test_abandoning_after_the_commit_does_nothing(self, tmp_path):
        plan = plan_of(n_trials=1)
        writer = open_writer(plan.shard_path(tmp_path, 0), plan)
        writer.append(["U_0000"], rows_of(plan))
        writer.commit()
        writer.abandon()
        assert os.listdir(tmp_path) == ["shard-00000.h5"]


FILL_THE_DISK = """
import os, resource, sys
from pathlib import Path
from spoofcache.features.plan import StoreError
from tests.features.test_store import open_writer, plan_of, rows_of

folder = Path(sys.argv[1])
plan = plan_of((100, 100), "float32", n_trials=20)  # 800,000 bytes of rows, some 300,000 when compressed
rows = rows_of(plan)
limits = [(None, 0), (None, 4_096), (None, 300_000), (None, 801_000), ("gzip", 0), ("gzip", 200_000)]
for compression, n_bytes in limits:
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, resource.RLIM_INFINITY))
    try:
        writer = open_writer(plan.shard_path(folder, 0), plan, compression)
        for i in range(20):
            writer.append([f"U_{i:04d}"], rows[i : i + 1])
        writer.commit()
    except StoreError as error:
        print(error, "|", os.listdir(folder))
"""


def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path):
    """A limit on the size of files refuses as a full disk does: at the first byte, at a row, or at the very end.

    In a process of its own, which must then end well: HDF5 crashes at exit over what it could not write.
    """
    program = [sys.executable, "-c", FILL_THE_DISK, str(tmp_path)]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    sentences = done.stdout.splitlines()
    assert len(sentences) == 6
    for sentence in sentences:
        assert sentence.startswith(f"{tmp_path}/shard-00000.h5: cannot be written (File too large); ")
        assert sentence.endswith(" GB are free there. Finished shards are kept | []")

"""What a back-end trains on: rows, labels and names out of a complete cache, and nothing out of any other."""

import os
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from spoofcache.features.augment.view import View
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.extract import make_identity
from spoofcache.features.plan import Identity, ShardMismatch, StoreError
from spoofcache.protocols.snapshot import snapshot
from tests.corpora import IDENTITY, make_trials, write_cache
from tests.features.frames import OPTIONS, Frames, extract, items

ROOT = Path(__file__).resolve().parents[2]
ROWS = np.random.default_rng(0).standard_normal((7, 5, 4)).astype("float16")


@pytest.fixture
def cache(tmp_path):
    """Seven trials with ROWS as their features, in one shard."""
    return write_cache(tmp_path / "train", make_trials(7), ROWS)


@pytest.fixture
def sharded(corpus, tmp_path):
    """`sharded(**options)`: ten utterances in shards of four, the third of them omitted."""

    def make(**options):
        trials = [replace(trial, path=None) if index == 2 else trial for index, trial in enumerate(corpus(10))]
        extract(trials, tmp_path / "cache", Frames(), replace(OPTIONS, skip_bad_audio=True, **options))
        return tmp_path / "cache"

    return make


def test_an_item_consists_of_features_label_and_utterance(cache):
    dataset = CachedFeatures(cache)
    assert len(dataset) == 7
    for index, (features, label, utt_id) in enumerate(items(dataset)):
        np.testing.assert_array_equal(features.numpy(), ROWS[index])
        assert (label, utt_id) == (int(index % 3 == 0), f"U_000{index}")


def test_the_trials_are_in_row_order_with_the_columns_of_the_protocol(cache):
    assert CachedFeatures(cache).trials == make_trials(7)


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_keys_are_joined_by_utterance_across_shards_and_gaps(sharded, compression):
    dataset = CachedFeatures(sharded(compression=compression))
    keys = {trial.utt_id: trial.label for trial in make_trials(10)}
    kept = [f"U_000{index}" for index in (0, 1, 3, 4, 5, 6, 7, 8, 9)]
    assert [(item.utt_id, item.label) for item in items(dataset)] == [(utt_id, keys[utt_id]) for utt_id in kept]
    assert [trial.utt_id for trial in dataset.trials] == kept


@pytest.mark.parametrize("index", [7, 100])
def test_an_index_beyond_the_end_is_an_error(cache, index):
    with pytest.raises(IndexError):
        CachedFeatures(cache)[index]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_floating_features_come_as_stored(tmp_path, dtype):
    identity = Identity({**IDENTITY.settings, "dtype": dtype})
    dataset = CachedFeatures(write_cache(tmp_path / "train", make_trials(7), ROWS, identity))
    assert dataset[0].features.dtype == getattr(torch, dtype)


def test_int16_waveforms_come_as_float32_of_full_scale_one(tmp_path):
    identity = Identity({**IDENTITY.settings, "dtype": "int16"})
    samples = np.array([[-32_768, 0, 16_384], [1, 2, 3]])
    dataset = CachedFeatures(write_cache(tmp_path / "train", make_trials(2), samples, identity))
    assert dataset[0].features.dtype == torch.float32
    assert dataset[0].features.tolist() == [-1.0, 0.0, 0.5]


def test_an_item_is_a_copy(cache):
    dataset = CachedFeatures(cache)
    dataset[0].features.zero_()
    np.testing.assert_array_equal(dataset[0].features.numpy(), ROWS[0])


@pytest.mark.parametrize("compression", [None, "lzf"])
def test_rows_are_copied_into_what_is_given(sharded, compression):
    dataset = CachedFeatures(sharded(compression=compression))
    out = np.zeros((3, 10, 100), np.float16)
    for index, row in zip((8, 0, 3), out, strict=True):
        dataset.copy_row(index, row)
    np.testing.assert_array_equal(out, [dataset[index].features.numpy() for index in (8, 0, 3)])
    assert dataset.is_mapped == (compression is None)


@pytest.mark.parametrize("compression", [None, "lzf"])
def test_loader_processes_read_the_same(sharded, compression):
    dataset = CachedFeatures(sharded(compression=compression))
    alone = torch.stack([item.features for item in items(dataset)])
    together = torch.cat([batch.features for batch in DataLoader(dataset, batch_size=4, num_workers=2)])
    assert torch.equal(together, alone)


def test_the_identity_asked_for_is_accepted(sharded):
    assert len(CachedFeatures(sharded(), make_identity(Frames(), OPTIONS))) == 9


def test_an_augmented_view_of_the_identity_asked_for_is_accepted(corpus, tmp_path):
    extract(corpus(3), tmp_path / "view", Frames(), replace(OPTIONS, view=View("gain", 0, 1)))
    assert CachedFeatures(tmp_path / "view", make_identity(Frames(), OPTIONS)).plan.identity.effect == "gain"


def test_another_identity_is_refused_naming_the_field(sharded):
    expected = make_identity(Frames(gains=(0.5,)), OPTIONS)
    with pytest.raises(ShardMismatch, match=r"another identity: front_end\.gains is \[1\.0\], expected \[0\.5\]$"):
        CachedFeatures(sharded(), expected)


def test_a_partition_that_is_not_complete_is_refused(sharded):
    folder = sharded()
    (folder / "manifest.json").unlink()
    with pytest.raises(StoreError, match=r"/cache: 3 finished shards but no manifest\.json; expected a complete"):
        CachedFeatures(folder)


def test_a_folder_that_is_no_cache_is_refused(tmp_path):
    with pytest.raises(StoreError, match=f"^{tmp_path}/nothing: no manifest.json; expected a complete cache"):
        CachedFeatures(tmp_path / "nothing")


def test_a_missing_shard_is_refused(sharded):
    folder = sharded()
    (folder / "shard-00001.h5").unlink()
    with pytest.raises(StoreError, match=r"shard-00001\.h5: cannot be read \(No such file or directory\)"):
        CachedFeatures(folder)


def test_shards_in_each_others_place_are_refused(sharded):
    folder = sharded()
    shutil.copy(folder / "shard-00001.h5", folder / "shard-00000.h5")
    with pytest.raises(ShardMismatch, match=r"shard-00000\.h5: shard_index is 1; expected 0$"):
        CachedFeatures(folder)


def test_a_shard_of_another_cache_is_refused(cache, tmp_path):
    other = write_cache(tmp_path / "dev", make_trials(7), ROWS)
    shutil.copy(other / "shard-00000.h5", cache / "shard-00000.h5")
    with pytest.raises(ShardMismatch, match=r"shard-00000\.h5: partition is dev; expected train$"):
        CachedFeatures(cache)


def test_keys_edited_after_the_extraction_are_refused(cache):
    trials = make_trials(7)
    trials[0] = replace(trials[0], key="spoof", attack="A01")
    (cache / "trials.tsv").write_bytes(snapshot(trials))
    with pytest.raises(ShardMismatch, match=r"trials\.tsv: another trial list than the requested one"):
        CachedFeatures(cache)


def test_a_cache_without_one_utterance_is_refused(corpus, tmp_path):
    trials = [replace(trial, path=None) for trial in corpus(3)]
    extract(trials, tmp_path / "cache", Frames(), replace(OPTIONS, skip_bad_audio=True))
    with pytest.raises(StoreError, match=f"^{tmp_path}/cache: every utterance was omitted; expected at least one$"):
        CachedFeatures(tmp_path / "cache")


def test_bare_h5py_and_the_dataset_read_the_same(cache):
    with h5py.File(cache / "shard-00000.h5") as file:
        bare = file["features"][:]
    np.testing.assert_array_equal(np.stack([item.features for item in items(CachedFeatures(cache))]), bare)


def test_reading_a_cache_never_imports_a_speech_model_or_a_decoder():
    top = "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    program = f"import sys, spoofcache.features.dataset; {top}"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"transformers", "av", "soundfile", "soxr", "librosa"} & set(done.stdout.split())


@pytest.mark.parametrize("compression", [None, "lzf"])
def test_a_row_that_changed_is_refused_by_name_when_it_is_first_read(sharded, compression):
    folder = sharded(compression=compression)
    flip_a_bit_of_the_first_row(folder / "shard-00001.h5")
    dataset = CachedFeatures(folder)
    first = next(index for index, trial in enumerate(dataset.trials) if trial.utt_id == "U_0004")
    dataset[first - 1]
    with pytest.raises(StoreError, match=r"shard-00001.h5: .*U_0004 changed|shard-00001.h5: row 0 cannot be unpacked"):
        dataset[first]


def test_a_compressed_shard_that_was_made_anew_is_read_anew(sharded, tmp_path):
    folder = sharded(compression="lzf")
    shard, whole = folder / "shard-00001.h5", tmp_path / "whole.h5"
    shutil.copy(shard, whole)
    flip_a_bit_of_the_first_row(shard)
    with pytest.raises(StoreError):
        items(CachedFeatures(folder))
    os.replace(whole, shard)  # as a shard is committed
    assert len(items(CachedFeatures(folder))) == 9


@pytest.mark.parametrize("value", [np.nan, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_row_of_values_that_are_no_numbers_is_refused_by_name(tmp_path, value, dtype):
    rows = ROWS.astype(dtype)
    rows[3, 1, 2] = value
    identity = Identity({**IDENTITY.settings, "dtype": dtype})
    dataset = CachedFeatures(write_cache(tmp_path / "train", make_trials(7), rows, identity))
    dataset[2]
    with pytest.raises(StoreError, match=r"utterance U_0003 contains NaN or infinity.*--verify"):
        dataset[3]


def test_a_shard_that_is_cut_short_under_a_reader_is_a_sentence(cache):
    """To read beyond the end of a mapped file would end the process without a word."""
    dataset = CachedFeatures(cache)
    dataset[0]
    with (cache / "shard-00000.h5").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(StoreError, match=r"shard-00000.h5: was cut short after it was opened, to 100 bytes"):
        dataset[6]


@pytest.mark.parametrize("compression", [None, "lzf"])
def test_a_cache_may_have_more_shards_than_a_process_may_open_files(corpus, tmp_path, monkeypatch, compression):
    monkeypatch.setattr("spoofcache.features.plan.SHARD_ROWS", 1)
    monkeypatch.setattr("spoofcache.features.rows.OPEN_FILES", 3)
    extract(corpus(60), tmp_path / "cache", Frames(), replace(OPTIONS, compression=compression))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/dev/fd")) + 20, limit[1]))
    try:
        dataset = CachedFeatures(tmp_path / "cache")
        assert len(list(items(dataset))) == 60
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


def test_a_lack_of_descriptors_is_no_reason_to_delete_a_shard(cache):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limit[1]))
    try:
        with pytest.raises((StoreError, OSError)) as refusal:
            CachedFeatures(cache)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert "Too many open files" in str(refusal.value)
    assert "delete" not in str(refusal.value)


def test_equal_features_have_equal_digests(tmp_path):
    other = ROWS.copy()
    other[6, 4, 3] += 1
    one, two, three = (
        CachedFeatures(write_cache(tmp_path / name, make_trials(7), rows)).content_digest
        for name, rows in (("a", ROWS), ("b", ROWS), ("c", other))
    )
    assert one == two != three


def flip_a_bit_of_the_first_row(path):
    with h5py.File(path) as file:
        features = file["features"].id
        contiguous = features.get_offset()
        place = features.get_chunk_info(0).byte_offset if contiguous is None else contiguous
    data = bytearray(path.read_bytes())
    data[place + 3] ^= 16
    path.write_bytes(data)

"""Batches by row number: the same ones from wherever the features live, and each row read once where they stay."""

import numpy as np
import pytest
import torch

from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.feed import Feed, fitting_place, rows_in_order
from spoofcache.features.plan import Identity, StoreError
from tests.corpora import IDENTITY, make_trials, write_cache

CPU = torch.device("cpu")
PLACES = ["device", "pinned", "mapped"]
ROWS = np.random.default_rng(0).standard_normal((12, 5, 4)).astype("float16")


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Seven and five utterances, in shards of three; their rows are ROWS."""
    monkeypatch.setattr("spoofcache.features.plan.SHARD_ROWS", 3)
    folders = [
        write_cache(tmp_path / "a", make_trials(7, "A"), ROWS[:7]),
        write_cache(tmp_path / "b", make_trials(5, "B"), ROWS[7:]),
    ]
    return [CachedFeatures(folder) for folder in folders]


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    return CPU if request.param == "cpu" else request.getfixturevalue("gpu")


@pytest.mark.parametrize("place", PLACES)
def test_rows_are_numbered_through_all_partitions(parts, device, place):
    asked = [[0, 7, 11], [6, 6, 2], [11], [3, 4, 5, 0]]
    feed = Feed(parts, device, place)
    for _ in range(2):  # first read, then as they were kept
        for rows, batch in zip(asked, feed.batches(asked), strict=True):
            assert (batch.features.device.type, batch.label.device.type) == (device.type, "cpu")
            np.testing.assert_array_equal(batch.features.cpu().numpy(), ROWS[rows])
            assert batch.label.tolist() == [int((row if row < 7 else row - 7) % 3 == 0) for row in rows]
            assert list(batch.rows) == rows
    assert [feed.utt_id(row) for row in (0, 6, 7, 11)] == ["A_0000", "A_0006", "B_0000", "B_0004"]


@pytest.mark.parametrize(("batch_size", "sizes"), [(5, [5, 5, 2]), (12, [12]), (100, [12])])
def test_in_order_every_row_comes_once(parts, batch_size, sizes):
    batches = list(Feed(parts, CPU).batches(rows_in_order(12, batch_size)))
    assert [len(batch.rows) for batch in batches] == sizes
    np.testing.assert_array_equal(torch.cat([batch.features for batch in batches]).numpy(), ROWS)


@pytest.mark.parametrize(("place", "reads"), [("device", 12), ("pinned", 12), ("mapped", 24)])
def test_what_is_kept_is_read_once(parts, monkeypatch, place, reads):
    read, copy_row = [], CachedFeatures.copy_row

    def counting(self, index, out):
        read.append(index)
        copy_row(self, index, out)

    monkeypatch.setattr(CachedFeatures, "copy_row", counting)
    feed = Feed(parts, CPU, place)
    for _ in range(2):
        list(feed.batches(rows_in_order(12, 5)))
    assert len(read) == reads


@pytest.mark.parametrize("place", PLACES)
def test_int16_waveforms_come_as_float32_of_full_scale_one(tmp_path, place):
    samples = np.array([[-32_768, 0, 16_384], [1, 2, 3]])
    identity = Identity({**IDENTITY.settings, "dtype": "int16"})
    cache = CachedFeatures(write_cache(tmp_path / "train", make_trials(2), samples, identity))
    (batch,) = Feed([cache], CPU, place).batches([[0]])
    assert batch.features.tolist() == [[-1.0, 0.0, 0.5]]


def test_a_batch_is_a_copy(parts):
    for place in PLACES:
        feed = Feed(parts, CPU, place)
        for _ in range(2):
            (batch,) = feed.batches([[1, 2]])
            np.testing.assert_array_equal(batch.features.numpy(), ROWS[[1, 2]])
            batch.features.zero_()


def test_one_batch_is_read_ahead_and_no_more(parts):
    asked = []

    def rows():
        for row in range(6):
            asked.append(row)
            yield [row]

    batches = Feed(parts, CPU).batches(rows())
    next(batches)
    assert asked == [0, 1]
    next(batches)
    assert asked == [0, 1, 2]
    batches.close()


def test_a_row_that_is_not_there_ends_the_reader_too(parts):
    with pytest.raises(IndexError):
        list(Feed(parts, CPU).batches([[0], [12]]))


def test_on_a_cpu_uncompressed_features_stay_in_the_page_cache(parts):
    feed = Feed(parts, CPU)
    assert (feed.place, feed.n_bytes) == ("mapped", 12 * 5 * 4 * 2)
    assert str(feed) == "12 rows, 0.00 GB, in the page cache, through memory maps"


@pytest.mark.parametrize(("available", "place"), [(960, "device"), (959, "mapped")])
def test_what_would_be_unpacked_anew_is_kept_where_it_takes_half_of_the_memory_at_most(
    parts, monkeypatch, available, place
):
    monkeypatch.setattr("spoofcache.features.feed.available_memory", lambda: available)
    parts[1].is_mapped = False  # as of compressed shards; tests/features/test_dataset.py
    assert Feed(parts, CPU).place == place


def test_features_too_large_for_the_gpu_are_refused_in_a_sentence(parts, monkeypatch):
    def full(*size, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(StoreError, match=r"a: 0\.00 GB of features do not fit .*; expected train\.features=auto"):
        Feed(parts, CPU, "device")


def test_pinned_memory_comes_in_powers_of_two():
    # 9 bytes take 16, 8 take 8
    assert [fitting_place(n, device_bytes=0, host_bytes=31) for n in (8, 9)] == ["pinned", "mapped"]
    assert fitting_place(9, device_bytes=0, host_bytes=32) == "pinned"


@pytest.mark.parametrize(("place", "ends_in"), [("auto", "mapped"), ("pinned", "")])
def test_where_memory_cannot_be_pinned_auto_maps_the_rows(parts, gpu, monkeypatch, place, ends_in):
    empty = torch.empty

    def refuses_to_pin(*size, pin_memory=False, **options):
        if pin_memory and size[0] == 12:
            raise torch.AcceleratorError("CUDA error: OS call failed or operation not supported on this OS")
        return empty(*size, pin_memory=pin_memory, **options)

    monkeypatch.setattr("spoofcache.features.feed._free_on_gpu", lambda device: 0)
    monkeypatch.setattr(torch, "empty", refuses_to_pin)
    if not ends_in:
        with pytest.raises(
            StoreError, match=r"do not fit into pinned memory, .*; expected train\.features=auto or mapped"
        ):
            Feed(parts, gpu, place)
        return
    feed = Feed(parts, gpu, place)
    assert feed.place == ends_in
    (batch,) = feed.batches([[0, 11]])
    np.testing.assert_array_equal(batch.features.cpu().numpy(), ROWS[[0, 11]])

"""A cache takes a corrected or a longer protocol: features that are there stay, byte for byte."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from spoofcache.common import files
from spoofcache.features import trial_list as module
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.plan import ShardMismatch, StoreError
from spoofcache.features.store import ShardReader
from spoofcache.features.verify import verify_partition
from tests.features.frames import OPTIONS, Frames, by_hand, extract, items
from tests.features.shards import changed

RELABEL, REPAIR = replace(OPTIONS, relabel=True), replace(OPTIONS, repair=True)


@pytest.fixture
def old(corpus, tmp_path):
    """The first ten of 18 trials, cached in shards of four, four and two."""
    trials = corpus(18)
    extract(trials[:10], tmp_path / "cache", Frames())
    return trials


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def shards(folder):
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("shard-*.h5")}


def corrected(trials):
    """The same utterances: the first one is spoof now, all have another speaker, and there is a column more."""
    first = replace(trials[0], key="spoof", attack="A07")
    return [replace(trial, speaker="new", conditions={"codec": "mp3"}) for trial in (first, *trials[1:])]


def values(folder):
    return np.stack([item.features.float().numpy() for item in items(CachedFeatures(folder))])


def test_new_labels_and_columns_leave_every_shard_as_it_is(old, folder):
    before, trials = shards(folder), corrected(old[:10])
    done = extract(trials, folder, Frames(), RELABEL)
    assert (done.made, done.found) == (0, 3)
    assert shards(folder) == before
    cache = CachedFeatures(folder)
    assert [(trial.label, trial.attack, trial.speaker) for trial in cache.trials[:2]] == [
        (0, "A07", "new"),
        (0, old[1].attack, "new"),
    ]
    assert all(trial.conditions == {"codec": "mp3"} for trial in cache.trials)
    assert verify_partition(folder) == []
    assert extract(trials, folder, Frames()).made == 0  # and the plain command finds it finished


def test_without_the_option_another_list_is_refused_with_a_hint(old, folder):
    with pytest.raises(ShardMismatch, match="Pass --relabel if the utterances are the same"):
        extract(corrected(old[:10]), folder, Frames())


def test_a_longer_protocol_makes_the_new_rows_and_the_partly_filled_shard(old, folder):
    before, front_end = shards(folder), Frames()
    done = extract(corrected(old), folder, front_end, RELABEL)
    assert (done.made, done.found) == (3, 2)
    assert front_end.seen == 10  # two of the partly filled shard, and the eight new ones
    kept = ("shard-00000.h5", "shard-00001.h5")
    assert {name: shards(folder)[name] for name in kept} == {name: before[name] for name in kept}
    np.testing.assert_allclose(values(folder), by_hand(old), atol=1e-3)
    assert verify_partition(folder) == []


def test_lists_may_be_replaced_again_and_again(old, folder):
    for trials, made in ((old[:11], 1), (corrected(old[:11]), 0), (old[:11], 0), (old, 3)):
        assert extract(trials, folder, Frames(), RELABEL).made == made
        assert verify_partition(folder) == []
    np.testing.assert_allclose(values(folder), by_hand(old), atol=1e-3)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: [t[1], t[0], *t[2:10]], r"trials\.tsv:2: utterance U_0000, where the protocol has utterance U_0001"),
        (lambda t: t[:9], r"trials\.tsv:11: utterance U_0009, where the protocol has no utterance"),
        (
            lambda t: [*t[:5], t[12], *t[5:10]],
            r"trials\.tsv:7: utterance U_0005, where the protocol has utterance U_0012",
        ),
    ],
)
def test_other_utterances_are_refused_and_nothing_changes(old, folder, change, sentence):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ShardMismatch, match=sentence):
        extract(change(old), folder, Frames(), RELABEL)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_list_that_was_edited_by_hand_is_taken_back(old, folder):
    table = folder / "trials.tsv"
    table.write_text(table.read_text().replace("A01", "A99"))
    assert extract(old[:10], folder, Frames(), RELABEL).made == 0
    assert verify_partition(folder) == []


def test_a_list_is_not_replaced_beside_a_process_that_makes_shards(old, folder):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with files.occupied(folder, alone=False):  # as an extraction does
        assert extract(old[:10], folder, Frames()).found == 3
        with pytest.raises(
            StoreError, match=r"cache: another preprocess\.py is writing shards there; run this command"
        ):
            extract(corrected(old[:10]), folder, Frames(), RELABEL)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    refusal = pytest.raises(StoreError, match=r"another preprocess\.py is replacing the trial list \(--relabel\)")
    with files.occupied(folder, alone=True), refusal:
        extract(old[:10], folder, Frames())
    assert extract(corrected(old[:10]), folder, Frames(), RELABEL).found == 3


def test_while_shards_are_made_the_list_is_held(old, folder):
    class Curious(Frames):
        def extract(self, waveforms):
            with pytest.raises(BlockingIOError), files.occupied(folder, alone=True):
                pass
            return super().extract(waveforms)

    assert extract(old, folder, Curious(), RELABEL).made == 3


def test_a_finished_shard_is_opened_once(old, folder, monkeypatch):
    opened = []
    real = ShardReader.__init__

    def remember(self, path):
        opened.append(path.name)
        real(self, path)

    monkeypatch.setattr(ShardReader, "__init__", remember)
    extract(old[:10], folder, Frames())
    assert opened == ["shard-00000.h5", "shard-00001.h5", "shard-00002.h5"]


@pytest.mark.parametrize("n_new", [0, 8])
@pytest.mark.parametrize("moment", range(8))
def test_stopped_at_any_moment_it_is_the_old_cache_or_finished_by_the_same_command(
    old, folder, moment, n_new, monkeypatch
):
    """Every rename is a moment; what is before the first one is the old cache."""
    trials, real, renames = corrected(old[: 10 + n_new]), files.os.replace, []

    def replace_until(source, target):
        if len(renames) == moment:
            raise KeyboardInterrupt
        renames.append(target)
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", replace_until)
        try:
            extract(trials, folder, Frames(), RELABEL)
        except KeyboardInterrupt:
            if len(renames) < 1:
                assert verify_partition(folder) == []  # still the old one
    assert not list(folder.glob(".*"))
    extract(trials, folder, Frames(), RELABEL)
    assert verify_partition(folder) == []
    assert [trial.speaker for trial in CachedFeatures(folder).trials] == ["new"] * len(trials)
    np.testing.assert_allclose(values(folder), by_hand(trials), atol=1e-3)


@pytest.mark.parametrize("text", ["{", "[]", '{"a": "b"}', '{"a": -1}', "[" * 100_000])
def test_a_damaged_table_of_earlier_lists_is_named(old, folder, text):
    (folder / module.EARLIER_LISTS).write_text(text)
    with pytest.raises(StoreError, match=r"earlier_lists\.json: not a table of earlier trial lists"):
        CachedFeatures(folder)


class TestRepair:
    def test_damaged_shards_are_made_anew_and_no_others(self, old, folder, tmp_path):
        shutil.copytree(folder, tmp_path / "before")
        path = folder / "shard-00001.h5"
        data = bytearray(path.read_bytes())
        data[ShardReader(path).layout.offset + 3] ^= 1
        path.write_bytes(data)
        before = shards(folder)
        assert extract(old[:10], folder, Frames()).made == 0  # finished shards are not read without being asked to
        done = extract(old[:10], folder, Frames(), REPAIR)
        assert (done.made, done.found) == (1, 2)
        assert {name for name in before if shards(folder)[name] != before[name]} == {path.name}
        for made in folder.iterdir():
            assert made.read_bytes() == (tmp_path / "before" / made.name).read_bytes()

    @pytest.mark.parametrize("content", [b"", b"no shard", None])
    def test_a_file_that_is_no_shard_is_made_anew(self, old, folder, content):
        path = folder / "shard-00002.h5"
        path.write_bytes(path.read_bytes()[:-30] if content is None else content)
        with pytest.raises(StoreError, match="with --repair, which recomputes damaged shards"):
            extract(old[:10], folder, Frames())
        assert extract(old[:10], folder, Frames(), REPAIR).made == 1
        assert verify_partition(folder) == []

    def test_a_row_that_is_not_made_of_numbers_is_found_and_made_anew(self, old, folder):
        with changed(folder / "shard-00000.h5") as file:
            file["features"][2, 0, 0] = np.nan
            file["checksum"][2] = module_crc(file["features"][2])
        (problem,) = verify_partition(folder)
        assert "the values of 1 row have changed since they were written, or are not numbers, first U_0002" in problem
        assert extract(old[:10], folder, Frames(), REPAIR).made == 1
        assert verify_partition(folder) == []

    def test_another_cache_in_its_place_is_never_overwritten(self, old, folder, tmp_path):
        extract(old[:10], tmp_path / "other", Frames((0.5,)))
        shutil.copy(tmp_path / "other/shard-00000.h5", folder)
        with pytest.raises(ShardMismatch, match=r"front_end\.gains"):
            extract(old[:10], folder, Frames(), REPAIR)


def module_crc(row):
    """As the standard library counts it, independent of the code under test."""
    import zlib

    return zlib.crc32(np.ascontiguousarray(row).tobytes())

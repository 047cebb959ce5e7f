"""What happens between files and shards; the numbers that come out are in test_extract.py."""

from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from spoofcache.common.files import Claim
from spoofcache.features.decoding import Decoders
from spoofcache.features.device import Device, Pace
from spoofcache.features.pipeline import OpenShard, Pipeline, _InFlight
from spoofcache.features.plan import StoreError
from spoofcache.features.store import ShardReader, ShardWriter
from spoofcache.features.waveform import AudioError
from tests.features.frames import OPTIONS, Frames, by_hand, plan_for


def open_shard(folder, trials, missing=(), index=0):
    """Shard `index` of a partition, all of whose shards are of that size."""
    plan = plan_for([*trials] * (index + 1), Frames(), shard_size=len(trials))
    claim = Claim.take(plan.shard_path(folder, index))
    assert claim is not None
    return OpenShard(ShardWriter(claim, plan, index), trials, dict.fromkeys(missing, "missing"))


class Spoils(Frames):
    """A front-end that makes one value of one utterance, counted over all batches, unfit."""

    def __init__(self, utterance, value):
        super().__init__()
        self.utterance, self.value = utterance, value

    def extract(self, waveforms):
        before, features = self.seen, super().extract(waveforms).clone()
        if before <= self.utterance < self.seen:
            features[self.utterance - before, 3, 5] = self.value
        return features


@contextmanager
def pipeline(frontend, skip_bad_audio=False, advance=lambda n: None):
    device = Device(torch.device("cpu"), frontend.extract, "float16")
    with (
        Decoders(OPTIONS.form, 2, False) as decoders,
        Pipeline(decoders, device, skip_bad_audio, Pace(), advance) as running,
    ):
        yield running


def trials_of(running, *shards):
    """The trials of some shards, each of which is opened ahead of its own."""
    for shard in shards:
        running.open(shard)
        yield from (trial for trial in shard.group if trial.utt_id not in shard.reasons)


class TestOpenShard:
    def test_it_is_whole_when_every_utterance_is_written_or_omitted(self, corpus, tmp_path):
        trials = corpus(4)
        shard = open_shard(tmp_path, trials, missing=["U_0003"])
        shard.add(trials[:2], by_hand(trials[:2]).astype("float16"), [f"{trials[0].path}: broken", ""])
        assert not shard.is_whole
        shard.add(trials[2:3], by_hand(trials[2:3]).astype("float16"), [""])
        assert shard.is_whole
        shard.commit()
        reader = ShardReader(tmp_path / "shard-00000.h5")
        assert reader.utt_ids == ["U_0001", "U_0002"]
        assert list(reader.skipped.items()) == [("U_0000", "U_0000.flac: broken"), ("U_0003", "missing")]

    def test_one_without_any_audio_is_whole_from_the_start(self, corpus, tmp_path):
        trials = corpus(2)
        shard = open_shard(tmp_path, trials, missing=["U_0000", "U_0001"])
        assert shard.is_whole
        shard.commit()
        assert list(ShardReader(tmp_path / "shard-00000.h5").skipped) == ["U_0000", "U_0001"]


class TestPipeline:
    def test_a_shard_is_committed_when_its_last_batch_is_written(self, corpus, tmp_path):
        shard, heard = open_shard(tmp_path, corpus(7)), []
        with pipeline(Frames(), advance=heard.append) as running:
            running.run(trials_of(running, shard))
        assert ShardReader(tmp_path / "shard-00000.h5").corrupt() == []
        assert heard == [3, 3, 1]

    def test_an_error_leaves_no_shard_that_lacks_a_row(self, corpus, tmp_path):
        shard = open_shard(tmp_path, corpus(7))
        with pytest.raises(StoreError, match="does not fit"), pipeline(Frames(gains=(1e6,))) as running:
            running.run(trials_of(running, shard))
        shard.writer.abandon()
        assert not (tmp_path / "shard-00000.h5").exists()

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e6])
    def test_a_row_that_the_front_end_spoils_is_omitted_where_bad_audio_is(self, corpus, tmp_path, bad):
        trials = corpus(7)
        shard = open_shard(tmp_path, trials)
        with pipeline(Spoils(4, bad), skip_bad_audio=True) as running:
            running.run(trials_of(running, shard))
        reader = ShardReader(tmp_path / "shard-00000.h5")
        assert reader.utt_ids == [trial.utt_id for trial in trials if trial.utt_id != "U_0004"]
        assert reader.skipped["U_0004"].startswith(f"a feature of magnitude {bad} does not fit float16")
        assert ("--precision" in reader.skipped["U_0004"]) == (bad != 1e6)

    def test_a_front_end_that_spoils_a_whole_batch_is_no_fault_of_the_audio(self, corpus, tmp_path):
        shard = open_shard(tmp_path, corpus(8))
        device = Device(torch.device("cpu"), Frames(gains=(1e6,)).extract, "float16")
        with (
            pytest.raises(StoreError, match=r"^utterance U_0000: a feature of magnitude"),
            Decoders(replace(OPTIONS, batch_size=4).form, 1, False) as decoders,
            Pipeline(decoders, device, True, Pace(), lambda n: None) as running,
        ):
            running.run(trials_of(running, shard))
        shard.writer.abandon()

    def test_silent_constant_and_clipped_recordings_are_counted(self, corpus, tmp_path):
        trials = corpus(7)
        square = np.sign(np.sin(np.arange(8_000) / 50))
        for trial, samples in zip(trials, (0 * square, 0 * square + 0.5, square, 1e-4 * square), strict=False):
            soundfile.write(trial.path, samples, 16_000)
        with pipeline(Frames()) as running:
            running.run(trials_of(running, open_shard(tmp_path, trials)))
        assert running.unusual == {"silent": 2, "constant": 1, "clipped": 1}

    def test_bad_audio_stops_it_before_the_front_end_sees_the_batch(self, corpus, tmp_path):
        trials, frontend = corpus(7), Frames()
        shard = open_shard(tmp_path, trials)
        trials[4].path.write_text("no audio")
        with pytest.raises(AudioError, match=r"U_0004\.flac"), pipeline(frontend) as running:
            running.run(trials_of(running, shard))
        shard.writer.abandon()
        assert frontend.batches == [3]

    def test_what_was_launched_is_written_though_it_is_interrupted(self, corpus, tmp_path):
        shards = open_shard(tmp_path, corpus(3)), open_shard(tmp_path, corpus(4)[3:], index=1)
        with pytest.raises(KeyboardInterrupt), pipeline(Frames(break_at=4)) as running:
            running.run(trials_of(running, *shards))
        shards[1].writer.abandon()
        assert len(ShardReader(tmp_path / "shard-00000.h5").utt_ids) == 3


@pytest.mark.parametrize(("n_bytes", "in_flight"), [(2**30, 5), (1, 1)])
def test_few_large_batches_are_in_flight(monkeypatch, n_bytes, in_flight):
    monkeypatch.setattr("spoofcache.features.pipeline.BYTES_IN_FLIGHT", n_bytes)
    with pipeline(Frames()) as running:
        launched = Device(torch.device("cpu"), Frames().extract, "float16").launch(np.ones((3, 1_000), np.float32))
        while not running._is_full():
            running._in_flight.append(_InFlight(launched, {}, 3, Future()))
    assert len(running._in_flight) == in_flight

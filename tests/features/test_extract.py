"""From trials to shards: the same numbers however often it is interrupted, and whoever else is at it."""

from spoofcache.common.signals import Interrupted, postponed, raised_as_interrupts

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from itertools import count
from pathlib import Path
from pkgutil import resolve_name
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from spoofcache.common.files import Claim
from spoofcache.features import device, pipeline
from spoofcache.features import extract as module
from spoofcache.features.augment.view import View
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.extract import make_identity
from spoofcache.features.extract_options import ExtractOptions
from spoofcache.features.frontends import make_frontend
from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.features.plan import ShardMismatch, StoreError
from spoofcache.features.store import ShardReader
from spoofcache.features.waveform import AudioError, fit_length, load_waveform
from tests.features.frames import OPTIONS, Frames, by_hand, extract, items, plan_for
from tests.features.shards import changed
from tests.limits import file_size_limit

ROOT = Path(__file__).resolve().parents[2]
SKIP = replace(OPTIONS, skip_bad_audio=True)
EXACT = replace(OPTIONS, dtype="float32")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def stored(folder):
    """All rows of a complete partition, as stored."""
    return np.stack([item.features.numpy() for item in items(CachedFeatures(folder))])


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestNumbers:
    def test_the_cache_holds_what_the_front_end_makes_of_each_utterance(self, corpus, tmp_path):
        trials = corpus(10)
        done = extract(trials, tmp_path / "cache", Frames(), EXACT)
        assert done[:3] == (3, 0, {})
        np.testing.assert_array_equal(stored(tmp_path / "cache"), by_hand(trials))

    def test_lfcc_of_one_utterance_at_a_time_is_the_same(self, corpus, tmp_path):
        trials, lfcc = corpus(5), make_frontend("lfcc", FrontEndOptions())
        extract(trials, tmp_path / "cache", lfcc, ExtractOptions(dtype="float32", batch_size=4))
        waveforms = [torch.from_numpy(fit_length(load_waveform(trial.path)))[None] for trial in trials]
        alone = torch.cat([lfcc.extract(waveform) for waveform in waveforms]).numpy()
        assert alone.shape == (5, 404, 60)
        np.testing.assert_allclose(stored(tmp_path / "cache"), alone, rtol=0, atol=1e-5 * np.abs(alone).max())

    @pytest.mark.parametrize("changes", [{"batch_size": 1}, {"batch_size": 64}, {"workers": 5}])
    def test_batches_and_threads_change_no_byte(self, corpus, tmp_path, changes):
        trials = corpus(10)
        for name, options in {"a": OPTIONS, "b": replace(OPTIONS, **changes)}.items():
            extract(trials, tmp_path / name, Frames(), options)
        assert contents(tmp_path / "a") == contents(tmp_path / "b")

    def test_a_gpu_changes_no_byte(self, corpus, tmp_path, gpu):
        trials = corpus(10)
        for name, options in {"a": OPTIONS, "b": replace(OPTIONS, device=gpu)}.items():
            extract(trials, tmp_path / name, Frames(gains=(1, 0.5)), options)  # exact in any arithmetic
        assert contents(tmp_path / "a") == contents(tmp_path / "b")

    def test_processes_that_decode_change_no_byte(self, corpus, tmp_path, monkeypatch):
        trials = corpus(10)
        extract(trials, tmp_path / "threads", Frames())
        monkeypatch.setattr(module, "PROCESSES_FROM", 1)
        extract(trials, tmp_path / "processes", Frames())
        assert contents(tmp_path / "threads") == contents(tmp_path / "processes")

    def test_every_batch_but_the_last_is_full_though_shards_end_and_files_are_missing(self, corpus, tmp_path):
        trials = [replace(trial, path=None) if index in (2, 3, 9) else trial for index, trial in enumerate(corpus(16))]
        frontend = Frames()
        extract(trials, tmp_path / "cache", frontend, replace(SKIP, batch_size=5))
        assert frontend.batches == [5, 5, 3]

    def test_a_short_utterance_is_repeated_or_filled_with_zeros(self, corpus, tmp_path):
        trials = corpus(1)  # 8,000 samples
        for fit in ("repeat", "zero"):
            extract(trials, tmp_path / fit, Frames(), ExtractOptions(n_samples=10_000, fit=fit, dtype="float32"))
        repeated, filled = stored(tmp_path / "repeat")[0].ravel(), stored(tmp_path / "zero")[0].ravel()
        np.testing.assert_array_equal(repeated[8_000:], repeated[:2_000])
        np.testing.assert_array_equal(filled, np.concatenate([repeated[:8_000], np.zeros(2_000)]))

    def test_several_layers_make_four_dimensions(self, corpus, tmp_path):
        trials = corpus(3)
        extract(trials, tmp_path / "cache", Frames(gains=(1.0, 0.5)), EXACT)
        rows = stored(tmp_path / "cache")
        assert rows.shape == (3, 2, 10, 100)
        np.testing.assert_array_equal(rows, np.stack([by_hand(trials), by_hand(trials) / 2], axis=1))

    @pytest.mark.parametrize("compression", ["lzf", "gzip"])
    def test_a_compressed_cache_holds_the_same(self, corpus, tmp_path, compression):
        trials = corpus(5)
        extract(trials, tmp_path / "cache", Frames(), replace(EXACT, compression=compression))
        np.testing.assert_array_equal(stored(tmp_path / "cache"), by_hand(trials))

    @pytest.mark.parametrize(
        ("dtype", "stored_as"), [(None, "float16"), ("float16", "float16"), ("float32", "float32")]
    )
    def test_features_are_stored_in_half_precision_unless_asked_otherwise(self, corpus, tmp_path, dtype, stored_as):
        trials = corpus(2)
        extract(trials, tmp_path / "cache", Frames(), replace(OPTIONS, dtype=dtype))
        rows = ShardReader(tmp_path / "cache/shard-00000.h5").features
        np.testing.assert_array_equal(rows[:], by_hand(trials).astype(stored_as))
        assert rows.dtype == stored_as

    def test_waveforms_stored_as_int16_are_those_of_the_files(self, corpus, tmp_path):
        trials, raw = corpus(2), make_frontend("raw", FrontEndOptions())
        extract(trials, tmp_path / "cache", raw, replace(OPTIONS, dtype="int16"))
        np.testing.assert_array_equal(stored(tmp_path / "cache"), by_hand(trials).reshape(2, -1))

    @pytest.mark.parametrize(
        ("frontend", "dtype", "sentence"),
        [
            ("raw", "float16", "--dtype float16 for raw; expected float32 or int16"),
            ("lfcc", "int16", "--dtype int16 for lfcc; expected float16 or float32"),
        ],
    )
    def test_a_type_that_does_not_suit_the_front_end_is_refused(self, frontend, dtype, sentence):
        with pytest.raises(StoreError, match=f"^{sentence}$"):
            make_identity(make_frontend(frontend, FrontEndOptions()), replace(OPTIONS, dtype=dtype))

    def test_a_number_that_does_not_fit_stops_with_the_name_of_the_utterance(self, corpus, tmp_path):
        with pytest.raises(StoreError, match=r"^utterance U_000[0-2]: a feature of magnitude .* does not fit float16"):
            extract(corpus(3), tmp_path / "cache", Frames(gains=(1e6,)))
        assert names(tmp_path / "cache") == ["trials.tsv"]

    def test_every_option_that_changes_a_number_changes_the_identity(self):
        options = [OPTIONS, replace(OPTIONS, fit="zero"), replace(OPTIONS, n_samples=2_000), EXACT]
        options += [replace(OPTIONS, view=View("gain", seed, number)) for seed, number in ((0, 1), (0, 2), (1, 1))]
        digests = {make_identity(Frames(), how).digest for how in options}
        assert len({*digests, make_identity(Frames(gains=(2.0,)), OPTIONS).digest}) == 8

    @pytest.mark.parametrize("changes", [{"batch_size": 1}, {"workers": 9}, {"skip_bad_audio": True}])
    def test_options_that_change_no_number_do_not(self, changes):
        assert make_identity(Frames(), replace(OPTIONS, **changes)) == make_identity(Frames(), OPTIONS)


class TestAudio:
    """A cache knows what it was made from: other audio under the same names is not `already complete`."""

    def test_changed_audio_is_refused_by_name(self, corpus, tmp_path):
        trials = corpus(10)
        extract(trials, tmp_path / "cache", Frames())
        change(trials[5])
        with pytest.raises(ShardMismatch, match=r"shard-00001.h5: the row of utterance U_0005 was made from other"):
            extract(trials, tmp_path / "cache", Frames())

    def test_audio_of_the_same_size_is_compared_by_content(self, corpus, tmp_path):
        trials = corpus(10)
        extract(trials, tmp_path / "cache", Frames())
        data = bytearray(trials[9].path.read_bytes())
        data[-1] ^= 1
        trials[9].path.write_bytes(data)
        with pytest.raises(ShardMismatch, match="utterance U_0009 was made from other audio"):
            extract(trials, tmp_path / "cache", Frames())

    def test_the_same_audio_in_another_folder_is_the_same(self, corpus, tmp_path):
        trials = corpus(10)
        extract(trials, tmp_path / "cache", Frames())
        (tmp_path / "moved").mkdir()
        moved = [replace(trial, path=shutil.copy(trial.path, tmp_path / "moved")) for trial in trials]
        moved = [replace(trial, path=Path(trial.path)) for trial in moved]
        assert extract(moved, tmp_path / "cache", Frames())[:3] == (0, 3, {})

    def test_trust_audio_omits_the_comparison_of_the_audio(self, corpus, tmp_path):
        trials = corpus(10)
        extract(trials, tmp_path / "cache", Frames())
        change(trials[5])
        assert extract(trials, tmp_path / "cache", Frames(), replace(OPTIONS, trust_audio=True))[:3] == (0, 3, {})

    def test_a_shard_of_an_earlier_edition_knows_nothing_of_its_audio(self, corpus, tmp_path):
        trials = corpus(4)
        extract(trials, tmp_path / "cache", Frames())
        with changed(tmp_path / "cache/shard-00000.h5") as file:
            del file["audio"]
        change(trials[2])
        assert extract(trials, tmp_path / "cache", Frames())[:3] == (0, 1, {})


def change(trial):
    """Another recording under the same name."""
    soundfile.write(trial.path, np.zeros(9_000, np.int16), 16_000)


class TestRoom:
    def test_a_finished_cache_is_not_written_to(self, corpus, tmp_path, monkeypatch):
        """It may lie on a disk that is read only."""
        trials = corpus(10)
        extract(trials, tmp_path / "cache", Frames())

        def refuse(*_):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        def open_to_read(path, flags, *mode, really=os.open, **keywords):
            return (
                refuse() if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) else really(path, flags, *mode, **keywords)
            )

        for name in ("mkdir", "replace", "unlink", "remove", "rename"):
            monkeypatch.setattr(os, name, refuse)
        monkeypatch.setattr(os, "open", open_to_read)
        assert extract(trials, tmp_path / "cache", Frames())[:3] == (0, 3, {})

    def test_a_disk_that_is_too_small_is_known_before_any_work(self, corpus, tmp_path, monkeypatch):
        frontend, trials = Frames(), corpus(10)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10 * 4_000 - 1))
        with pytest.raises(StoreError, match=r"cache: 0.00 GB are still to be written there and 0.00 GB are free"):
            extract(trials, tmp_path / "cache", frontend, EXACT)
        assert frontend.seen == 0


class TestResume:
    def test_a_finished_partition_is_not_touched(self, corpus, tmp_path):
        trials = corpus(10)
        extract(trials, tmp_path / "cache", Frames())
        before, frontend = contents(tmp_path / "cache"), Frames()
        assert extract(trials, tmp_path / "cache", frontend)[:3] == (0, 3, {})
        assert frontend.seen == 0
        assert contents(tmp_path / "cache") == before

    def test_only_the_missing_shard_is_made(self, corpus, tmp_path):
        trials = corpus(10)
        extract(trials, tmp_path / "cache", Frames())
        before, frontend = contents(tmp_path / "cache"), Frames()
        (tmp_path / "cache/shard-00001.h5").unlink()
        assert extract(trials, tmp_path / "cache", frontend)[:3] == (1, 2, {})
        assert frontend.seen == 4
        assert contents(tmp_path / "cache") == before

    def test_while_a_shard_is_being_made_again_the_partition_is_not_complete(self, corpus, tmp_path):
        trials = corpus(10)
        extract(trials, tmp_path / "cache", Frames())
        (tmp_path / "cache/shard-00001.h5").unlink()
        with pytest.raises(KeyboardInterrupt):
            extract(trials, tmp_path / "cache", Frames(break_at=1))
        assert not (tmp_path / "cache/manifest.json").exists()

    def test_an_interruption_leaves_finished_shards_and_nothing_half_made(self, corpus, tmp_path):
        trials = corpus(12)
        extract(trials, tmp_path / "whole", Frames())
        with pytest.raises(KeyboardInterrupt):
            extract(trials, tmp_path / "cache", Frames(break_at=10))  # in the middle of the third shard
        left = contents(tmp_path / "cache")
        assert set(left) == {"shard-00000.h5", "shard-00001.h5", "trials.tsv"}
        frontend = Frames()
        extract(trials, tmp_path / "cache", frontend)
        assert frontend.seen == 4
        assert contents(tmp_path / "cache") == contents(tmp_path / "whole")

    def test_another_trial_list_is_refused_before_any_work(self, corpus, tmp_path):
        trials, frontend = corpus(10), Frames()
        extract(trials, tmp_path / "cache", Frames())
        before = contents(tmp_path / "cache")
        with pytest.raises(ShardMismatch, match=r"trials\.tsv: another trial list than the requested one; expected"):
            extract(trials[:9], tmp_path / "cache", frontend)
        assert frontend.seen == 0
        assert contents(tmp_path / "cache") == before

    def test_shards_of_another_identity_are_refused_before_any_work(self, corpus, tmp_path):
        trials, frontend = corpus(5), Frames()
        extract(trials, tmp_path / "cache", Frames(gains=(0.5,)))
        with pytest.raises(ShardMismatch, match=r"shard-00000\.h5: .* front_end\.gains is \[0\.5\], expected \[1\.0\]"):
            extract(trials, tmp_path / "cache", frontend)
        assert frontend.seen == 0

    def test_a_damaged_shard_is_not_taken_for_a_finished_one(self, corpus, tmp_path):
        trials = corpus(5)
        extract(trials, tmp_path / "cache", Frames())
        shard = tmp_path / "cache/shard-00000.h5"
        shard.write_bytes(shard.read_bytes()[:-1])
        with pytest.raises(StoreError, match=f"^{shard}: not a whole shard of SpoofCache"):
            extract(trials, tmp_path / "cache", Frames())


class TestGrace:
    """A signal that is held back while open shards are finished."""

    def interrupt(self, trials, shard_size, seconds_per_batch, folder, monkeypatch):
        """Extract until a signal in the first batch, with ten minutes of grace; the names of what is left."""
        clock = iter(count(0, seconds_per_batch))
        monkeypatch.setattr(pipeline, "time", SimpleNamespace(perf_counter=lambda: next(clock)))

        class Signalled(Frames):
            def extract(self, waveforms):
                if not self.batches:
                    signal.raise_signal(signal.SIGUSR1)
                return super().extract(waveforms)

        def work():
            with raised_as_interrupts(), postponed(600):
                module.extract_partition(trials, plan, Signalled(), folder, options)

        options = replace(OPTIONS, batch_size=4)
        plan = replace(plan_for(trials, Frames(), options), shard_size=shard_size)
        with pytest.raises(Interrupted):
            work()
        return names(folder)

    def test_open_shards_are_finished_and_no_other_is_begun(self, corpus, tmp_path, monkeypatch):
        left = self.interrupt(corpus(40), 4, 0, tmp_path / "cache", monkeypatch)
        n_shards = len(left) - 1
        assert left == [*(f"shard-{index:05d}.h5" for index in range(n_shards)), "trials.tsv"]
        assert 0 < n_shards < 10

    @pytest.mark.parametrize(
        ("seconds_per_batch", "left"), [(1, ["shard-00000.h5", "trials.tsv"]), (10_000, ["trials.tsv"])]
    )
    def test_a_shard_that_would_take_too_long_is_dropped(self, corpus, tmp_path, monkeypatch, seconds_per_batch, left):
        assert self.interrupt(corpus(40), 32, seconds_per_batch, tmp_path / "cache", monkeypatch) == left


class TestBadAudio:
    @pytest.fixture
    def broken(self, corpus):
        """Ten trials; the audio of U_0001 is text, that of U_0006 missing."""
        trials = [*corpus(10)]
        trials[1].path.write_text("no audio")
        trials[6] = replace(trials[6], path=None)
        return trials

    def test_it_stops_with_the_file_and_leaves_nothing_half_made(self, broken, tmp_path):
        with pytest.raises(AudioError, match=r"U_0001\.flac: empty, truncated or not audio; expected"):
            extract(broken[:6], tmp_path / "cache", Frames())
        assert names(tmp_path / "cache") == ["trials.tsv"]

    def test_a_missing_file_is_named_by_its_utterance(self, broken, tmp_path):
        with pytest.raises(AudioError, match=r"^utterance U_0006: no audio file; expected U_0006\.flac, \.wav or"):
            extract(broken[6:], tmp_path / "cache", Frames())

    def test_a_skipped_file_is_listed_with_the_reason_and_the_rest_is_extracted(self, broken, tmp_path):
        done = extract(broken, tmp_path / "cache", Frames(), SKIP)
        assert list(done.skipped) == ["U_0001", "U_0006"]
        header, first, second = (tmp_path / "cache/skipped.tsv").read_text().splitlines()
        assert header == "utt_id\treason"
        assert first.startswith("U_0001\t")
        assert "U_0001.flac: empty, truncated or not audio" in first
        assert second == "U_0006\tutterance U_0006: no audio file; expected U_0006.flac, .wav or another ending"

    def test_skipped_utterances_have_no_row_and_groups_do_not_change(self, broken, tmp_path):
        extract(broken, tmp_path / "cache", Frames(), SKIP)
        rows = [ShardReader(tmp_path / f"cache/shard-0000{index}.h5").utt_ids for index in range(3)]
        assert rows == [["U_0000", "U_0002", "U_0003"], ["U_0004", "U_0005", "U_0007"], ["U_0008", "U_0009"]]
        good = [trial for trial in broken if trial.utt_id not in ("U_0001", "U_0006")]
        np.testing.assert_array_equal(stored(tmp_path / "cache"), by_hand(good).astype("float16"))

    def test_a_shard_without_one_good_file_is_made_all_the_same(self, corpus, tmp_path):
        trials = [replace(trial, path=None) if index < 4 else trial for index, trial in enumerate(corpus(6))]
        extract(trials, tmp_path / "cache", Frames(), SKIP)
        assert len(stored(tmp_path / "cache")) == 2

    def test_skipping_again_makes_nothing_anew(self, broken, tmp_path):
        extract(broken, tmp_path / "cache", Frames(), SKIP)
        frontend = Frames()
        done = extract(broken, tmp_path / "cache", frontend, SKIP)
        assert (done.made, done.found, list(done.skipped)) == (0, 3, ["U_0001", "U_0006"])
        assert frontend.seen == 0

    def test_reasons_are_in_the_order_of_the_trials(self, broken, tmp_path):
        broken[0] = replace(broken[0], path=None)
        broken[2].path.write_text("no audio")
        broken[3] = replace(broken[3], path=None)
        extract(broken, tmp_path / "cache", Frames(), SKIP)
        assert list(ShardReader(tmp_path / "cache/shard-00000.h5").skipped) == ["U_0000", "U_0001", "U_0002", "U_0003"]

    def test_without_skipping_skipped_utterances_are_tried_again(self, broken, tmp_path):
        extract(broken, tmp_path / "cache", Frames(), SKIP)
        before = contents(tmp_path / "cache")
        with pytest.raises(AudioError, match=r"U_0001\.flac|U_0006: no audio file"):
            extract(broken, tmp_path / "cache", Frames())
        assert contents(tmp_path / "cache") == before

    def test_a_repaired_file_is_made_anew_and_only_its_shard(self, corpus, tmp_path):
        trials = corpus(10)
        good = trials[5].path.read_bytes()
        trials[5].path.write_text("no audio")
        extract(trials, tmp_path / "cache", Frames(), SKIP)
        trials[5].path.write_bytes(good)
        frontend = Frames()
        assert extract(trials, tmp_path / "cache", frontend)[:3] == (1, 2, {})
        assert frontend.seen == 4
        assert not (tmp_path / "cache/skipped.tsv").exists()
        np.testing.assert_array_equal(stored(tmp_path / "cache"), by_hand(trials).astype("float16"))


class TestProgress:
    def run(self, trials, folder, frontend, options=OPTIONS):
        steps = []
        extract(trials, folder, frontend, options, advance=steps.append)
        return sum(steps)

    def test_progress_adds_up_to_all_utterances_from_scratch_and_resumed(self, corpus, tmp_path):
        trials = corpus(10)
        assert self.run(trials, tmp_path / "cache", Frames()) == 10
        (tmp_path / "cache/shard-00001.h5").unlink()
        assert self.run(trials, tmp_path / "cache", Frames()) == 10
        assert self.run(trials, tmp_path / "cache", Frames()) == 10

    def test_skipped_utterances_count_too(self, corpus, tmp_path):
        trials = [replace(trial, path=None) if index % 3 == 0 else trial for index, trial in enumerate(corpus(10))]
        assert self.run(trials, tmp_path / "cache", Frames(), SKIP) == 10
        assert self.run(trials, tmp_path / "cache", Frames(), SKIP) == 10


class TestPace:
    def test_it_counts_what_went_through_the_front_end(self, corpus, tmp_path):
        trials = corpus(10)
        pace = extract(trials, tmp_path / "cache", Frames()).pace
        assert pace.utterances == 10
        assert 0 < sum(pace.waited.values()) < pace.seconds
        (tmp_path / "cache/shard-00001.h5").unlink()
        assert extract(trials, tmp_path / "cache", Frames()).pace.utterances == 4

    @pytest.mark.parametrize(
        ("place", "reason"),
        [("spoofcache.features.decoding.load_row", "decoding"), ("spoofcache.features.store.zlib.crc32", "writing")],
    )
    def test_waiting_is_attributed_to_the_slowest_stage(self, corpus, tmp_path, monkeypatch, place, reason):
        Slow(monkeypatch, place, reason)
        pace = extract(corpus(40), tmp_path / "cache", Frames(), replace(OPTIONS, workers=1)).pace
        assert [name for name, seconds in pace.waited.items() if seconds] == [reason]


class Slow:
    """Lets one function alone take time, on a clock of its own: a second per call, while the launching thread waits for
    that stage. So the scheduler of a busy machine decides nothing.

    Args:
        place: the function.
        stage: what `Pace.waited` calls its stage.
    """

    def __init__(self, monkeypatch, place, stage):
        self._stage, self._now, self._turn = stage, 0.0, threading.Condition()
        self._is_waited_for = self._all_launched = False
        self._function, self._timed = resolve_name(place), pipeline._timed
        monkeypatch.setattr(place, self._slower)
        monkeypatch.setattr(pipeline, "_timed", self._watched)
        for user in (pipeline, device):
            monkeypatch.setattr(user, "time", SimpleNamespace(perf_counter=lambda: self._now))

    def _slower(self, *args):
        with self._turn:
            self._turn.wait_for(lambda: self._is_waited_for)
            self._now += 1
        return self._function(*args)

    def _watched(self, seconds, name, act):
        def wait():
            self._waits(name == self._stage)
            result = act()
            self._all_launched |= name == "decoding" and result is None
            self._waits(False)
            return result

        return self._timed(seconds, name, wait)

    def _waits(self, is_waited_for):
        with self._turn:
            self._is_waited_for = is_waited_for or self._all_launched  # from then on it waits for the rest
            self._turn.notify_all()


class TestTogether:
    def test_two_at_once_share_the_work_and_end_with_one_cache(self, corpus, tmp_path, monkeypatch):
        monkeypatch.setattr(module, "SECONDS_BETWEEN_LOOKS", 0.01)
        trials = corpus(40)
        extract(trials, tmp_path / "whole", Frames())
        frontends, done = [Frames(), Frames()], []
        steps = ([], [])

        def work(frontend, heard):
            done.append(extract(trials, tmp_path / "cache", frontend, advance=heard.append))

        threads = [threading.Thread(target=work, args=pair) for pair in zip(frontends, steps, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [sum(heard) for heard in steps] == [40, 40]
        assert sum(one.made for one in done) == 10
        assert sum(frontend.seen for frontend in frontends) == 40
        assert contents(tmp_path / "cache") == contents(tmp_path / "whole")

    def test_a_shard_that_another_process_has_finished_is_not_made_again(self, corpus, tmp_path, monkeypatch):
        trials, frontend, take = corpus(4), Frames(), Claim.take

        def take_late(path):
            monkeypatch.undo()
            extract(trials, tmp_path / "cache", Frames())  # the other process
            return take(path)

        monkeypatch.setattr(Claim, "take", take_late)
        assert extract(trials, tmp_path / "cache", frontend)[:3] == (0, 1, {})
        assert frontend.seen == 0
        assert names(tmp_path / "cache") == ["manifest.json", "shard-00000.h5", "trials.tsv"]


KILLED = """
import os, signal, sys, time
from pathlib import Path
from spoofcache.protocols import find_audio
from tests.corpora import make_trials
from tests.features.frames import Frames, extract

audio, cache, at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

def finished():
    return sorted(cache.glob("shard-*.h5"))

class Killed(Frames):
    def extract(self, waveforms):
        while len(self.batches) == 4 and finished() == before:
            time.sleep(0.001)
        if len(self.batches) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().extract(waveforms)

before = finished()
extract(find_audio(make_trials(40), audio), cache, Killed())
"""


def test_killed_while_shards_are_written_an_extraction_continues_to_the_same_cache(corpus, tmp_path):
    trials, cache = corpus(40), tmp_path / "cache"
    extract(trials, tmp_path / "whole", Frames())

    def finished():
        return {path.name: path.stat().st_mtime_ns for path in cache.glob("shard-*.h5")}

    before = finished()
    for batches in ("4", "6"):  # of 14; it kills itself, so that no machine is too busy to do it in time
        paths = [tmp_path / "corpus/flac", cache]
        process = subprocess.run([sys.executable, "-c", KILLED, *paths, batches], cwd=ROOT, check=False)
        assert process.returncode == -signal.SIGKILL
        assert before.items() < finished().items()
        before = finished()
        for name in before:
            assert ShardReader(cache / name).corrupt() == []
    extract(trials, cache, Frames())
    assert contents(cache) == contents(tmp_path / "whole")
    assert before.items() <= finished().items()


class TestDisk:
    def test_a_full_disk_stops_with_a_sentence_and_keeps_what_is_finished(self, corpus, tmp_path):
        trials = corpus(13)
        half = replace(plan_for(trials, Frames()), shard_size=9)
        sentence = r"shard-00000\.h5: cannot be written \(File too large\); .* GB are free"
        # the four rows of the second shard fit, the nine of the first do not
        with file_size_limit(20_000), pytest.raises(StoreError, match=sentence):
            module.extract_partition(trials, half, Frames(), tmp_path / "cache", OPTIONS)
        assert set(names(tmp_path / "cache")) <= {"trials.tsv", "shard-00001.h5"}

    def test_a_disk_too_full_for_the_trial_list(self, corpus, tmp_path):
        trials = corpus(13)
        sentence = r"/cache: cannot be written \(File too large\); expected a folder"
        with file_size_limit(10), pytest.raises(StoreError, match=sentence):
            extract(trials, tmp_path / "cache", Frames())

    def test_a_file_where_a_folder_is_wanted(self, corpus, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(StoreError, match=r"/file/cache: cannot be written \(Not a directory\); expected a folder"):
            extract(corpus(3), tmp_path / "file" / "cache", Frames())

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_without_write_permission(self, corpus, tmp_path):
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(StoreError, match=r"/locked/cache: cannot be written \(Permission denied\)"):
            extract(corpus(3), tmp_path / "locked" / "cache", Frames())

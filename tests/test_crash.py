"""kill -9 at any moment, two processes at once: what is finished stays finished, and the end is the same."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from spoofcache.engine.checkpoint import load_last
from spoofcache.features import extract, plan
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.plan import Identity
from spoofcache.features.store import ShardReader
from spoofcache.features.verify import verify_partition
from tests.commands import Command, semaphore
from tests.corpora import IDENTITY, make_trials, separable_rows, write_cache, write_corpus

ROOT = Path(__file__).resolve().parent.parent
KILLS = 10
SHARDS = 30
LFCC_LIKE = Identity({**IDENTITY.settings, "front_end": {"name": "lfcc"}})
TRAIN = ("main_train.py", "--config", ROOT / "configs/lfcc_lcnn.toml", "--set", "train.epochs=8")


def small_shards(permits=None):
    """8 utterances per shard instead of 512, so that a small corpus has many, and processes that decode, as a large one
    has. Where `permits` is given, each shard that becomes visible takes one."""
    plan.SHARD_ROWS, extract.PROCESSES_FROM = 8, 1
    if permits is not None:
        permit_files("shard-*.h5", permits)


def permit_files(pattern, permits):
    """Have files of these names take their final name only with a permit, so that however late the test gets its turn
    on a busy machine, the command has not finished before it is killed."""
    replace = os.replace

    def with_permit(source, target, **options):
        if Path(target).match(pattern):
            permits.acquire()
        replace(source, target, **options)

    os.replace = with_permit


@pytest.fixture
def start(tmp_path_factory):
    """`start("preprocess.py", …)`: a command, started."""
    return lambda *command, **options: Command(tmp_path_factory.mktemp("output"), *command, **options)


@pytest.fixture
def finish(start):
    """`finish("preprocess.py", …)`: a command that must succeed, to its end."""

    def run(*command, **options):
        done = start(*command, **options).wait()
        assert done.status == 0, done.stderr

    return run


def kill_under_way(process, count, most_seconds):
    """kill -9 a random moment after `count()`, the pieces of finished work, first grows."""
    before = count()
    while process.is_running and count() == before:
        time.sleep(0.01)
    time.sleep(random.uniform(0, most_seconds))
    process.send_signal(signal.SIGKILL)
    return process.wait()


@pytest.fixture(scope="module")
def preprocess(tmp_path_factory):
    """`preprocess(out)`: the command that caches 240 utterances in 30 shards below `out`."""
    protocol, audio_dir = write_corpus(tmp_path_factory.mktemp("corpus"), make_trials(8 * SHARDS))
    corpus = ("--corpus", "asvspoof19_style", "--protocol", protocol, "--audio-dir", audio_dir)
    return lambda out: ("preprocess.py", *corpus, "--partition", "train", "--frontend", "lfcc", "--out", out)


@pytest.fixture(scope="module")
def uninterrupted(preprocess, tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted")
    done = Command(out, *preprocess(out), before=small_shards).wait()
    assert done.status == 0, done.stderr
    return CachedFeatures(next(out.glob("*/*/train")))


def assert_same(cache, reference):
    assert cache.plan == reference.plan
    assert [item.utt_id for item in cache] == [item.utt_id for item in reference]
    for item, expected in zip(cache, reference, strict=True):
        assert torch.equal(item.features, expected.features)


def visible_shards(out):
    return list(out.glob("*/*/train/shard-*.h5"))


def finished_shards(out):
    """Every shard that a reader could find, checked whole: path → (inode, time of writing)."""
    shards = {}
    for path in visible_shards(out):
        assert ShardReader(path).corrupt() == []
        shards[path] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return shards


def test_preprocess_killed_ten_times_ends_as_if_it_never_was(preprocess, uninterrupted, start, finish, tmp_path):
    kept: dict[Path, tuple[int, int]] = {}
    for _ in range(KILLS):
        process = start(*preprocess(tmp_path), "--workers", 1, before=small_shards, given=(semaphore(2),))
        killed = kill_under_way(process, lambda: len(visible_shards(tmp_path)), most_seconds=0.05)
        assert killed.status == -signal.SIGKILL, killed.stderr
        shards = finished_shards(tmp_path)
        assert shards.items() >= kept.items()  # none was redone
        assert len(kept) < len(shards) < SHARDS
        kept = shards
    finish(*preprocess(tmp_path), before=small_shards)
    assert finished_shards(tmp_path).items() >= kept.items()
    folder = next(tmp_path.glob("*/*/train"))
    assert verify_partition(folder) == []
    assert not list(folder.glob(".shard*"))  # what the killed ones had begun is gone
    assert_same(CachedFeatures(folder), uninterrupted)


def test_two_processes_at_once_share_the_work_and_end_with_one_cache(preprocess, uninterrupted, start, tmp_path):
    both = [start(*preprocess(tmp_path), before=small_shards) for _ in range(2)]
    done = [process.wait() for process in both]
    assert [each.status for each in done] == [0, 0], done
    folder = next(tmp_path.glob("*/*/train"))
    assert verify_partition(folder) == []
    assert not list(folder.glob(".*"))
    assert_same(CachedFeatures(folder), uninterrupted)


def test_ctrl_c_ends_preprocess_with_130_and_leaves_nothing_half_made(
    preprocess, uninterrupted, start, finish, tmp_path
):
    permits = semaphore(2)
    process = start(*preprocess(tmp_path), before=small_shards, given=(permits,))
    while process.is_running and not visible_shards(tmp_path):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    # The signal is pending before any shard gets a permit. What was begun is finished; most of the work was not begun.
    for _ in range(SHARDS):
        permits.release()
    done = process.wait()
    assert done.status == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert "Interrupted" in done.stderr
    assert not list(tmp_path.rglob("*.part"))
    finish(*preprocess(tmp_path), before=small_shards)
    assert_same(CachedFeatures(next(tmp_path.glob("*/*/train"))), uninterrupted)


def test_training_killed_again_and_again_ends_with_the_same_weights(start, finish, tmp_path):
    for name, n in (("train", 24), ("dev", 12)):
        trials = make_trials(n, name)
        write_cache(tmp_path / name, trials, separable_rows(trials, (32, 60)), LFCC_LIKE)
    data = ("--train", tmp_path / "train", "--dev", tmp_path / "dev")
    finish(*TRAIN, *data, "--out", tmp_path / "whole")
    kills = 0
    while (done := finished(tmp_path / "killed")) < 7:
        permits = ("last.ckpt", semaphore(min(2, 7 - done)))  # so at most two epochs each time, and never the last one
        resume = ["--resume"] if (tmp_path / "killed").exists() else []
        process = start(*TRAIN, *data, "--out", tmp_path / "killed", *resume, before=permit_files, given=permits)
        killed = kill_under_way(process, lambda: epochs(tmp_path / "killed"), most_seconds=0.2)
        assert killed.status == -signal.SIGKILL, killed.stderr
        kills += 1
    assert kills >= 3
    finish(*TRAIN, *data, "--out", tmp_path / "killed", "--resume")
    whole, killed = load_last(tmp_path / "whole"), load_last(tmp_path / "killed")
    assert whole["epoch"] == killed["epoch"] == 7
    for name, tensor in whole["model"].items():
        assert torch.equal(tensor, killed["model"][name]), name
    assert (tmp_path / "whole/model.safetensors").read_bytes() == (tmp_path / "killed/model.safetensors").read_bytes()


def finished(run):
    """The number of epochs that a resumed run does not repeat."""
    state = load_last(run)
    return 0 if state is None else state["epoch"] + 1


def epochs(run):
    metrics = run / "metrics.jsonl"
    return len(metrics.read_text().splitlines()) if metrics.exists() else 0

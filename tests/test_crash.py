"""kill -9 at any moment, two processes at once: what is finished stays finished, and the end is the same."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from spoofcache.engine.checkpoint import load_last
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.plan import Identity
from spoofcache.features.store import ShardReader
from spoofcache.features.verify import verify_partition
from tests.corpora import IDENTITY, make_trials, separable_rows, write_cache, write_corpus

ROOT = Path(__file__).resolve().parent.parent
KILLS = 10
SMALL_SHARDS = """
from spoofcache import preprocess
from spoofcache.features import extract, plan
plan.SHARD_ROWS, extract.PROCESSES_FROM = 8, 1
preprocess.main()
"""
"""preprocess.py with 8 utterances per shard instead of 512, so that a small corpus has many, and with processes that
decode, as a large one has."""

LFCC_LIKE = Identity({**IDENTITY.settings, "front_end": {"name": "lfcc"}})
TRAIN = ("main_train.py", "--config", ROOT / "configs/lfcc_lcnn.toml", "--set", "train.epochs=8")


def start(*command):
    return subprocess.Popen(
        [sys.executable, *map(str, command)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def finish(*command):
    process = start(*command)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err


def kill_under_way(process, count, most_seconds):
    """kill -9 a random moment after `count()`, the pieces of finished work, first grows."""
    before = count()
    while process.poll() is None and count() == before:
        time.sleep(0.01)
    time.sleep(random.uniform(0, most_seconds))
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.fixture(scope="module")
def preprocess(tmp_path_factory):
    """`preprocess(out)`: the command that caches 480 utterances in 60 shards below `out`."""
    protocol, audio_dir = write_corpus(tmp_path_factory.mktemp("corpus"), make_trials(480))
    corpus = ("--corpus", "asvspoof19_style", "--protocol", protocol, "--audio-dir", audio_dir)
    return lambda out: ("-c", SMALL_SHARDS, *corpus, "--partition", "train", "--frontend", "lfcc", "--out", out)


@pytest.fixture(scope="module")
def uninterrupted(preprocess, tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted")
    finish(*preprocess(out))
    return CachedFeatures(next(out.glob("*/*/train")))


def assert_same(cache, reference):
    assert cache.plan == reference.plan
    assert [item.utt_id for item in cache] == [item.utt_id for item in reference]
    for item, expected in zip(cache, reference, strict=True):
        assert torch.equal(item.features, expected.features)


def finished_shards(out):
    """Every shard that a reader could find, checked whole: path → (inode, time of writing)."""
    shards = {}
    for path in out.glob("*/*/train/shard-*.h5"):
        assert ShardReader(path).corrupt() == []
        shards[path] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return shards


def test_preprocess_killed_ten_times_ends_as_if_it_never_was(preprocess, uninterrupted, tmp_path):
    kept: dict[Path, tuple[int, int]] = {}
    hits = 0
    for _ in range(KILLS):
        process = start(*preprocess(tmp_path))
        kill_under_way(process, lambda: len(finished_shards(tmp_path)), most_seconds=0.05)
        shards = finished_shards(tmp_path)
        assert shards.items() >= kept.items()  # none was redone
        kept = shards
        hits += process.returncode == -signal.SIGKILL and len(kept) < 60
    assert hits >= KILLS // 2  # the others came after the last shard
    finish(*preprocess(tmp_path))
    assert finished_shards(tmp_path).items() >= kept.items()
    folder = next(tmp_path.glob("*/*/train"))
    assert verify_partition(folder) == []
    assert not list(folder.glob(".shard*"))  # what the killed ones had begun is gone
    assert_same(CachedFeatures(folder), uninterrupted)


def test_two_processes_at_once_share_the_work_and_end_with_one_cache(preprocess, uninterrupted, tmp_path):
    both = [start(*preprocess(tmp_path)) for _ in range(2)]
    said = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    folder = next(tmp_path.glob("*/*/train"))
    assert verify_partition(folder) == []
    assert not list(folder.glob(".*"))
    assert_same(CachedFeatures(folder), uninterrupted)


def test_ctrl_c_ends_preprocess_with_130_and_leaves_nothing_half_made(preprocess, uninterrupted, tmp_path):
    process = start(*preprocess(tmp_path))
    while not finished_shards(tmp_path):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    if process.returncode:  # else it was done before the signal came
        assert process.returncode == 130
        assert "Traceback" not in err
        assert "Interrupted" in err
    assert not list(tmp_path.rglob("*.part"))
    finish(*preprocess(tmp_path))
    assert_same(CachedFeatures(next(tmp_path.glob("*/*/train"))), uninterrupted)


def test_training_killed_again_and_again_ends_with_the_same_weights(tmp_path):
    for name, n in (("train", 48), ("dev", 24)):
        trials = make_trials(n, name)
        write_cache(tmp_path / name, trials, separable_rows(trials, (64, 60)), LFCC_LIKE)
    data = ("--train", tmp_path / "train", "--dev", tmp_path / "dev")
    finish(*TRAIN, *data, "--out", tmp_path / "whole")
    for _ in range(KILLS):
        process = start(*TRAIN, *data, "--out", tmp_path / "killed", "--resume")
        kill_under_way(process, lambda: epochs(tmp_path / "killed"), most_seconds=0.2)
        if epochs(tmp_path / "killed") == 8:
            break
    finish(*TRAIN, *data, "--out", tmp_path / "killed", "--resume")
    whole, killed = load_last(tmp_path / "whole"), load_last(tmp_path / "killed")
    assert whole["epoch"] == killed["epoch"] == 7
    for name, tensor in whole["model"].items():
        assert torch.equal(tensor, killed["model"][name]), name
    assert (tmp_path / "whole/model.safetensors").read_bytes() == (tmp_path / "killed/model.safetensors").read_bytes()


def epochs(run):
    metrics = run / "metrics.jsonl"
    return len(metrics.read_text().splitlines()) if metrics.exists() else 0

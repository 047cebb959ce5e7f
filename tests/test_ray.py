"""preprocess.py --engine ray on a cluster of this machine: a head and nodes, of which one is lost without warning."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.commands import Command, run
from tests.corpora import make_trials, write_corpus

pytestmark = pytest.mark.slow

ROWS = 8
"""Utterances in a shard, and in a batch."""

SITE = """
import os, time
import spoofcache.features.plan

spoofcache.features.plan.SHARD_ROWS = {rows}
if "default_worker.py" in " ".join(__import__("sys").orig_argv):
    from spoofcache.features import device

    launch = device.Device.launch

    def slow(*arguments):
        time.sleep({seconds})
        return launch(*arguments)

    device.Device.launch = slow
"""
"""`sitecustomize` of the workers, which are fresh interpreters: small shards, and time to lose a node meanwhile."""


@pytest.fixture(scope="module")
def cluster():
    """A Ray cluster of a head without CPUs and two nodes with one CPU each."""
    pytest.importorskip("ray", reason="ray is not installed (pip install -r requirements-cluster.txt)")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray.cluster_utils

    handler = signal.getsignal(signal.SIGTERM)  # Ray sets its own
    cluster = ray.cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    cluster.nodes = [cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)]
    signal.signal(signal.SIGTERM, handler)
    yield cluster
    cluster.shutdown()
    signal.signal(signal.SIGTERM, handler)


class Extraction:
    """A corpus of `n_shards` shards, and the command that extracts it."""

    def __init__(self, folder: Path, cluster, n_shards: int) -> None:
        self.folder, self.out, self.cluster = folder, folder / "shared", cluster
        protocol, audio = write_corpus(folder / "corpus", make_trials(ROWS * n_shards - 3), seconds=0.1)
        corpus = ("--corpus", "asvspoof19_style", "--protocol", protocol, "--audio-dir", audio, "--partition", "train")
        self.words = (*corpus, "--frontend", "lfcc", "--length", 1_600, "--device", "cpu", "--batch-size", ROWS)
        (folder / "site").mkdir()

    def local(self):
        """Path → bytes of the cache of one command without Ray."""
        done = Command(self.folder, "preprocess.py", *self.words, "--out", self.folder / "whole", before=small).wait()
        assert done.status == 0, done.stderr
        return self.contents(self.folder / "whole")

    def contents(self, out):
        paths = [path for path in out.rglob("*") if path.is_file() and not path.name.startswith("plan-")]
        return {str(path.relative_to(out)): path.read_bytes() for path in paths}

    def start(self, *words, seconds=0.0):
        (self.folder / "site/sitecustomize.py").write_text(SITE.format(rows=ROWS, seconds=seconds))
        engine = ("--engine", "ray", "--ray-address", self.cluster.address, "--out", self.out)
        return Command(
            self.folder, "preprocess.py", *self.words, *engine, *words, before=small, given=(str(self.folder / "site"),)
        )

    def shards(self):
        """Name → (inode, time of change) of the finished shards."""
        return {each.name: (each.stat().st_ino, each.stat().st_mtime_ns) for each in self.out.rglob("shard-*.h5")}

    def wait_for(self, command, n_shards):
        while len(self.shards()) < n_shards and command.is_running:  # a hang is ended by pytest's time limit
            time.sleep(0.02)
        assert command.is_running, command.wait().stderr
        return self.shards()


def small(site=""):
    from spoofcache.features import plan

    plan.SHARD_ROWS = ROWS
    if site:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [site, os.environ.get("PYTHONPATH")]))


def test_a_node_is_lost_in_the_middle_and_another_one_joins(cluster, tmp_path):
    extraction = Extraction(tmp_path, cluster, 40)
    command = extraction.start(seconds=0.5)
    finished = extraction.wait_for(command, 4)
    cluster.remove_node(cluster.nodes.pop(0), allow_graceful=False)
    finished |= extraction.shards()
    cluster.nodes.append(cluster.add_node(num_cpus=1))
    done = command.wait()
    assert done.status == 0, done.stderr
    assert done.stderr.count("has started on") == 3, done.stderr
    assert "was lost with task" in done.stderr
    counts = re.search(r"train: (\d+) shards written by 3 workers, (\d+) already complete", done.stderr)
    assert counts is not None
    assert int(counts[1]) + int(counts[2]) == 40  # the lost worker may have finished a shard without saying so
    assert int(counts[2]) <= 1
    assert {name: extraction.shards()[name] for name in finished} == finished
    assert extraction.contents(extraction.out) == extraction.local()


def test_a_worker_is_killed(cluster, tmp_path):
    extraction = Extraction(tmp_path, cluster, 8)
    command = extraction.start("--workers-max", 1, seconds=0.5)
    finished = extraction.wait_for(command, 2)
    [worker] = workers()
    os.kill(worker, signal.SIGKILL)
    done = command.wait()
    assert done.status == 0, done.stderr
    assert "worker 1 on " in done.stderr
    assert "was lost with task " in done.stderr
    assert {name: extraction.shards()[name] for name in finished} == finished
    assert extraction.contents(extraction.out) == extraction.local()


def test_a_shard_with_unusable_audio_is_named_and_all_others_are_finished(cluster, tmp_path):
    extraction = Extraction(tmp_path, cluster, 4)
    damaged = tmp_path / f"corpus/flac/U_{ROWS + 3:04d}.flac"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged.write_bytes(content)
    done = extraction.start("--workers-max", 1).wait()
    assert done.status == 2
    assert "1 of 4 tasks failed" in done.stderr
    assert "task 1 (train, shard 1): " in done.stderr
    assert done.stderr.count(damaged.name) == 1
    assert "Traceback" not in done.stderr
    assert sorted(extraction.shards()) == ["shard-00000.h5", "shard-00002.h5", "shard-00003.h5"]
    assert list(extraction.out.rglob("manifest.json")) == []


def test_a_signal_keeps_finished_shards_and_ends_all_workers(cluster, tmp_path):
    extraction = Extraction(tmp_path, cluster, 40)
    command = extraction.start("--workers-max", 1, seconds=0.5)
    finished = extraction.wait_for(command, 2)
    command.send_signal(signal.SIGINT)
    done = command.wait()
    assert done.status == 130, done.stderr
    assert "Interrupted; no incomplete file was left behind" in done.stderr
    assert "Traceback" not in done.stderr
    assert {name: extraction.shards()[name] for name in finished} == finished
    assert list(extraction.out.rglob("*.part")) == []
    assert list(extraction.out.rglob("*.lock")) == []
    deadline = time.monotonic() + 60
    while workers() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert workers() == []


def workers():
    """The processes of this machine's workers, by the name that Ray gives them while they work or wait."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_bytes().startswith(b"ray::RayWorker"):
                found.append(int(folder.name))
        except OSError:  # it has ended
            continue
    return found


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--tasks", "0/2"), "expected neither --tasks nor --processes"),
        (("--device", "cuda:all"), "--device cuda:all: expected auto, cpu or cuda for --engine ray"),
        (("--relabel",), "expected --relabel --plan-only before"),
        (("--ray-address", "127.0.0.1:1"), "--ray-address 127.0.0.1:1: "),
    ],
)
def test_what_ray_cannot_do_is_refused(tmp_path, words, sentence):
    pytest.importorskip("ray", reason="ray is not installed (pip install -r requirements-cluster.txt)")
    protocol, audio = write_corpus(tmp_path / "corpus", make_trials(3), seconds=0.1)
    corpus = ("--corpus", "asvspoof19_style", "--protocol", protocol, "--audio-dir", audio, "--partition", "train")
    done = run("preprocess.py", *corpus, "--frontend", "lfcc", "--out", tmp_path / "out", "--engine", "ray", *words)
    assert done.status == 2
    assert sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_without_ray_the_sentence_says_how_to_install_it(tmp_path):
    protocol, audio = write_corpus(tmp_path / "corpus", make_trials(3), seconds=0.1)
    corpus = ("--corpus", "asvspoof19_style", "--protocol", protocol, "--audio-dir", audio, "--partition", "train")
    words = (*corpus, "--frontend", "lfcc", "--out", tmp_path / "out", "--engine", "ray")
    done = Command(tmp_path, "preprocess.py", *words, before=hide_ray).wait()
    assert done.status == 2
    assert "pip install -r requirements-cluster.txt" in done.stderr


def hide_ray():
    sys.modules["ray"] = None

"""preprocess.py as a cluster runs it. No Slurm is installed: the tests play its part, by its variables and signals."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from spoofcache.common import signals
from spoofcache.common.cli import Sentence
from spoofcache.features import device, plan
from spoofcache.features.preprocessing import process_devices
from tests.commands import Command, Done, semaphore
from tests.corpora import make_trials, write_corpus

ROWS = 8
"""Utterances in a shard, and in a batch."""
OPENED_AHEAD = 3
"""Shards that are open when the first batch is computed, since three batches are decoded ahead."""


class Cluster:
    """A corpus of `n_shards` shards, and the commands of jobs that extract it."""

    def __init__(self, folder: Path, n_shards: int) -> None:
        self.folder = folder
        protocol, audio = write_corpus(folder / "corpus", make_trials(ROWS * n_shards - 3), seconds=0.05)
        corpus = ("--corpus", "asvspoof19_style", "--protocol", protocol, "--audio-dir", audio, "--partition", "train")
        self.words = (*corpus, "--frontend", "raw", "--length", 1_600, "--device", "cpu", "--batch-size", ROWS)

    def start(self, *words, at_first_batch="", started=None, **environment) -> Command:
        given = (at_first_batch, started, {name: str(value) for name, value in environment.items()})
        return Command(self.folder, "preprocess.py", *self.words, *words, before=enter, given=given)

    def run(self, *words, **environment) -> Done:
        return self.start(*words, **environment).wait()

    def contents(self, name):
        """Path → bytes of a cache without its plan."""
        out = self.folder / name
        paths = [path for path in out.rglob("*") if path.is_file() and not path.name.startswith("plan-")]
        return {str(path.relative_to(out)): path.read_bytes() for path in paths}

    def status(self):
        """Exit status and JSON of `--status`, which needs no other options."""
        done = Command(self.folder, "preprocess.py", "--status", "--json", "--out", self.folder / "shared").wait()
        return done.status, json.loads(done.stdout)


def enter(at_first_batch="", started=None, environment=None):
    """Small shards; at its first batch, the process waits until a signal has come, or kills itself."""
    plan.SHARD_ROWS = ROWS
    os.environ.update(environment or {})
    launch = device.Device.launch
    batches = []

    def launched(self, waveforms):
        batches.append(len(waveforms))
        if len(batches) == 1 and at_first_batch == "signal":
            started.release()
            while signals.seconds_left() is None:  # a hang is ended by pytest's time limit
                time.sleep(0.005)
        if len(batches) == 2 and at_first_batch == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        return launch(self, waveforms)

    device.Device.launch = launched


def array(numbers, number):
    """The variables of one task of a Slurm array."""
    return {
        "SLURM_ARRAY_TASK_ID": number,
        "SLURM_ARRAY_TASK_COUNT": len(numbers),
        "SLURM_ARRAY_TASK_MIN": min(numbers),
        "SLURM_ARRAY_TASK_MAX": max(numbers),
    }


def expand(expression):
    """`0,3-5` → 0, 3, 4, 5, as Slurm reads it."""
    ends = [part.split("-") for part in expression.split(",")]
    return [number for each in ends for number in range(int(each[0]), int(each[-1]) + 1)]


def play(cluster, n_tasks, stopped, killed):
    """An array of jobs of which some are stopped after their time, or killed; those of a second array do the rest."""
    out = ("--out", cluster.folder / "shared", "--tasks", "slurm")
    grace = ("--grace", 5, "--requeue-status", 99)
    numbers, started = range(n_tasks), semaphore(0)
    jobs = {}
    for number in numbers:
        moment = "kill" if number in killed else "signal" if number in stopped else ""
        jobs[number] = cluster.start(*out, *grace, at_first_batch=moment, started=started, **array(numbers, number))
    for _ in stopped:
        started.acquire()
    for number in stopped:
        jobs[number].send_signal(stopped[number])
    done = {number: job.wait() for number, job in jobs.items()}
    for number in numbers:
        assert done[number].status == (-signal.SIGKILL if number in killed else 99 if number in stopped else 0)
        assert done[number].stderr.count("Interrupted") == (number in stopped)
    status, found = cluster.status()
    assert status == 2
    missing = expand(found["plans"][0]["array"])
    for number in missing:
        assert cluster.run(*out, **array(missing, number)).status == 0
    return missing


def test_an_array_whose_jobs_are_stopped_is_finished_by_an_array_of_the_missing_tasks(tmp_path):
    cluster = Cluster(tmp_path, 9)
    assert cluster.run("--out", tmp_path / "whole").status == 0
    assert cluster.run("--out", tmp_path / "shared", "--plan-only").stdout == "9\n"
    missing = play(cluster, 2, {0: signal.SIGUSR1}, ())
    assert missing == [6, 8]  # of 0, 2, 4, 6, 8, three shards were open, and finished within the grace
    assert cluster.contents("shared") == cluster.contents("whole")
    assert cluster.status()[0] == 0


@pytest.mark.slow
def test_seven_jobs_over_23_shards_two_of_them_stopped_and_one_killed(tmp_path):
    cluster = Cluster(tmp_path, 23)
    assert cluster.run("--out", tmp_path / "whole").status == 0
    assert cluster.run("--out", tmp_path / "shared", "--plan-only").stdout == "23\n"
    missing = play(cluster, 7, {0: signal.SIGTERM, 1: signal.SIGTERM}, {4})
    assert {21, 22} <= set(missing) <= {21, 22, 4, 11, 18}
    assert set(missing) & {4, 11, 18}
    assert cluster.contents("shared") == cluster.contents("whole")
    assert cluster.status()[0] == 0


def test_without_grace_open_shards_are_dropped(tmp_path):
    cluster = Cluster(tmp_path, 2)
    started = semaphore(0)
    job = cluster.start("--out", tmp_path / "shared", "--tasks", "0/1", at_first_batch="signal", started=started)
    started.acquire()
    job.send_signal(signal.SIGTERM)
    done = job.wait()
    assert done.status == 143
    assert "Interrupted; no incomplete file was left behind. Run the same command again" in done.stderr
    status, found = cluster.status()
    assert (status, found["plans"][0]["array"]) == (2, "0-1")
    assert [path.name for path in (tmp_path / "shared").rglob("*.part")] == []


def test_a_worker_with_other_options_is_refused_by_field(tmp_path):
    cluster = Cluster(tmp_path, 2)
    cluster.run("--out", tmp_path / "shared", "--plan-only")
    done = cluster.run("--out", tmp_path / "shared", "--tasks", "0/2", "--dtype", "int16")
    assert done.status == 2
    assert "train: identity.dtype is 'float32' there and 'int16' here" in done.stderr
    done = cluster.run("--out", tmp_path / "shared", "--tasks", "0/2", "--on-missing", "skip")
    assert "settings.on_bad_audio is 'stop' there and 'skip' here" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--tasks", "2/2"), "--tasks 2/2: expected a share from 0 to 1"),
        (("--tasks", "2"), "--tasks: there is no task 2; expected numbers from 0 to 1"),
        (("--tasks", "slurm"), "SLURM_PROCID is not set; expected a job of Slurm"),
        (("--tasks", "0/2", "--relabel"), "expected --relabel --plan-only before --tasks"),
        (("--device", "cuda:all", "--processes", "2"), "expected no --processes"),
    ],
)
def test_tasks_that_do_not_exist_are_refused(tmp_path, words, sentence):
    done = Cluster(tmp_path, 2).run("--out", tmp_path / "shared", *words)
    assert done.status == 2
    assert sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_status_without_a_plan_takes_the_options_of_the_extraction(tmp_path):
    cluster = Cluster(tmp_path, 2)
    done = Command(tmp_path, "preprocess.py", "--status", "--out", tmp_path / "shared").wait()
    assert done.status == 2
    assert "no plan in or below this folder" in done.stderr
    assert cluster.run("--status", "--array", "--out", tmp_path / "shared")[:2] == (2, "0-1\n")
    assert not (tmp_path / "shared").exists()
    assert cluster.run("--out", tmp_path / "shared").status == 0
    done = cluster.run("--status", "--out", tmp_path / "shared")
    assert done.status == 0
    assert "train: 2 finished, 0 missing, 0 damaged, 0 being made; complete" in done.stdout


KILLS_ITSELF = """
import os
from spoofcache.features import device

def launch(*_):
    os.kill(os.getpid(), 9)

device.Device.launch = launch
"""


class TestProcesses:
    """Several processes of one command. They are fresh interpreters, in which `sitecustomize` makes shards small."""

    @pytest.fixture
    def cluster(self, tmp_path, monkeypatch):
        (tmp_path / "site").mkdir()
        small = f"import spoofcache.features.plan\nspoofcache.features.plan.SHARD_ROWS = {ROWS}\n"
        (tmp_path / "site/sitecustomize.py").write_text(small)
        return Cluster(tmp_path, 5)

    def start(self, cluster, *words):
        site = f"{cluster.folder / 'site'}:{os.environ['PYTHONPATH']}" if "PYTHONPATH" in os.environ else None
        return cluster.start(*words, PYTHONPATH=site or cluster.folder / "site")

    @pytest.mark.parametrize("locks", [(), pytest.param(("--no-locks",), marks=pytest.mark.slow)])
    def test_they_make_the_cache_of_one_process_and_report_as_one(self, cluster, tmp_path, locks):
        whole = cluster.run("--out", tmp_path / "whole")
        done = self.start(cluster, "--out", tmp_path / "shared", "--processes", 2, *locks).wait()
        assert done.status == 0, done.stderr
        assert cluster.contents("shared") == cluster.contents("whole")
        assert done.stdout == whole.stdout.replace("whole", "shared")
        assert "train: 5 shards written by 2 processes, 0 already complete" in done.stderr

    @pytest.mark.slow
    def test_what_is_complete_is_kept(self, cluster, tmp_path):
        cluster.run("--out", tmp_path / "shared")
        done = self.start(cluster, "--out", tmp_path / "shared", "--processes", 2).wait()
        assert "train: 0 shards written by 2 processes, 5 already complete" in done.stderr

    @pytest.mark.slow
    def test_the_failure_of_one_ends_all_with_its_sentence(self, cluster, tmp_path):
        path = tmp_path / "corpus/flac/U_0030.flac"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
        done = self.start(cluster, "--out", tmp_path / "shared", "--processes", 2).wait()
        assert done.status == 2
        assert done.stderr.count("U_0030.flac") == 1
        assert "Traceback" not in done.stderr

    @pytest.mark.slow
    def test_a_signal_ends_all_processes_and_the_same_command_continues(self, cluster, tmp_path):
        job = self.start(cluster, "--out", tmp_path / "shared", "--processes", 2)
        while not list((tmp_path / "shared").rglob("trials.tsv")) and job.is_running:
            time.sleep(0.005)
        job.send_signal(signal.SIGTERM)
        done = job.wait()
        assert done.status in (143, 0), done.stderr  # 0: it had ended
        assert "Traceback" not in done.stderr
        assert [path for path in (tmp_path / "shared").rglob(".*") if path.is_file()] == []
        assert self.start(cluster, "--out", tmp_path / "shared", "--processes", 2).wait().status == 0
        cluster.run("--out", tmp_path / "whole")
        assert cluster.contents("shared") == cluster.contents("whole")

    @pytest.mark.slow
    def test_one_that_is_killed_ends_all(self, cluster, tmp_path):
        with (tmp_path / "site/sitecustomize.py").open("a") as site:
            site.write(KILLS_ITSELF)
        done = self.start(cluster, "--out", tmp_path / "shared", "--processes", 2).wait()
        assert done.status == 2
        assert "of 2 (cpu) was killed from outside, most likely by the system because memory ran out" in done.stderr


def test_every_gpu_has_a_process(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    assert process_devices("cuda:all", None) == ["cuda:0", "cuda:1", "cuda:2"]
    assert process_devices("cpu", 2) == ["cpu", "cpu"]
    assert process_devices("cuda", None) == ["cuda"]
    with pytest.raises(Sentence, match=r"--processes 2: expected --device cpu, or cuda:all"):
        process_devices("cuda", 2)

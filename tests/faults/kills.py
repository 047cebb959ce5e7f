"""Commands that are killed (SIGKILL) at random moments: does the same command finish what an undisturbed one makes?

    python -m tests.faults.kills preprocess=200 train=100 score=50 evaluate=50 import=50

kills each command that often. Whatever is visible after a kill has to be whole, and after the command has run again all
files have to be those of an undisturbed run, with no temporary file beside them.
"""

import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch

from spoofcache.features import plan
from spoofcache.features.store import ShardReader
from tests.commands import Command, Done
from tests.corpora import IDENTITY, make_trials, separable_rows, write_cache, write_corpus

SHARD_ROWS = 8
FAULTS = ("half-made", "redone", "not finished", "left behind", "differs")
COUNTS = {"preprocess": 200, "train": 100, "score": 50, "evaluate": 50, "import": 50}
CONFIG = '[backend]\nname = "pooled_linear"\n[train]\nepochs = 4\nbatch_size = 8\n'


def small_shards() -> None:
    """So that a small corpus has many."""
    plan.SHARD_ROWS = SHARD_ROWS


class Road(NamedTuple):
    """A command that is killed: the words of its first and of its next run, and the files that it has to end with."""

    first: Callable[[Path], tuple[Any, ...]]
    again: Callable[[Path], tuple[Any, ...]]
    results: str
    prepare: Callable[[Path], Any] = Path.mkdir


class Killer:
    """Runs, kills and repeats the commands of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        protocol, audio_dir = write_corpus(folder / "corpus", make_trials(80), seconds=0.2)
        caches = {}
        for name in ("train", "dev"):
            trials = make_trials(24, name)
            caches[name] = write_cache(folder / name, trials, separable_rows(trials), IDENTITY)
        (folder / "linear.toml").write_text(CONFIG)
        corpus = ("--corpus", "asvspoof19_style", "--protocol", protocol, "--audio-dir", audio_dir)
        extract = ("preprocess.py", *corpus, "--partition", "train", "--frontend", "lfcc", "--length", 3_200, "--out")
        train = (
            "main_train.py",
            "--config",
            folder / "linear.toml",
            "--train",
            caches["train"],
            "--dev",
            caches["dev"],
        )
        run = folder / "run"
        self._must(*train, "--out", run)
        weights = safetensors.torch.load_file(run / "model.safetensors")
        torch.save(weights, folder / "weights.pth")
        score = ("generate_score.py", "--run", run, "--features", caches["dev"], "--out")
        evaluate = ("evaluate.py", "--test", f"A={caches['dev']}", "--bootstrap", 20)
        fill: tuple[Any, ...] = (
            "tools/import_checkpoint.py",
            "--backend",
            "pooled_linear",
            "--in",
            folder / "weights.pth",
        )
        fill += ("--features", caches["dev"], "--out")
        self.roads: Mapping[str, Road] = {
            "preprocess": Road(lambda out: (*extract, out), lambda out: (*extract, out), "**/*"),
            "train": Road(
                lambda out: (*train, "--out", out / "run"),
                lambda out: (*train, "--out", out / "run", *(["--resume"] if (out / "run").exists() else [])),
                "run/model.safetensors",
            ),
            "score": Road(lambda out: (*score, out / "s.txt"), lambda out: (*score, out / "s.txt"), "s.txt"),
            "evaluate": Road(
                lambda out: (*evaluate, "--run", out, "--csv", out / "x.csv"),
                lambda out: (*evaluate, "--run", out, "--csv", out / "x.csv", "--overwrite"),
                "x.csv",
                lambda out: shutil.copytree(run, out),
            ),
            "import": Road(lambda out: (*fill, out / "r"), lambda out: (*fill, out / "r"), "r/model.safetensors"),
        }

    def _must(self, *words: Any) -> float:
        """Run a command that has to succeed; the seconds that it took."""
        begin = time.monotonic()
        done = self._start(*words).wait()
        assert done.status == 0, done.stderr
        return time.monotonic() - begin

    def _start(self, *words: Any) -> Command:
        return Command(self.folder, *words, before=small_shards)

    def run(self, name: str, count: int, rng: random.Random) -> Counter[str]:
        """Kill a command so many times; verdict → how many."""
        road, whole, outcome = self.roads[name], self.folder / f"{name}-whole", Counter[str]()
        road.prepare(whole)
        seconds = self._must(*road.first(whole))
        expected = results(whole, road.results)
        assert expected
        for number in range(count):
            out = self.folder / f"{name}-{number}"
            road.prepare(out)
            command = self._start(*road.first(out))
            time.sleep(rng.uniform(0, 1.1 * seconds))
            command.send_signal(signal.SIGKILL)
            killed = command.wait()
            kind, detail = self._judge(road, out, expected, killed)
            outcome[kind if kind in FAULTS else "killed" if killed.status == -signal.SIGKILL else "had ended"] += 1
            if kind in FAULTS:
                print(f"{name} {number}: {kind}, {detail[-500:]}", file=sys.stderr, flush=True)
            shutil.rmtree(out)
        return outcome

    def _judge(self, road: Road, out: Path, expected: Mapping[str, bytes], killed: Done) -> tuple[str, str]:
        shards = {path: path.stat().st_ino for path in out.glob("*/*/train/shard-*.h5")}
        if any(ShardReader(path).corrupt() for path in shards):
            return "half-made", ""
        again = self._start(*road.again(out)).wait()
        had_ended = again.status == 2 and "exist" in again.stderr  # what is there is not made a second time
        if again.status and not (had_ended and results(out, road.results) == expected):
            return "not finished", again.stderr
        if any(path.stat().st_ino != inode for path, inode in shards.items()):
            return "redone", ""
        if left := [str(path) for path in out.rglob("*") if path.name.endswith((".part", ".lock"))]:
            return "left behind", " ".join(left)
        same = results(out, road.results) == expected
        return ("" if same else "differs"), str(killed.status)


def results(out: Path, pattern: str) -> Mapping[str, bytes]:
    """File → content, of the files that have to be equal at the end."""
    own = out.name.encode()  # a report names the run
    return {str(f.relative_to(out)): f.read_bytes().replace(own, b"") for f in out.glob(pattern) if f.is_file()}


def main() -> None:
    """Kill as often as the arguments say, `preprocess=200`."""
    counts = {name: int(count) for name, _, count in (word.partition("=") for word in sys.argv[1:])} or COUNTS
    rng, is_faulty = random.Random(0), False
    with tempfile.TemporaryDirectory() as folder:
        killer = Killer(Path(folder))
        for name, count in counts.items():
            begin = time.monotonic()
            outcome = killer.run(name, count, rng)
            print(f"{name}: {dict(outcome)}, {time.monotonic() - begin:.0f} s", flush=True)
            is_faulty |= bool(outcome.keys() & set(FAULTS))
    if is_faulty:
        sys.exit(1)


if __name__ == "__main__":
    main()

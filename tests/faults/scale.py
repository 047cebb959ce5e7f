"""Do memory and open files stay small however many utterances there are? Tiny rows, the real commands.

    python -m tests.faults.scale 100000 1000000

writes a cache of each size, trains one epoch of `pooled_linear` on it, scores it, and evaluates run and score file. Of
each command it prints the seconds, the peak resident memory, and the largest number of open file descriptors seen.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
ROW = (2, 4)
DEV_ROWS = 1_000
DESCRIPTORS = 64
"""The most open files that a command may have."""

SECONDS_BETWEEN_LOOKS = 0.05


class Use(NamedTuple):
    """What a command took."""

    seconds: float
    peak_mb: float
    descriptors: int


def write(folder: Path, n_rows: int) -> None:
    """The cached partitions `train` and `dev`, and the config of a run that keeps them apart well enough to judge."""
    from spoofcache.engine.config import BackendConfig, ExperimentConfig, TrainConfig
    from tests.corpora import make_trials, separable_rows, write_cache

    for name, n in (("train", n_rows), ("dev", DEV_ROWS)):
        trials = make_trials(n, name)
        write_cache(folder / name, trials, separable_rows(trials, ROW))
    experiment = ExperimentConfig(BackendConfig("pooled_linear"), train=TrainConfig(epochs=1, batch_size=1_024))
    (folder / "config.toml").write_text(experiment.to_toml())


def commands(folder: Path) -> dict[str, Sequence[object]]:
    """By name, the arguments of the commands, in the order in which they need each other's results."""
    train, dev, run, scores = (folder / name for name in ("train", "dev", "run", "scores.txt"))
    cpu, config = ("--device", "cpu"), folder / "config.toml"
    return {
        "train": ("main_train.py", "--config", config, "--train", train, "--dev", dev, "--out", run, *cpu),
        "score": ("generate_score.py", "--run", run, "--features", train, "--out", scores, "--batch-size", 1_024, *cpu),
        "evaluate": ("evaluate.py", scores, "--protocol", train / "trials.tsv", "--bootstrap", 0),
        "evaluate --run": ("evaluate.py", "--run", run, "--test", f"all={train}", "--bootstrap", 0, *cpu),
    }  # fmt: skip


def measure(command: Sequence[object], log: Path) -> Use:
    """Run a command to its end; its peak memory is the kernel's, its open files are counted while it runs.

    A process inherits the peak of the one that starts it, so this one must stay the smaller: it imports no torch.
    """
    begin, most = time.monotonic(), [0]
    with log.open("a") as output:
        words = [sys.executable, *map(str, command)]
        process = subprocess.Popen(words, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, env=environment())

    def count() -> None:
        while process.returncode is None:
            try:
                most[0] = max(most[0], len(os.listdir(f"/proc/{process.pid}/fd")))
            except OSError:  # ended
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)

    counter = threading.Thread(target=count)
    counter.start()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    counter.join()
    if process.returncode:
        sys.exit(f"{' '.join(words)}: exit status {process.returncode}\n{log.read_text()[-2_000:]}")
    return Use(time.monotonic() - begin, usage.ru_maxrss / 1_000, most[0])


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def run(folder: Path, n_rows: int) -> dict[str, Use]:
    """Write a cache of that many rows and run every command on it."""
    begin, log = time.monotonic(), folder / "log.txt"
    writer = (sys.executable, "-m", "tests.faults.scale", "write", str(folder), str(n_rows))
    subprocess.run(writer, cwd=ROOT, env=environment(), check=True)  # in a process of its own: see `measure`
    shards = len(list((folder / "train").glob("shard-*.h5")))
    print(f"{n_rows} rows in {shards} shards, written in {time.monotonic() - begin:.0f} s", flush=True)
    return {name: measure(command, log) for name, command in commands(folder).items()}


def main() -> None:
    """Run the sizes that are given, and compare each with the first."""
    if sys.argv[1:2] == ["write"]:
        return write(Path(sys.argv[2]), int(sys.argv[3]))
    first: dict[str, Use] = {}
    too_many = False
    for n_rows in map(int, sys.argv[1:] or ("100000", "1000000")):
        with tempfile.TemporaryDirectory() as folder:
            uses = run(Path(folder), n_rows)
        first = first or uses
        for name, use in uses.items():
            ratio = use.peak_mb / first[name].peak_mb
            print(
                f"  {name:16s}{use.seconds:8.1f} s {use.peak_mb:8.0f} MB, × {ratio:.2f}{use.descriptors:6d} files",
                flush=True,
            )
            too_many |= use.descriptors > DESCRIPTORS
    sys.exit(too_many)


if __name__ == "__main__":
    main()

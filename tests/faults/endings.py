"""Commands that are told to end, or killed, at any moment: what they say, what they leave, and what runs on.

    python -m tests.faults.endings 200

starts each command again and again in a process of its own, sends SIGINT, SIGTERM, SIGHUP, SIGUSR1 or SIGKILL at a
random moment between its first line of Python and its end, looks for what is left, and runs it once more: that must end
with the files of a run that nobody interrupted. Every second signal is sent to all processes of the command, as a
scheduler and a terminal do. Needs Linux's /proc.

    python -m tests.faults.endings 10 0 SIGTERM preprocess main_train

sends that signal alone, to those commands alone.
"""

from spoofcache.common.signals import end_on_signals

import contextlib
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import soundfile

from spoofcache.engine.about import FORMAT_VERSION, About
from spoofcache.engine.checkpoint import save_best
from spoofcache.engine.config import BackendConfig, ExperimentConfig, TrainConfig
from spoofcache.engine.countermeasure import build_countermeasure
from spoofcache.features import extract, plan
from spoofcache.features.extract import make_identity
from spoofcache.features.extract_options import ExtractOptions
from spoofcache.features.frontends import make_frontend
from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.features.plan import Identity
from spoofcache.protocols.trial import CLASS_INDEX
from spoofcache.tools.demo_corpus.builtin_voice import SPEAKERS, write_speaker
from tests.commands import Command, Done
from tests.corpora import make_trials, separable_rows, write_cache, write_corpus
from tests.runs import PERFECT, write_run, write_test

ROOT = Path(__file__).resolve().parents[2]
STATUS = {
    signal.SIGINT: 130,
    signal.SIGTERM: 143,
    signal.SIGHUP: 129,
    signal.SIGUSR1: 138,
    signal.SIGKILL: -signal.SIGKILL,
}
BEFORE_WORK = "Interrupted before any work was started."
UNDER_WAY = "Interrupted; no incomplete file was left behind."
MARK = "SPOOFCACHE_TEST_MARK"
"""A variable of the environment that a command's whole family inherits, children with sessions of their own too."""

SECONDS_TO_END = 20.0
"""How long processes may outlive their parent: parents are looked for twice a second, on a machine that is busy."""

HALF_MADE = (".*.part", "*.lock", ".shard-*")
FOREIGN = re.compile(r"Traceback|Exception ignored|\w+Warning|Error")
"""Words of Python and its libraries; our own warnings are lines that begin with `Warning: `."""

FRESH_EACH = 3
"""One in so many interruptions is of a fresh process."""


class Fresh:
    """A command in an interpreter of its own, so that a signal can meet its imports."""

    def __init__(self, folder: Path, words: Sequence[object], mark: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", MARK: mark}
        self._texts = [tempfile.TemporaryFile("w+") for _ in range(2)]  # noqa: SIM115
        command = [sys.executable, str(ROOT / str(words[0])), *map(str, words[1:])]
        stdout, stderr = self._texts
        self._process = subprocess.Popen(command, cwd=folder, env=environment, stdout=stdout, stderr=stderr)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self) -> Done:
        """Wait until it has ended."""
        status, texts = self._process.wait(), []
        for file in self._texts:
            file.seek(0)
            texts.append(file.read())
            file.close()
        return Done(status, *texts)


def enter(folder: Path, mark: str) -> None:
    """Called in a forked process before the script: what a fresh one is started with."""
    os.chdir(folder)
    os.environ[MARK] = mark
    end_on_signals()  # the forked interpreter has imported the handling of signals as a test, not as a command
    plan.SHARD_ROWS, extract.PROCESSES_FROM = 16, 1  # a small corpus has many shards, and processes that decode


class Family:
    """A command, started, with all the processes that come from it.

    Args:
        folder: the command's current folder.
        words: the script, by its path in the repository, and its options.
        is_fresh: in an interpreter of its own; else forked from one that has imported the large libraries, which takes
            a fraction of the time.
    """

    def __init__(self, folder: Path, words: Sequence[object], is_fresh: bool) -> None:
        mark = f"{os.getpid()}.{time.monotonic_ns()}"
        self._mark = f"{MARK}={mark}".encode()
        self.command: Fresh | Command
        if is_fresh:
            self.command = Fresh(folder, words, mark)
        else:
            self.command = Command(folder.parent, str(words[0]), *words[1:], before=enter, given=(folder, mark))

    def wait_until_handled(self) -> None:
        """Wait until the command has installed what answers signals, or until it has ended."""
        while self.command.is_running and not _catches(self.command.pid, signal.SIGTERM):
            time.sleep(0.002)

    def send_signal(self, number: int, to_all: bool) -> None:
        """Send a signal to the command; with `to_all`, to its helpers first."""
        for pid in self._members() if to_all else ():
            if pid != self.command.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        self.command.send_signal(number)

    def survivors(self, seconds: float = SECONDS_TO_END) -> list[str]:
        """The command lines of processes of the family that do not end within some seconds; they are killed."""
        deadline = time.monotonic() + seconds
        while (left := self._members()) and time.monotonic() < deadline:
            time.sleep(0.05)
        lines = [Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode() for pid in left]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        return lines

    def _members(self) -> list[int]:
        members = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and self._mark in (entry / "environ").read_bytes().split(b"\0"):
                    members.append(int(entry.name))
            except OSError:  # ended, or not ours; of a zombie nothing can be read
                continue
        return members


def _catches(pid: int, number: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt")), 0)
    return bool(caught >> (number - 1) & 1)


class Case(NamedTuple):
    """A command to interrupt.

    Attributes:
        words: script and options; run in a folder of its own, beside which lies `inputs`.
        results: patterns of the files that it makes; with none, its standard output is the result.
        own: names in `inputs` that it writes into, and gets a copy of.
        resumed: further options for running it once more, where its folder `out` is there.
    """

    words: Sequence[object]
    results: Sequence[str] = ()
    own: Sequence[str] = ()
    resumed: Sequence[object] = ()


CONFIG = ExperimentConfig(BackendConfig("pooled_linear"), train=TrainConfig(epochs=4, batch_size=8))


def write_inputs(folder: Path) -> None:
    """What the commands read: corpora, caches, a run, speech."""
    write_corpus(folder / "corpus", make_trials(200), seconds=0.05)
    for name, n in (("train", 200), ("dev", 40)):
        trials = make_trials(n, name)
        write_cache(folder / name, trials, separable_rows(trials, (16, 12)))
    (folder / "config.toml").write_text(CONFIG.to_toml())
    write_run(folder / "run")
    write_test(folder / "test", PERFECT)
    frontend = make_frontend("lfcc", FrontEndOptions())
    settings = make_identity(frontend, ExtractOptions(n_samples=16_000, dtype="float32"))
    _write_lfcc_run(folder / "lfcc", frontend.row_shape(16_000), settings)
    _write_data(folder / "data")
    for name in list(SPEAKERS)[:2]:
        (folder / "speech").mkdir(exist_ok=True)
        write_speaker(folder / "speech", name, 22)


def _write_lfcc_run(folder: Path, shape: tuple[int, ...], identity: Identity) -> None:
    about = About(FORMAT_VERSION, "pooled_linear", {}, shape, identity.settings, CLASS_INDEX, 0, 0.1, 0.2, {})
    folder.mkdir()
    save_best(folder, build_countermeasure(about), about)


def _write_data(folder: Path) -> None:
    """A folder bonafide/ and spoof/ of WAVs and MP3s, so that FFmpeg's processes run too."""
    source = sorted((folder.parent / "corpus/flac").iterdir())[:120]
    for k, path in enumerate(source):
        place = folder / ("bonafide" if k % 2 else "spoof/tts")
        place.mkdir(parents=True, exist_ok=True)
        sound, rate = soundfile.read(path)
        soundfile.write(place / f"{path.stem}.{'mp3' if k % 4 < 2 else 'wav'}", list(sound) * 10, rate)


INPUTS = "../inputs"
CPU = ("--device", "cpu")
CORPUS = ("--corpus", "asvspoof19_style", "--protocol", f"{INPUTS}/corpus/protocol.txt")
AUDIO = ("--audio-dir", f"{INPUTS}/corpus/flac", "--partition", "train", "--frontend", "lfcc", "--length", 1_600)
CACHES = ("--train", f"{INPUTS}/train", "--dev", f"{INPUTS}/dev")
SEARCH = ("--cells", 2, "--channels", 2, "--batch-size", 32, "--epochs", 2)
UNGROUPED = ("--group", "none")
SIZES = ("--train", 16, "--dev", 16, "--eval", 16)
FRESH = ("prepare_corpus", "build_demo_corpus")
"""Commands whose pools of processes need an interpreter of their own."""

CASES: Mapping[str, Case] = {
    "preprocess": Case(("preprocess.py", *CORPUS, *AUDIO, "--out", "out", "--workers", 2), ["out/**/*"]),
    "preprocess_shared": Case(
        ("preprocess.py", *CORPUS, *AUDIO, "--out", "out", "--tasks", "0/1", "--no-locks", "--grace", 1), ["out/**/*"]
    ),
    "preprocess_processes": Case(
        ("preprocess.py", *CORPUS, *AUDIO, "--out", "out", "--processes", 2, *CPU), ["out/**/*"]
    ),
    "main_train": Case(
        ("main_train.py", "--config", f"{INPUTS}/config.toml", *CACHES, "--out", "out", *CPU),
        ["out/model.safetensors", "out/config.toml"],
        resumed=["--resume"],
    ),
    "generate_score": Case(
        ("generate_score.py", "--run", f"{INPUTS}/run", "--features", f"{INPUTS}/test", "--out", "scores.txt", *CPU),
        ["scores.txt"],
    ),
    "evaluate": Case(
        ("evaluate.py", "--run", "run", "--test", f"t={INPUTS}/test", "--bootstrap", 0, *CPU), own=["run"]
    ),
    "detect": Case(
        ("detect.py", "--run", f"{INPUTS}/lfcc", f"{INPUTS}/data", "--csv", "out.csv", *CPU), ["out.csv"]
    ),
    "main_search": Case(
        ("main_search.py", "--train", f"{INPUTS}/train", "--out", "out", *SEARCH, *CPU),
        ["out/genotype.toml"],
        resumed=["--resume"],
    ),
    "prepare_corpus": Case(
        ("tools/prepare_corpus.py", f"{INPUTS}/data", "--split", "1:1:1", *UNGROUPED, "--out", "out", "--workers", 2),
        ["out/*.csv"],
    ),
    "build_demo_corpus": Case(
        ("tools/build_demo_corpus.py", "--speech", f"{INPUTS}/speech", "--out", "out", "--workers", 2, *SIZES),
        ["out/**/*"],
    ),
}  # fmt: skip


class Reference(NamedTuple):
    """An uninterrupted run: its results, and its seconds from when signals are handled until its end."""

    results: Mapping[str, str]
    seconds: float


class Ending(NamedTuple):
    """How a command ended, `seconds` after the signal, and the faults in it."""

    how: str
    seconds: float
    faults: Sequence[str]


class Stand:
    """Runs the cases in a folder, beside their inputs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._references: dict[tuple[str, bool], Reference] = {}
        (folder / "inputs").mkdir()
        write_inputs(folder / "inputs")

    def reference(self, name: str, is_fresh: bool) -> Reference:
        """The uninterrupted run, made when it is first asked for."""
        key = (name, is_fresh)
        if key not in self._references:
            case, place = CASES[name], self._place(name)
            family = Family(place, case.words, is_fresh)
            family.wait_until_handled()
            begin = time.monotonic()
            status, output, errors = family.command.wait()
            if status:
                raise RuntimeError(f"{name}: exit status {status}\n{errors}")
            self._references[key] = Reference(_results(case, place, output), time.monotonic() - begin)
            shutil.rmtree(place)
        return self._references[key]

    def interrupt(
        self, name: str, number: int, moment: Callable[[Path, float], None], is_fresh: bool, to_all: bool = False
    ) -> Ending:
        """Start a case, wait for a moment, send a signal, look, and run it once more.

        Args:
            name: of the case.
            number: of the signal.
            moment: returns when it has come; called with the case's folder and the seconds that the case takes.
            is_fresh: see Family.
            to_all: send it to every process of the command, not only to the first.
        """
        case, reference, place = CASES[name], self.reference(name, is_fresh), self._place(name)
        family = Family(place, case.words, is_fresh)
        family.wait_until_handled()
        moment(place, reference.seconds)
        family.send_signal(number, to_all)
        begin = time.monotonic()
        status, output, errors = family.command.wait()
        seconds = time.monotonic() - begin
        faults = [f"still runs: {line}" for line in family.survivors()]
        if number != signal.SIGKILL:
            faults += _half_made(place) + _words_faults(status, number, errors)
        how = "finished" if status == 0 else "before work" if BEFORE_WORK in errors else "under way"
        how = "killed" if number == signal.SIGKILL and status else how
        if status or _results(case, place, output) != reference.results:
            faults += self._again(case, reference, place, is_fresh)
        if not faults:
            shutil.rmtree(place)
        return Ending(how, seconds, faults)

    def _again(self, case: Case, reference: Reference, place: Path, is_fresh: bool) -> list[str]:
        """The faults of the same command in the same folder, run to its end."""
        if case.results and _results(case, place, "") == reference.results:
            return _half_made(place)  # everything was there when the signal came; commands refuse to replace results
        resumed = case.resumed if (place / "out").exists() else ()
        status, output, errors = Family(place, (*case.words, *resumed), is_fresh).command.wait()
        if status:
            return [f"run again: exit status {status}, {errors[-500:]}"]
        found = _results(case, place, output)
        differ = sorted(path for path in {*found, *reference.results} if found.get(path) != reference.results.get(path))
        return [f"run again: {path} differs" for path in differ] + _half_made(place)

    def _place(self, name: str) -> Path:
        place = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        for own in CASES[name].own:
            shutil.copytree(self.folder / "inputs" / own, place / own)
        return place


def _results(case: Case, place: Path, output: str) -> dict[str, str]:
    """Path → hash of its content, or what was printed."""
    if not case.results:
        return {"standard output": output}
    paths = {path for pattern in case.results for path in place.glob(pattern) if path.is_file()}
    return {str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)}


def _half_made(place: Path) -> list[str]:
    return [f"left behind: {path.relative_to(place)}" for name in HALF_MADE for path in place.rglob(name)]


def _words_faults(status: int, number: int, errors: str) -> list[str]:
    """Wrong exit status, and what is not one sentence, after a signal that is answered."""
    if status == 0:  # it came when everything was done
        return [f"finished, but says: {errors[-300:]}"] if "Interrupted" in errors or "Traceback" in errors else []
    faults = [f"exit status {status}, expected {STATUS[signal.Signals(number)]}: {errors[-300:]}"]
    faults = faults if status != STATUS[signal.Signals(number)] else []
    if sum(errors.count(sentence) for sentence in (BEFORE_WORK, UNDER_WAY)) != 1:
        faults.append(f"not one sentence: {errors[-300:]!r}")
    faults += [f"{word} in {errors[-1_500:]!r}" for word in sorted(set(FOREIGN.findall(errors)))]
    return faults


def at_fraction(fraction: float) -> Callable[[Path, float], None]:
    """The moment when that part of the command's usual time has passed."""
    return lambda place, seconds: time.sleep(fraction * seconds)


def run(
    folder: Path, count: int, seed: int, names: Sequence[str], numbers: Sequence[int]
) -> tuple[Counter[tuple[str, str, str]], int]:
    """Interrupt each case `count` times; (case, signal, how it ended) → how often, and the number of faults."""
    rng, stand, n_faults = random.Random(seed), Stand(folder), 0
    outcome = Counter[tuple[str, str, str]]()
    for turn in range(count):
        for name in names:
            number, fraction, to_all = numbers[turn % len(numbers)], rng.uniform(0, 1.02), turn % 2 == 1
            is_fresh = name in FRESH or turn % FRESH_EACH == FRESH_EACH - 1
            how, seconds, faults = stand.interrupt(name, number, at_fraction(fraction), is_fresh, to_all)
            told = f"{name} {signal.Signals(number).name}{' to all' if to_all else ''} at {fraction:.3f}"
            print(f"{told}: {how} after {seconds:.1f} s", flush=True)
            outcome[name, signal.Signals(number).name, how] += 1
            n_faults += bool(faults)
            for fault in faults:
                print(f"{told}: {fault}", file=sys.stderr, flush=True)
    return outcome, n_faults


def table(outcome: Mapping[tuple[str, str, str], int]) -> str:
    """The counts as text, a command on each line."""
    kinds = sorted({(number, how) for _, number, how in outcome})
    lines = []
    for name in dict.fromkeys(name for name, _, _ in outcome):
        cells = [
            f"{number} {how} {outcome[name, number, how]}" for number, how in kinds if outcome.get((name, number, how))
        ]
        lines.append(f"{name:18s}{', '.join(cells)}")
    return "\n".join(lines)


def main() -> None:
    """Interrupt each command as often as the first argument says; then follow a random seed, signals and commands."""
    count, seed = int((sys.argv[1:] or ["24"])[0]), int((sys.argv[2:] or ["0"])[0])
    names = [word for word in sys.argv[3:] if word not in signal.Signals.__members__]
    numbers = [signal.Signals[word] for word in sys.argv[3:] if word in signal.Signals.__members__]
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcome, n_faults = run(Path(folder), count, seed, names or list(CASES), numbers or list(STATUS))
    print(
        f"{sum(outcome.values())} interruptions, seed {seed}, {time.monotonic() - begin:.0f} s, {n_faults} with faults"
    )
    print(table(outcome))
    sys.exit(n_faults > 0)


if __name__ == "__main__":
    main()

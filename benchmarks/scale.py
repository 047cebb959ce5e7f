"""Measure whether memory is constant and time linear in the size of the corpus, with `preprocess.py`.

Synthetic FLAC files of 1 to 6 s are written once. Then the real command runs on the first N of them, each size in a
process of its own, and the kernel reports its peak resident memory. This includes memory that it shares with decoding
processes, but not their own memory. The results are the ratios to the first size, the baseline, of the peak memory and
of the seconds per utterance. The start of the command weighs most in the first size.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import soundfile

from spoofcache.benchmarks.machine import Machine, write_json
from spoofcache.benchmarks.options import folder_option, json_option
from spoofcache.common.cli import Sentence, progress, sentences
from spoofcache.common.machine import peak_bytes
from spoofcache.features.waveform import SAMPLE_RATE

COMMAND = Path(__file__).resolve().parent.parent / "preprocess.py"

SECONDS = (1.0, 6.0)
"""Shortest and longest utterance in seconds, so that some are padded and some are cut."""

DEFAULT_LIMITS = (1_000, 4_000, 16_000)
"""Sizes in the ratio 1:4:16. The first is large enough that processes decode the files."""

EXAMPLES = """\b
Examples:
  python benchmarks/scale.py
  python tools/make_random_ssl.py --architecture xls-r-300m --layers 2 --out /tmp/xlsr-2
  python benchmarks/scale.py --limit 200 --limit 800 --frontend xls-r-300m --weights /tmp/xlsr-2
"""


@dataclass(frozen=True)
class Peak:
    """The memory and time of one run of `preprocess.py`."""

    utterances: int
    peak_bytes: int
    seconds: float


def write_corpus(folder: Path, n_utterances: int, seed: int) -> None:
    """Write `protocol.txt` and `flac/`: noise [n] of random length, with every tenth utterance labelled bona fide."""
    generator = np.random.default_rng(seed)
    audio = folder / "flac"
    audio.mkdir()
    lines = []
    with progress("audio files", n_utterances) as advance:
        for index in range(n_utterances):
            n_samples = int(generator.uniform(*SECONDS) * SAMPLE_RATE)
            noise = 0.1 * generator.standard_normal(n_samples, dtype=np.float32)
            soundfile.write(audio / f"U_{index:07d}.flac", noise, SAMPLE_RATE)
            lines.append(f"SPEAKER U_{index:07d} - {'A01 spoof' if index % 10 else '- bonafide'}\n")
            advance(1)
    (folder / "protocol.txt").write_text("".join(lines), encoding="utf-8")


def measure(folder: Path, limit: int, options: Sequence[str]) -> Peak:
    """Run `preprocess.py --limit` over the corpus in `folder`.

    Raises:
        Sentence: the command failed.
    """
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        command = [sys.executable, str(COMMAND), "--corpus", "asvspoof19_style", "--partition", "train"]
        command += ["--protocol", str(folder / "protocol.txt"), "--audio-dir", str(folder / "flac")]
        command += ["--out", cache, "--limit", str(limit), *options]
        start = time.perf_counter()
        peak = peak_of(command)
        return Peak(limit, peak, time.perf_counter() - start)


def peak_of(command: Sequence[str]) -> int:
    """Run a command, and return its peak resident memory in bytes.

    A process inherits the peak of its parent, so this process must stay smaller and never imports torch.
    """
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Sentence(f"{' '.join(command)}: exit status {process.returncode}; expected 0")
    return peak_bytes(usage)


def table(peaks: Sequence[Peak]) -> str:
    """The result as text, with one line per size."""
    lines = [f"{'utterances':>10s} {'peak MB':>9s} {'× first':>8s} {'seconds':>8s} {'per utterance × first':>22s}"]
    for peak, memory, pace in zip(peaks, memory_ratios(peaks), time_ratios(peaks), strict=True):
        lines.append(
            f"{peak.utterances:10d} {peak.peak_bytes / 1e6:9.1f} {memory:8.3f} {peak.seconds:8.1f} {pace:22.2f}"
        )
    return "\n".join(lines)


def memory_ratios(peaks: Sequence[Peak]) -> list[float]:
    """Peak memory relative to that of the first size."""
    return [peak.peak_bytes / peaks[0].peak_bytes for peak in peaks]


def time_ratios(peaks: Sequence[Peak]) -> list[float]:
    """Seconds per utterance relative to those of the first size."""
    each = [peak.seconds / peak.utterances for peak in peaks]
    return [seconds / each[0] for seconds in each]


@click.command(epilog=EXAMPLES)
@click.option(
    "--limit",
    "limits",
    type=click.IntRange(1),
    multiple=True,
    default=DEFAULT_LIMITS,
    show_default=True,
    help="Number of utterances. Repeat the option for several sizes; the first one is the baseline.",
)
@click.option("--frontend", default="lfcc", show_default=True, help="Front-end, as in preprocess.py.")
@click.option("--weights", type=click.Path(path_type=Path, exists=True), help="Weights, as in preprocess.py.")
@click.option("--batch-size", type=click.IntRange(1), help="Batch size, as in preprocess.py.")
@click.option("--seed", default=0, show_default=True, help="Random seed of the noise.")
@json_option
@folder_option
@sentences()
def main(
    limits: Sequence[int], frontend: str, weights: Path | None, batch_size: int | None, seed: int,
    json_path: Path | None, folder: Path | None,
) -> None:  # fmt: skip
    """Measure the peak resident memory and the time of preprocess.py for several sizes of a corpus."""
    machine = Machine.here()
    options = ["--frontend", frontend]
    options += ["--weights", str(weights.absolute())] if weights else []
    options += ["--batch-size", str(batch_size)] if batch_size else []
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        write_corpus(Path(temporary), max(limits), seed)
        peaks = [measure(Path(temporary), limit, options) for limit in limits]
    click.echo(machine)
    click.echo(f"preprocess.py {' '.join(options)}")
    click.echo(table(peaks))
    settings = {"frontend": frontend, "weights": str(weights) if weights else None, "batch_size": batch_size}
    ratios = {"memory_to_first": memory_ratios(peaks), "time_per_utterance_to_first": time_ratios(peaks)}
    write_json(json_path, machine, {"settings": settings, "runs": [*map(asdict, peaks)], **ratios})


if __name__ == "__main__":
    main()

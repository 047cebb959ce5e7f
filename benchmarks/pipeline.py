"""Measure whether the extraction, from audio files to finished shards, keeps its slowest stage busy.

The stages are decoding, the model (with the transfer to the device and back, and the conversion to the stored type) and
writing with fsync. In each round, each stage runs alone on the same number of utterances, and then all run together as
in `preprocess.py`, including the start of decoding processes. The result is the rate of the whole relative to that of
the slowest stage, the baseline, in the same round.
"""

import shutil
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import click

if missing := " ".join(name for name in ("av", "soundfile", "soxr") if find_spec(name) is None):
    raise SystemExit(
        f"not installed: {missing}; where no registry can be reached, elsewhere `pip download --only-binary=:all: "
        f"-d wheels -c requirements.txt {missing}` (with --python-version and --platform of this machine), then here "
        f"`pip install --no-index --find-links wheels {missing}`"
    )

from spoofcache.common import cli  # before torch, because it sets how the threads of torch wait

# isort: split
import numpy as np
import torch
from numpy.typing import NDArray

from spoofcache.benchmarks.machine import Machine, OthersShare, write_json
from spoofcache.benchmarks.options import folder_option, json_option
from spoofcache.benchmarks.scale import write_corpus
from spoofcache.common.files import Claim
from spoofcache.features.decoding import Decoders
from spoofcache.features.device import Device, Launched
from spoofcache.features.extract import PROCESSES_FROM, extract_partition, make_identity
from spoofcache.features.extract_options import ExtractOptions, default_batch_size, default_workers
from spoofcache.features.frontends import make_frontend
from spoofcache.features.frontends.base import FrontEnd, FrontEndOptions
from spoofcache.features.pipeline import BATCHES_IN_FLIGHT
from spoofcache.features.plan import Plan, StoreError
from spoofcache.features.store import ShardWriter
from spoofcache.features.waveform import Waveform
from spoofcache.protocols import find_audio
from spoofcache.protocols.trial import Trial
from spoofcache.tools.make_random_ssl import write_checkpoint

STAGES = ("decode", "model", "write")
WHOLE = "whole"

EXAMPLES = """\b
Examples:
  python benchmarks/pipeline.py
  python benchmarks/pipeline.py --frontend xls-r-300m --blocks 2 --limit 64
  # on a GPU: XLS-R-300M's geometry with random weights
  python benchmarks/pipeline.py --frontend xls-r-300m --blocks 24 --precision float16 --limit 20000 --json pipeline.json
"""


@dataclass(frozen=True)
class Work:
    """An extraction to measure: its trials, its front-end and its folder."""

    trials: Sequence[Trial]
    plan: Plan
    frontend: FrontEnd
    how: ExtractOptions
    folder: Path

    @classmethod
    def make(cls, folder: Path, limit: int, frontend: FrontEnd, how: ExtractOptions, seed: int) -> "Work":
        """Make a synthetic corpus of `limit` utterances in `folder`, and the extraction of it."""
        write_corpus(folder, limit, seed)
        trials = find_audio([Trial(f"U_{i:07d}", "bonafide") for i in range(limit)], folder / "flac")
        plan = Plan.make("bench", "train", make_identity(frontend, how), trials, frontend.row_shape(how.n_samples))
        return cls(trials, plan, frontend, how, folder / "cache")

    def decode(self) -> None:
        """Decode every file into its row."""
        with Decoders(self.how.form, self.how.workers, len(self.trials) >= PROCESSES_FROM) as decoders:
            for _ in decoders.batches(trial for trial in self.trials if trial.path is not None):
                pass

    def model(self) -> None:
        """Turn as many waveforms, the same ones repeatedly, into features in memory."""
        device, waveforms = self._device(), self._noise()
        in_flight: deque[Launched] = deque()
        for start in range(0, len(self.trials), self.how.batch_size):
            in_flight.append(device.launch(waveforms[: len(self.trials) - start]))
            if len(in_flight) > BATCHES_IN_FLIGHT:
                in_flight.popleft().wait()
        while in_flight:
            in_flight.popleft().wait()

    def write(self) -> None:
        """Write as many rows into finished shards. As in the pipeline, a shard is synced while the next is filled."""
        rows = self._rows
        self.folder.mkdir()
        with ThreadPoolExecutor(1) as committer:
            commits = [committer.submit(self._fill(index, rows).commit) for index in range(self.plan.shard_count)]
            for commit in commits:
                commit.result()

    def whole(self) -> None:
        """Run all three stages at once, as `preprocess.py` does."""
        extract_partition(self.trials, self.plan, self.frontend, self.folder, self.how)

    def _fill(self, index: int, rows: NDArray[Any]) -> ShardWriter:
        claim = Claim.take(self.plan.shard_path(self.folder, index))
        if claim is None:
            raise StoreError(f"{self.folder}: another process writes here; expected a folder of our own")
        writer = ShardWriter(claim, self.plan, index)
        group = self.trials[self.plan.group(index)]
        for start in range(0, len(group), len(rows)):
            utt_ids = [trial.utt_id for trial in group[start : start + len(rows)]]
            writer.append(utt_ids, rows[: len(utt_ids)])
        return writer

    @cached_property
    def _rows(self) -> NDArray[Any]:
        """A batch of features as they are stored."""
        rows: NDArray[Any] = self._device().launch(self._noise()).wait().rows.numpy()
        return rows

    def _device(self) -> Device:
        return Device(self.how.device, self.frontend.extract, self.plan.identity.dtype)

    def _noise(self) -> Waveform:
        shape = (self.how.batch_size, self.how.n_samples)
        return 0.1 * np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


@dataclass(frozen=True)
class Rates:
    """Utterances per second of each stage alone and of the whole, with one number for each round."""

    rounds: Mapping[str, Sequence[float]]

    def median_rate(self, name: str) -> float:
        return median(self.rounds[name])

    def shares(self) -> list[float]:
        """The rate of the whole, relative to that of the slowest stage in the same round."""
        alone = zip(*(self.rounds[stage] for stage in STAGES), strict=True)
        return [whole / min(stages) for whole, stages in zip(self.rounds[WHOLE], alone, strict=True)]


def measure(work: Work, rounds: int) -> Rates:
    """Run the stages and the whole in turns, after one batch that warms the front-end up."""
    _ = work._rows
    rates: dict[str, list[float]] = {name: [] for name in (*STAGES, WHOLE)}
    with cli.progress("runs", rounds * len(rates)) as advance:
        for _ in range(rounds):
            for name in rates:
                start = time.perf_counter()
                getattr(work, name)()
                rates[name].append(len(work.trials) / (time.perf_counter() - start))
                shutil.rmtree(work.folder, ignore_errors=True)
                advance(1)
    return Rates(rates)


def table(rates: Rates) -> str:
    """The result as text: one line per stage, the whole, and its share."""
    lines = [f"{'':8s} {'utterances/s':>13s} {'least … most':>17s}"]
    for name, each in rates.rounds.items():
        lines.append(f"{name:8s} {rates.median_rate(name):13.1f} {f'{min(each):.1f} … {max(each):.1f}':>17s}")
    shares = rates.shares()
    lines.append(f"whole / slowest stage: {median(shares):.0%} ({min(shares):.0%} … {max(shares):.0%})")
    return "\n".join(lines)


@click.command(epilog=EXAMPLES, context_settings={"show_default": True})
@click.option("--frontend", default="lfcc", help="Front-end, as in preprocess.py.")
@click.option("--weights", type=click.Path(path_type=Path, exists=True), help="Weights, as in preprocess.py.")
@click.option("--blocks", type=click.IntRange(1), help="Use random weights and this number of blocks instead.")
@click.option("--precision", help="Precision, as in preprocess.py.")
@click.option("--limit", type=click.IntRange(1), default=1_000, help="Number of utterances; use 20000 on a GPU.")
@click.option(
    "--batch-size", type=click.IntRange(1), help="Utterances per call of the network.  [default: 8, or 64 on a GPU]"
)
@click.option("--workers", type=click.IntRange(1), help="Decoders, as in preprocess.py.")
@click.option("--rounds", type=click.IntRange(1), default=3, help="Number of rounds.")
@click.option("--seed", default=0, help="Random seed of the noise in the files.")
@json_option
@folder_option
@cli.device_option
@cli.sentences()
def main(
    frontend: str, weights: Path | None, blocks: int | None, precision: str | None, limit: int, batch_size: int | None,
    workers: int | None, rounds: int, seed: int, json_path: Path | None, folder: Path | None, device: str,
) -> None:  # fmt: skip
    """Compare the rate of the extraction, from audio files to finished shards, with the rate of each stage alone."""
    machine, where, said = Machine.here(), cli.resolve_device(device), list[str]()
    batch_size = batch_size or default_batch_size(where)
    workers = workers or default_workers(where)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        if blocks:
            weights = Path(temporary) / "weights"
            write_checkpoint(weights, frontend, blocks)
        options = FrontEndOptions(
            weights=weights, precision=precision, device=where, compiled_batch_size=batch_size, tell=said.append
        )
        how = ExtractOptions(batch_size=batch_size, workers=workers, device=where)
        work = Work.make(Path(temporary), limit, make_frontend(frontend, options), how, seed)
        with OthersShare() as others:
            rates = measure(work, rounds)
    where_name = torch.cuda.get_device_name(where) if where.type == "cuda" else f"{torch.get_num_threads()} threads"
    click.echo(f"{machine}, {where_name}")
    identity = work.plan.identity.settings["front_end"]
    click.echo(f"{limit} utterances through {frontend}, batch {batch_size}, {workers} decoders, {rounds} rounds")
    click.echo(f"other processes took {others.share:.0%} of the cores meanwhile")
    click.echo("\n".join([*said, table(rates)]))
    settings = {"front_end": identity, "blocks": blocks, "limit": limit, "batch_size": batch_size, "workers": workers}
    result = {"device": where_name, "settings": settings, "others_share": others.share, "said": said}
    write_json(json_path, machine, result | {"rates": rates.rounds, "whole_to_slowest": rates.shares()})


if __name__ == "__main__":
    main()

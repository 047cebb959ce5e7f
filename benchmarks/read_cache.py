"""Compare random reads from our cache with the original approach, one `.pt` file per utterance.

All sides read the same random rows from the page cache, in turns within each round: in batches through `Feed`, as in
training; one at a time with `CachedFeatures[i]`; one at a time through h5py; and, as the baseline, with `torch.load` of
one float32 `.pt` file per utterance, stacked to the same batches. The result is the median over rounds of the ratio
within a round, because a busy machine slows all sides alike, although it slows those that copy with several threads
most.
"""

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click

from spoofcache.common import cli  # before torch, because it sets how the threads of torch wait

# isort: split
import h5py
import numpy as np
import torch

from spoofcache.benchmarks.machine import Machine, OthersShare, write_json
from spoofcache.benchmarks.options import folder_option, json_option
from spoofcache.common.files import Claim
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.feed import Feed
from spoofcache.features.plan import FORMAT_VERSION, TRIALS, Identity, Plan, StoreError, write_manifest
from spoofcache.features.store import ShardWriter
from spoofcache.protocols.snapshot import snapshot
from spoofcache.protocols.trial import Trial

ROW_SHAPE = (201, 1024)
"""The shape of the hidden states of XLS-R-300M for 64,600 samples."""

BASELINE = "pt"
SIDES: Mapping[str, str] = {
    "feed": "Feed in batches, float16",
    "cached_features": "CachedFeatures[i], float16",
    "h5py": "h5py contiguous, float16",
    BASELINE: "torch.load of .pt, float32, stacked",
}

Read = Callable[[Sequence[int]], torch.Tensor | Sequence[torch.Tensor]]
"""Features [201, 1024] of a batch of row indices: stacked [B, 201, 1024], or one by one."""

EXAMPLES = """\b
Examples:
  python benchmarks/read_cache.py
  python benchmarks/read_cache.py --rows 4096 --json read_cache.json
"""


@dataclass(frozen=True)
class Rates:
    """Items per second of each side of SIDES, with one number for each round."""

    rounds: Mapping[str, Sequence[float]]

    def median_rate(self, side: str) -> float:
        return median(self.rounds[side])

    def ratios(self, side: str) -> list[float]:
        """The rate, relative to that of the baseline in the same round."""
        return [ours / base for ours, base in zip(self.rounds[side], self.rounds[BASELINE], strict=True)]


def write_rows(folder: Path, n_rows: int, seed: int) -> Sequence[Path]:
    """Write random rows as a cache into `folder / "cache"`, and as one `.pt` file each; returns the paths of these."""
    cache, files = folder / "cache", folder / "pt"
    cache.mkdir()
    files.mkdir()
    trials = [Trial(f"U_{index:07d}", "bonafide") for index in range(n_rows)]
    identity = Identity({"format_version": FORMAT_VERSION, "front_end": "random numbers", "dtype": "float16"})
    plan = Plan.make("benchmark", "train", identity, trials, ROW_SHAPE)
    (cache / TRIALS).write_bytes(snapshot(trials))
    generator = np.random.default_rng(seed)
    for index in range(plan.shard_count):
        _write_shard(cache, plan, index, trials[plan.group(index)], files, generator)
    write_manifest(cache, plan, {})
    return [_pt_path(files, trial) for trial in trials]


def _write_shard(
    cache: Path, plan: Plan, index: int, trials: Sequence[Trial], files: Path, generator: np.random.Generator
) -> None:
    claim = Claim.take(plan.shard_path(cache, index))
    if claim is None:
        raise StoreError(f"{cache}: another process writes here; expected a folder of our own")
    writer = ShardWriter(claim, plan, index)
    for trial in trials:
        row = generator.standard_normal((1, *ROW_SHAPE), dtype=np.float32)
        torch.save(torch.from_numpy(row), _pt_path(files, trial))
        writer.append([trial.utt_id], row.astype(np.float16))
    writer.commit()


def _pt_path(files: Path, trial: Trial) -> Path:
    return files / f"{trial.utt_id}.pt"


@contextmanager
def open_sides(folder: Path, files: Sequence[Path]) -> Iterator[Mapping[str, Read]]:
    """The sides of SIDES as functions that read a batch."""
    cache = CachedFeatures(folder / "cache")
    plan = cache.plan
    feed, names = Feed([cache], torch.device("cpu"), "mapped"), [str(path) for path in files]
    with ExitStack() as stack:
        shards = [
            stack.enter_context(h5py.File(plan.shard_path(cache.folder, index), locking=False))["features"]
            for index in range(plan.shard_count)
        ]

        def read_h5py(index: int) -> torch.Tensor:
            shard, row = divmod(index, plan.shard_size)
            return torch.from_numpy(shards[shard][row])

        yield {
            "feed": lambda indices: next(feed.batches([indices])).features,
            "cached_features": lambda indices: [cache[index].features for index in indices],
            "h5py": lambda indices: [read_h5py(index) for index in indices],
            BASELINE: lambda indices: torch.cat([torch.load(names[index]) for index in indices]),
        }


def measure(sides: Mapping[str, Read], n_rows: int, items: int, rounds: int, seed: int, batch_size: int = 64) -> Rates:
    """Let each side read every row once, and then, in turns, `items` random rows in batches per round."""
    for read in sides.values():
        _rate(read, range(n_rows), batch_size)
    order = random.Random(seed)
    rates: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        indices = [order.randrange(n_rows) for _ in range(items)]
        for side, read in sides.items():
            rates[side].append(_rate(read, indices, batch_size))
    return Rates(rates)


def _rate(read: Read, indices: Sequence[int], batch_size: int) -> float:
    start = time.perf_counter()
    for first in range(0, len(indices), batch_size):
        read(indices[first : first + batch_size])
    return len(indices) / (time.perf_counter() - start)


def table(rates: Rates) -> str:
    """The result as text: one line per side."""
    lines = [f"{'side':36s} {'items/s':>10s} {'MB/s':>8s} {'× baseline':>11s} {'least … most':>15s}"]
    for side, title in SIDES.items():
        ratios, rate = rates.ratios(side), rates.median_rate(side)
        megabytes = rate * ROW_SHAPE[0] * ROW_SHAPE[1] * (4 if side == BASELINE else 2) / 1e6
        spread = f"{min(ratios):.1f} … {max(ratios):.1f}"
        lines.append(f"{title:36s} {rate:10.0f} {megabytes:8.0f} {median(ratios):11.1f} {spread:>15s}")
    return "\n".join(lines)


def figures(rates: Rates) -> dict[str, dict[str, object]]:
    """The result by name: for each side the rates of the rounds, their median, and the median ratio."""
    return {
        side: {
            "items_per_second": rates.median_rate(side),
            "ratio_to_pt": median(rates.ratios(side)),
            "rounds": list(rates.rounds[side]),
        }
        for side in SIDES
    }


@click.command(epilog=EXAMPLES)
@click.option(
    "--rows",
    type=click.IntRange(1),
    default=1024,
    show_default=True,
    help="Number of rows; each takes 1.2 MB of disk space.",
)
@click.option(
    "--items", type=click.IntRange(1), default=2000, show_default=True, help="Number of reads per side and round."
)
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Random seed of the numbers and of the order of reading.")
@json_option
@folder_option
@cli.sentences()
def main(
    rows: int, items: int, batch_size: int, rounds: int, seed: int, json_path: Path | None, folder: Path | None
) -> None:
    """Measure random reads: our cache in batches and one by one, h5py, and one .pt file per utterance."""
    machine = Machine.here()
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        files = write_rows(Path(temporary), rows, seed)
        with open_sides(Path(temporary), files) as sides, OthersShare() as others:
            rates = measure(sides, rows, items, rounds, seed, batch_size)
    click.echo(f"{machine}, {torch.get_num_threads()} threads")
    click.echo(f"{rows} rows of {' × '.join(map(str, ROW_SHAPE))}, {items} reads a side and round, {rounds} rounds")
    click.echo(f"other processes took {others.share:.0%} of the cores meanwhile")
    click.echo(table(rates))
    settings = {"rows": rows, "items": items, "batch_size": batch_size, "rounds": rounds, "seed": seed}
    result = {
        "settings": {**settings, "threads": torch.get_num_threads()},
        "others_share": others.share,
        "sides": figures(rates),
    }
    write_json(json_path, machine, result)


if __name__ == "__main__":
    main()

"""Compare the speed of training and scoring LCNN from the cache with the original form of the same work.

The original form is the plain network in eager float32. It trains on batches that worker processes load from one
float32 `.pt` file per utterance, and scores one such file at a time. Our form reads the same rows from the cache as
main_train.py and generate_score.py do, including their allocator settings, so each side has a process of its own. The
sides take turns within each round, and the result is the median over rounds of the ratio within a round, because a busy
machine slows both alike. Each side takes one turn before the clock starts, in which ours compiles. The workers of the
original load data while ours has its turn, which is an advantage for the original.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import click

from spoofcache.common import cli  # before torch, because it sets how the threads of torch wait

# isort: split
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, RandomSampler

from spoofcache.benchmarks import read_cache
from spoofcache.benchmarks.machine import Machine, write_json
from spoofcache.benchmarks.options import folder_option, json_option
from spoofcache.benchmarks.plain import build
from spoofcache.common.machine import keep_freed_memory
from spoofcache.engine.config import BackendConfig, ExperimentConfig, TrainConfig
from spoofcache.engine.countermeasure import Countermeasure
from spoofcache.engine.optim import Updater
from spoofcache.engine.score import run_network
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.feed import Feed
from spoofcache.models import BACKENDS
from spoofcache.models.losses import LOSSES

SIDES = {"original": "plain, eager, float32, .pt files", "ours": "from the cache"}
FOREVER = 10**9

EXAMPLES = """\b
Examples:
  python benchmarks/training.py
  python benchmarks/training.py --part scoring --json scoring.json
  python benchmarks/training.py --device cuda --rows 2048 --batch-size 64 --steps 50 --workers 8
"""

Turn = Callable[[], int]
"""Does a part of a side's work, waits for the device, and returns the number of processed utterances."""


class PtFiles(Dataset[torch.Tensor]):
    """Features [201, 1024] from one `.pt` file per utterance."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> torch.Tensor:
        row: torch.Tensor = torch.load(self._files[index])[0]
        return row


@dataclass(frozen=True)
class Work:
    """The work of both sides. `precision` and `compiled` apply to our training; scoring is in float32 and eager."""

    batch_size: int
    steps: int
    device: str
    workers: int
    precision: str
    compiled: bool

    def labels(self) -> torch.Tensor:
        return torch.arange(self.batch_size, device=self.device) % 2

    def draw(self, n_rows: int) -> Iterator[list[int]]:
        """Yield random batches of row numbers without end."""
        sampler = RandomSampler(range(n_rows), replacement=True, num_samples=FOREVER)
        return iter(torch.utils.data.BatchSampler(sampler, self.batch_size, drop_last=True))

    def countermeasure(self, shape: tuple[int, ...]) -> Countermeasure:
        torch.manual_seed(0)
        model = Countermeasure(BACKENDS["lcnn"](shape), LOSSES["cross_entropy"](torch.ones(2), 256))
        return model.to(self.device)


def original_training(work: Work, files: Sequence[Path], cache: CachedFeatures) -> Turn:
    """Train for `steps` updates with Adam in float32; worker processes load the batches."""
    torch.manual_seed(0)
    model, labels = build("lcnn", cache.plan.row_shape, plain=True).to(work.device).train(), work.labels()
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    sampler = RandomSampler(files, replacement=True, num_samples=FOREVER)
    on_gpu = work.device.startswith("cuda")
    loader = DataLoader(PtFiles(files), work.batch_size, sampler=sampler, num_workers=work.workers, pin_memory=on_gpu)
    batches = iter(loader)

    def turn() -> int:
        for _ in range(work.steps):
            optimizer.zero_grad(set_to_none=True)
            logits = model(next(batches).to(work.device, non_blocking=True)).logits
            loss = F.cross_entropy(logits, labels)
            loss.backward()
            optimizer.step()
            loss.item()
        return work.steps * work.batch_size

    return turn


def our_training(work: Work, files: Sequence[Path], cache: CachedFeatures) -> Turn:
    """Train for `steps` updates with engine.optim.Updater on batches from a Feed."""
    device, labels = torch.device(work.device), work.labels()
    train = TrainConfig(batch_size=work.batch_size, precision=work.precision)  # type: ignore[arg-type]
    config = ExperimentConfig(BackendConfig("lcnn"), train=train)
    model = work.countermeasure(cache.plan.row_shape).train()
    updater = Updater(model, config, FOREVER, device)
    if work.compiled:
        updater.forward.compile(work.batch_size)
    feed = Feed([cache], device)
    batches = feed.batches(work.draw(len(feed)))

    def turn() -> int:
        for _ in range(work.steps):
            updater.update(0, next(batches).features, labels)
        return work.steps * work.batch_size

    return turn


def original_scoring(work: Work, files: Sequence[Path], cache: CachedFeatures) -> Turn:
    """Score the first `steps · batch_size` files, one at a time."""
    torch.manual_seed(0)
    model = build("lcnn", cache.plan.row_shape, plain=True).to(work.device).eval()
    chosen = files[: work.steps * work.batch_size]

    @torch.inference_mode()
    def turn() -> int:
        for path in chosen:
            logits = model(torch.load(path).to(work.device)).logits
            (logits[:, 1] - logits[:, 0]).item()
        return len(chosen)

    return turn


def our_scoring(work: Work, files: Sequence[Path], cache: CachedFeatures) -> Turn:
    """Score as many rows with engine.score.run_network."""
    device, model = torch.device(work.device), work.countermeasure(cache.plan.row_shape)
    feed = Feed([cache], device, "mapped")
    n_rows = min(work.steps * work.batch_size, len(feed))

    @torch.inference_mode()
    def turn() -> int:
        done = 0
        for batch in run_network(model, feed, work.batch_size, device):
            model.score(batch.output).cpu()
            done += len(batch.labels)
            if done >= n_rows:
                break
        return done

    return turn


PARTS: Mapping[str, Mapping[str, Callable[[Work, Sequence[Path], CachedFeatures], Turn]]] = {
    "training": {"original": original_training, "ours": our_training},
    "scoring": {"original": original_scoring, "ours": our_scoring},
}


class Side:
    """One side of a part, in a process of its own."""

    def __init__(self, part: str, side: str, work: Work, files: Sequence[Path], cache: Path) -> None:
        self._pool = ProcessPoolExecutor(1, get_context("spawn"), _begin, (part, side, work, files, cache))

    def take_turn(self) -> float:
        """Utterances per second of a turn."""
        return self._pool.submit(_take_turn).result()

    def __enter__(self) -> "Side":
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown()


_turn: Turn
"""Takes a turn of the side that runs in this process."""


def _begin(part: str, side: str, work: Work, files: Sequence[Path], cache: Path) -> None:
    """Prepare a side; called in the process of that side."""
    global _turn
    if side == "ours":
        keep_freed_memory()
    _turn = PARTS[part][side](work, files, CachedFeatures(cache))


def _take_turn() -> float:
    start = time.perf_counter()
    return _turn() / (time.perf_counter() - start)


def measure(sides: Mapping[str, Side], rounds: int, advance: Callable[[int], None]) -> dict[str, dict[str, Any]]:
    """Utterances per second of each side after one turn of each, and the ratio to the original in each round."""
    for side in sides.values():
        side.take_turn()
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            rates[name].append(side.take_turn())
        advance(1)
    return {
        name: {
            "utterances_per_second": median(rates[name]),
            "ratio": median(own / base for own, base in zip(rates[name], rates["original"], strict=True)),
            "rounds": rates[name],
        }
        for name in sides
    }


def table(figures: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """The result as text: a line per part and side."""
    lines = [f"{'part':10s} {'side':34s} {'utt/s':>9s} {'× original':>11s}"]
    for part, sides in figures.items():
        for side, found in sides.items():
            rate, ratio = found["utterances_per_second"], found["ratio"]
            lines.append(f"{part:10s} {SIDES[side]:34s} {rate:9.2f} {ratio:11.2f}")
    return "\n".join(lines)


@click.command(epilog=EXAMPLES)
@click.option(
    "--part", "parts", type=click.Choice(list(PARTS)), multiple=True, help="Part to measure.  [default: both]"
)
@click.option(
    "--rows",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    help="Number of rows; each takes 1.2 MB of disk space.",
)
@click.option("--batch-size", type=click.IntRange(2), default=8, show_default=True)
@click.option("--steps", type=click.IntRange(1), default=2, show_default=True, help="Steps per side and round.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--workers", type=click.IntRange(0), default=2, show_default=True, help="Workers of the original.")
@click.option("--precision", type=click.Choice(["float32", "bfloat16", "float16"]), default="bfloat16",
              show_default=True, help="Precision of our training.")  # fmt: skip
@click.option("--eager", is_flag=True, help="Train without torch.compile on our side.")
@cli.device_option
@json_option
@folder_option
@cli.sentences()
def main(
    parts: Sequence[str], rows: int, batch_size: int, steps: int, rounds: int, workers: int, precision: str,
    eager: bool, device: str, json_path: Path | None, folder: Path | None,
) -> None:  # fmt: skip
    """Measure training and scoring of LCNN on 201 × 1024 features, from our cache and in the original form."""
    machine, place = Machine.here(), str(cli.resolve_device(device))
    work = Work(batch_size, steps, place, workers, precision, not eager)
    parts, figures = parts or list(PARTS), {}
    with tempfile.TemporaryDirectory(dir=folder) as temporary, ExitStack() as stack:
        files = read_cache.write_rows(Path(temporary), rows, seed=0)
        advance = stack.enter_context(cli.progress("rounds", rounds * len(parts)))
        for part in parts:
            with ExitStack() as processes:
                made = {side: Side(part, side, work, files, Path(temporary) / "cache") for side in PARTS[part]}
                sides = {name: processes.enter_context(side) for name, side in made.items()}
                figures[part] = measure(sides, rounds, advance)
    on_gpu = f", {torch.cuda.get_device_name(place)}" if place.startswith("cuda") else ""
    click.echo(f"{machine}, {torch.get_num_threads()} threads{on_gpu}")
    click.echo(f"batch {batch_size}; our training: {precision}, {'eager' if eager else 'compiled'}")
    click.echo(table(figures))
    settings = {**vars(work), "rows": rows, "rounds": rounds, "threads": torch.get_num_threads()}
    write_json(json_path, machine, {"settings": settings, "parts": figures})


if __name__ == "__main__":
    main()

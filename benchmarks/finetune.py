"""Compare a step of fine-tuning from a cached boundary with a step that trains the whole speech model from waveforms.

Each form runs in a process of its own, so that its peak memory is its own, with a model of XLS-R's geometry, random
weights and, by default, half of its width. A step is forward, backward and an update with Adam on one batch; the first
one is not timed.
"""

import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import NamedTuple

import click

from spoofcache.benchmarks.machine import Machine, write_json
from spoofcache.benchmarks.options import json_option
from spoofcache.common.machine import peak_bytes
from spoofcache.features.encoder import WAVEFORM, open_checkpoint
from spoofcache.tools.make_random_ssl import narrow, write_checkpoint

N_SAMPLES = 64_600


class Work(NamedTuple):
    """The work of a form. `start` is the boundary, or `waveform` for the whole model."""

    folder: Path
    start: str
    batch_size: int
    steps: int
    device: str


class Figures(NamedTuple):
    """Median seconds of a step, and the largest memory of the GPU, or of the process, in bytes."""

    seconds: float
    peak_bytes: int


def measure(work: Work) -> Figures:
    """Time the steps of a form."""
    import torch

    start = WAVEFORM if work.start == WAVEFORM else int(work.start)
    encoder = open_checkpoint("", work.folder, None, {"trainable_from": start}).encoder().to(work.device).train()
    shape = (N_SAMPLES,) if start == WAVEFORM else (201, encoder.spec.model["hidden_size"])
    rows = torch.randn(work.batch_size, *shape, device=work.device)
    optimizer = torch.optim.Adam([each for each in encoder.parameters() if each.requires_grad], lr=1e-6)
    seconds = []
    for _ in range(1 + work.steps):
        before = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        encoder(rows).square().mean().backward()
        optimizer.step()
        if work.device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - before)
    if work.device == "cpu":
        return Figures(median(seconds[1:]), peak_bytes(resource.getrusage(resource.RUSAGE_SELF)))
    return Figures(median(seconds[1:]), torch.cuda.max_memory_allocated())


@click.command()
@click.option("--blocks", type=click.IntRange(1), default=24, show_default=True, help="Number of blocks.")
@click.option("--width", type=click.IntRange(64), default=512, show_default=True, help="Size of the hidden states.")
@click.option(
    "--boundary", "boundaries", type=click.IntRange(0), multiple=True, default=(12, 18, 22), show_default=True
)
@click.option("--batch-size", type=click.IntRange(1), default=4, show_default=True, help="Utterances in a step.")
@click.option("--steps", type=click.IntRange(1), default=3, show_default=True, help="Timed steps of each form.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@json_option
def main(
    blocks: int,
    width: int,
    boundaries: tuple[int, ...],
    batch_size: int,
    steps: int,
    device: str,
    json_path: Path | None,
) -> None:
    """Measure steps of fine-tuning from several boundaries and from waveforms, in one run."""
    machine, figures = Machine.here(), {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        write_checkpoint(folder, "xls-r-300m", blocks, **narrow(width))
        for start in (WAVEFORM, *map(str, boundaries)):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                work = Work(folder, start, batch_size, steps, device)
                figures[start] = pool.submit(measure, work).result()
    whole = figures[WAVEFORM]
    click.echo(f"{machine}\n{blocks} blocks of width {width}, batch {batch_size}, {device}")
    click.echo("from       s/step   whole/this  blocks/(blocks - k)  peak GB")
    for start, each in figures.items():
        expected = "" if start == WAVEFORM or int(start) == blocks else f"{blocks / (blocks - int(start)):.2f}"
        ratio = whole.seconds / each.seconds
        click.echo(f"{start:<9}{each.seconds:8.3f}{ratio:12.2f}{expected:>21}{each.peak_bytes / 1e9:9.2f}")
    settings = {"blocks": blocks, "width": width, "batch_size": batch_size, "steps": steps, "device": device}
    named = {start: each._asdict() for start, each in figures.items()}
    write_json(json_path, machine, {"settings": settings, "forms": named})


if __name__ == "__main__":
    main()

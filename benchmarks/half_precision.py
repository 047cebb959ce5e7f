"""Measure how much scores change if hidden states of XLS-R are computed in float16 or bfloat16.

An LCNN is fitted to the hidden states of a float32 cache, so that its scores have the scale of a countermeasure (their
spread is printed, because a difference means little without it). Then it scores the same utterances with the hidden
states that caches of the other precisions would contain, stored as float16.

Without `--raw-cache`, the speech is artificial, which needs no corpus and no audio library: the pitch of bona fide
voices wavers, that of spoofs does not. Without `--weights`, the speech model has random weights in the full geometry.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import click

from spoofcache.common import cli  # before torch, because it sets how the threads of torch wait

# isort: split
import torch
from torch.optim.swa_utils import update_bn

from spoofcache.benchmarks.backends import aligned
from spoofcache.benchmarks.machine import Machine, write_json
from spoofcache.benchmarks.options import json_option
from spoofcache.engine.config import BackendConfig, ExperimentConfig, OptimizerConfig, TrainConfig
from spoofcache.engine.countermeasure import Countermeasure
from spoofcache.engine.optim import Updater
from spoofcache.engine.score import run_batch
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.feed import Feed
from spoofcache.features.frontends import make_frontend
from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.features.store import from_stored, to_stored
from spoofcache.features.waveform import MIN_SAMPLES, N_SAMPLES, SAMPLE_RATE
from spoofcache.models.lcnn import LCNN
from spoofcache.models.losses import LOSSES
from spoofcache.tools.make_random_ssl import write_checkpoint

ARCHITECTURE = "xls-r-300m"
STORED = {"float32": "float32", "float16": "float16", "bfloat16": "float16"}
"""Precision of the speech model → stored number type. The others are compared with the first precision."""
EMBEDDING = 256
"""Size of LCNN's embeddings."""
UPDATES = 10
"""Number of updates; after so many, an LCNN separates a handful of utterances."""
PER_CALL = 8
"""Utterances that go through a network at a time."""

EXAMPLES = """\b
Examples:
  python benchmarks/half_precision.py --layers 2
  python benchmarks/half_precision.py --device cuda --utterances 64 --json half-precision.json
  python benchmarks/half_precision.py --raw-cache cache/minicorpus/dev-raw --weights /path/to/xls-r-300m
"""


class Speech(NamedTuple):
    """Waveforms [N, n] float32 at 16 kHz and class indices [N]."""

    waveforms: torch.Tensor
    labels: torch.Tensor


def artificial(utterances: int, n_samples: int) -> Speech:
    """Voiced syllables with a little noise. Every other utterance is bona fide, and its pitch wavers."""
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(4, utterances, 1, generator=generator)
    labels, time = torch.arange(utterances) % 2, torch.arange(n_samples) / SAMPLE_RATE
    waver = labels[:, None] * 0.1 * torch.sin(2 * torch.pi * (2 + 4 * uniform[0]) * time)
    phase = 2 * torch.pi * torch.cumsum((90 + 150 * uniform[1]) * (1 + waver), dim=1) / SAMPLE_RATE
    voice = sum(torch.sin(harmonic * phase) / harmonic for harmonic in range(1, 20))
    syllables = torch.sin(torch.pi * (2 + 3 * uniform[2]) * (time + uniform[3])).square()
    return Speech(0.1 * voice * syllables + 0.003 * torch.randn(utterances, n_samples, generator=generator), labels)


def recorded(raw_cache: Path, utterances: int) -> Speech:
    """Read utterances, evenly spread, from a cache that `preprocess.py --frontend raw` made."""
    data = CachedFeatures(raw_cache)
    if len(data.plan.row_shape) != 1:
        raise cli.Sentence(f"{raw_cache}: features of shape {data.plan.row_shape}; expected waveforms (--frontend raw)")
    rows = torch.linspace(0, len(data) - 1, min(utterances, len(data))).long().tolist()
    (batch,) = Feed([data], torch.device("cpu"), "mapped").batches([rows])
    return Speech(batch.features, batch.label)


def hidden_states(waveforms: torch.Tensor, weights: Path, precision: str, device: torch.device) -> torch.Tensor:
    """Compute the features [N, T, D] that a cache of this precision would contain, from waveforms [N, n]."""
    frontend = make_frontend(ARCHITECTURE, FrontEndOptions(weights=weights, precision=precision, device=device))
    names = [f"utterance {number}" for number in range(len(waveforms))]
    parts = [frontend.extract(part) for part in waveforms.split(PER_CALL)]
    return from_stored(torch.from_numpy(to_stored(torch.cat(parts), STORED[precision], names)))


def fitted(features: torch.Tensor, labels: torch.Tensor, device: torch.device) -> Countermeasure:
    """An LCNN, trained in float32, that classifies these features [N, T, D] by their class indices [N]."""
    config = ExperimentConfig(
        BackendConfig("lcnn"),
        optimizer=OptimizerConfig(lr=3e-4),
        train=TrainConfig(epochs=UPDATES, batch_size=len(features), precision="float32"),
    )
    torch.manual_seed(0)
    network = LCNN(tuple(features.shape[1:]), dropout=0.0)
    model = Countermeasure(network, LOSSES["cross_entropy"](torch.ones(2), EMBEDDING)).to(device).train()
    updater = Updater(model, config, 1, device)
    with cli.progress("updates of the LCNN", UPDATES) as advance:
        for step in range(UPDATES):
            updater.update(step, features, labels)
            advance(1)
    update_bn([features.to(device)], model)  # their running statistics are far behind after so few updates
    return model


@torch.inference_mode()
def scores(model: Countermeasure, features: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Scores [N] in float32 on the CPU, computed as evaluate.py does."""
    model.eval()
    return torch.cat([model.score(run_batch(model, part, device)).cpu() for part in features.split(PER_CALL)])


def compare(scored: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Scores [N] per precision → lowest, highest and standard deviation of the first; how far the others are from it.

    >>> compare({"float32": torch.tensor([1.0, 3.0]), "float16": torch.tensor([1.0, 3.5])})["largest_difference"]
    {'float16': 0.5}
    """
    (_, exact), *others = scored.items()
    return {
        "lowest": float(exact.min()),
        "highest": float(exact.max()),
        "standard_deviation": float(exact.std()),
        "largest_difference": {name: float((each - exact).abs().max()) for name, each in others},
    }


def measure(speech: Speech, weights: Path, device: torch.device) -> dict[str, Any]:
    """The result of `compare` for an LCNN that is fitted to the float32 hidden states."""
    with cli.progress("precisions", len(STORED)) as advance:
        states = {}
        for precision in STORED:
            states[precision] = hidden_states(speech.waveforms, weights, precision, device)
            advance(1)
    model = fitted(next(iter(states.values())), speech.labels, device)
    return compare({precision: scores(model, each, device) for precision, each in states.items()})


def table(figures: Mapping[str, Any]) -> str:
    """The result as text: the scores' scale, and one line per precision."""
    spread = figures["standard_deviation"]
    rows = [["computed in", "largest difference of a score", "over the standard deviation"]]
    rows += [[name, f"{far:.1e}", f"{far / spread:.1e}"] for name, far in figures["largest_difference"].items()]
    scale = f"from {figures['lowest']:.2f} to {figures['highest']:.2f}, standard deviation {spread:.2f}"
    return f"scores in float32: {scale}\n{aligned(rows)}"


@click.command(epilog=EXAMPLES)
@click.option("--device", default="cpu", show_default=True, metavar="cpu|cuda[:k]")
@click.option(
    "--raw-cache",
    type=cli.input_folder,
    help="Waveforms cached by preprocess.py --frontend raw.  [default: artificial speech]",
)
@click.option("--utterances", type=click.IntRange(4), default=16, show_default=True)
@click.option(
    "--samples",
    type=click.IntRange(MIN_SAMPLES),
    default=N_SAMPLES,
    show_default=True,
    help="Length of artificial speech.",
)
@click.option(
    "--weights", type=cli.input_folder, help="Checkpoint of XLS-R in the format of the hub.  [default: random]"
)
@click.option("--layers", type=click.IntRange(1), help="Number of blocks with random weights.  [default: 24]")
@json_option
@cli.sentences()
def main(
    device: str, raw_cache: Path | None, utterances: int, samples: int, weights: Path | None, layers: int | None,
    json_path: Path | None,
) -> None:  # fmt: skip
    """Measure how much the scores of an LCNN change if the speech model computes in half precision."""
    machine, place = Machine.here(), cli.resolve_device(device)
    on_gpu = f", {torch.cuda.get_device_name(place)}" if place.type == "cuda" else ""
    click.echo(f"{machine}{on_gpu}")
    speech = recorded(raw_cache, utterances) if raw_cache else artificial(utterances, samples)
    with TemporaryDirectory(prefix="xls-r-") as folder:
        if weights is None:
            write_checkpoint(Path(folder), ARCHITECTURE, layers)
        figures = measure(speech, weights or Path(folder), place)
    click.echo(table(figures))
    settings = {
        "device": str(place),
        "speech": str(raw_cache or "artificial"),
        "waveforms": list(speech.waveforms.shape),
        "weights": str(weights or "random"),
        "layers": layers,
    }
    write_json(json_path, machine, {"settings": settings, "scores": figures})


if __name__ == "__main__":
    main()

"""Compare exported back-ends in ONNX Runtime with PyTorch: the largest difference of the scores, and the speed.

Each back-end has random weights and its usual features. Both sides score the same batch in turns with the same number
of threads. The speed is the median over rounds of the ratio within a round, because a busy machine slows both alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from spoofcache.common import cli  # before torch, because it sets how the threads of torch wait

# isort: split
import torch

from spoofcache.benchmarks.backends import FEATURES, Step, aligned, in_turns
from spoofcache.benchmarks.machine import Machine, write_json
from spoofcache.benchmarks.options import json_option
from spoofcache.engine.about import FORMAT_VERSION, About
from spoofcache.engine.countermeasure import build_countermeasure
from spoofcache.engine.onnx_export import ExportError, Scorer, export
from spoofcache.models import BACKENDS
from spoofcache.protocols.trial import CLASS_INDEX

EXAMPLES = """\b
Examples:
  python benchmarks/onnx_export.py
  python benchmarks/onnx_export.py --backend lcnn --batch-size 8 --rounds 7
"""


@dataclass(frozen=True)
class Scoring:
    """Scores of the first utterances of a batch, as `in_turns` measures it."""

    score: Step
    batch_size: int
    device: str = "cpu"

    def step(self) -> Step:
        return self.score


def scorer_of(backend: str, shape: tuple[int, ...]) -> Scorer:
    """A network with random weights and the cross-entropy loss, whose batch norms fit random features.

    With the initial statistics, some deep networks give every utterance the same score, which compares nothing.
    """
    torch.manual_seed(0)
    about = About(FORMAT_VERSION, backend, {}, shape, {}, CLASS_INDEX, None, None, None, {})
    model = build_countermeasure(about)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # the statistics are then those of the batch
    with torch.no_grad():
        model.train()(torch.randn(4, *shape))
    return Scorer(model).eval()


def measure(backend: str, batch_size: int, rounds: int) -> dict[str, Any]:
    """Features, size, largest difference and times of a back-end; `refused` is the reason if it cannot be exported."""
    import onnxruntime

    shape = FEATURES[backend]
    scorer = scorer_of(backend, shape)
    try:
        exported = export(scorer, shape, {}, backend)
    except ExportError as error:
        return {"features": shape, "refused": str(error)}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(exported.content, options, providers=["CPUExecutionProvider"])
    features = torch.randn(batch_size, *shape)

    def in_pytorch(n: int) -> None:
        with torch.inference_mode():
            scorer(features[:n])

    def in_onnx(n: int) -> None:
        session.run(["score"], {"features": features[:n].numpy()})

    times = in_turns(Scoring(in_pytorch, batch_size), Scoring(in_onnx, batch_size), rounds)
    return {"features": shape, "bytes": len(exported.content), "difference": exported.difference, **times}


def row(name: str, one: Mapping[str, Any]) -> list[str]:
    """A line of the table."""
    features = "×".join(map(str, one["features"]))
    if "refused" in one:
        return [name, features, one["refused"], *4 * [""]]
    cells = [f"{one['bytes'] / 1e6:.1f}", f"{one['difference']:.1e}", f"{one['ms']:.1f}", f"{one['ratio']:.2f}"]
    return [name, features, *cells, f"{one['others_share']:.0%}"]


@click.command(epilog=EXAMPLES)
@click.option(
    "--backend",
    "names",
    type=click.Choice(list(BACKENDS)),
    multiple=True,
    help="Back-end to measure. Repeat the option for several.  [default: all]",
)
@click.option(
    "--batch-size", type=click.IntRange(1), default=2, show_default=True, help="Utterances that are scored at a time."
)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Number of rounds.")
@json_option
@cli.sentences()
def main(names: Sequence[str], batch_size: int, rounds: int, json_path: Path | None) -> None:
    """Measure the difference and the speed of exported back-ends against PyTorch, on the CPU."""
    machine = Machine.here()
    click.echo(f"{machine}, {torch.get_num_threads()} threads; speed: PyTorch's time divided by ONNX Runtime's")
    figures: dict[str, dict[str, Any]] = {}
    with cli.progress("exported back-ends", len(names or BACKENDS)) as advance:
        for name in names or BACKENDS:
            figures[name] = measure(name, batch_size, rounds)
            advance(1)
    heads = ["back-end", "features", "MB", "difference", "PyTorch ms", "speed", "others"]
    click.echo(aligned([heads, *(row(name, one) for name, one in figures.items())]))
    settings = {"batch_size": batch_size, "rounds": rounds, "threads": torch.get_num_threads()}
    write_json(json_path, machine, {"settings": settings, "backends": figures})


if __name__ == "__main__":
    main()

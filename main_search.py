"""Architecture search: cache → genotype, as an experiment that main_train.py trains from scratch."""

import spoofcache.common.signals  # noqa: F401

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spoofcache.common.cli import (
    device_option,
    input_folder,
    output,
    progress,
    requeue_option,
    resolve_device,
    sentences,
)

if TYPE_CHECKING:  # `--help` must not wait for torch
    from spoofcache.engine.search import SearchEpoch

EXAMPLES = """\b
Examples:
  python main_search.py --train cache/…/train --out searches/light1
  python main_search.py --train cache/…/train --out searches/small --cells 4 --cost-weight 2 --epochs 10
  python main_search.py … --out searches/light1 --resume
  python main_train.py --config searches/light1/genotype.toml --train … --dev … --out runs/light1
"""
SPACES = ("light", "pc")
SPACE_HELP = (
    "Choose among these operations: those with max-feature-maps (light, our reading of Light-DARTS) or those of "
    "PC-DARTS (pc)."
)
COST_HELP = (
    "Add the expected cost, which lies between 0 and 1, to the loss with this weight. A larger weight gives a lighter "
    "network."
)
number = click.IntRange(min=1)


@dataclass(frozen=True)
class Options:
    """The options of the command."""

    train: Path
    out: Path
    space: str
    cells: int
    channels: int
    cost_weight: float
    epochs: int
    batch_size: int
    seed: int
    resume: bool
    device: str


@click.command(epilog=EXAMPLES)
@click.option("--train", type=input_folder, required=True, help="Search on this cached partition.")
@click.option("--out", type=output, required=True, help="Create this search folder, or continue it with --resume.")
@click.option("--space", type=click.Choice(SPACES), default="light", show_default=True, help=SPACE_HELP)
@click.option("--cells", type=number, default=8, show_default=True, help="Number of cells in the network.")
@click.option("--channels", type=number, default=16, show_default=True, help="Number of channels in the first cells.")
@click.option("--cost-weight", type=float, default=0.5, show_default=True, help=COST_HELP)
@click.option("--epochs", type=number, default=50, show_default=True, help="Number of epochs to search for.")
@click.option("--batch-size", type=number, default=64, show_default=True, help="Number of utterances per update.")
@click.option("--seed", type=int, default=0, show_default=True, help="Random seed of the search.")
@click.option("--resume", is_flag=True, help="Continue after the last finished epoch of the search in --out.")
@device_option
@requeue_option
@sentences(after_interrupt="To continue, run the same command with --resume.")
def main(**given: Any) -> None:
    """Search for the cells of a network.

    The search folder keeps the result as an experiment for main_train.py (genotype.toml), a picture of the cells
    (cells.png) and the figures of every epoch (search.jsonl).
    """
    _search(Options(**given))


def _search(options: Options) -> None:
    from spoofcache.common.machine import keep_freed_memory
    from spoofcache.engine.genotype_file import write_experiment
    from spoofcache.engine.search import SearchController
    from spoofcache.engine.search_picture import PICTURE, draw_cells
    from spoofcache.features.dataset import CachedFeatures

    keep_freed_memory()
    controller = SearchController(
        search_space=options.space,
        num_cells=options.cells,
        cost_weight=options.cost_weight,
        channels=options.channels,
        epochs=options.epochs,
        batch_size=options.batch_size,
        seed=options.seed,
        device=resolve_device(options.device),
    )
    dataset = CachedFeatures(options.train)
    dataset.plan.identity.require_frames(options.train)
    with progress("searching", options.epochs * len(dataset)) as advance:
        result = controller.train_search(
            dataset, options.out, resume=options.resume, advance=advance, on_epoch=_print_epoch
        )
    draw_cells(options.out / PICTURE, result.genotype, options.space)
    path = write_experiment(options.out, controller, result, dataset)
    click.echo(
        f"expected cost {result.expected_cost:.4f}; {result.parameters:,} parameters; "
        f"{result.multiply_adds:,} multiply-adds per utterance in the operations found"
    )
    click.echo(path)


def _print_epoch(line: "SearchEpoch") -> None:
    architecture = "frozen" if line.architecture_loss is None else f"loss {line.architecture_loss:.4f}"
    click.echo(
        f"epoch {line.epoch}: train loss {line.train_loss:.4f}, architecture {architecture}, "
        f"expected cost {line.expected_cost:.4f}, {line.seconds:.1f} s",
        err=True,
    )


if __name__ == "__main__":
    main()

"""Architecture search: shards → genotype, as an experiment that main_train.py trains from scratch."""

from pathlib import Path

import click

from spoofcache.common.cli import device_option, input_folder, output, progress, resolve_device, sentences
from spoofcache.common.machine import keep_freed_memory
from spoofcache.engine.search import SearchController, SearchEpoch, write_experiment
from spoofcache.engine.search_picture import PICTURE, draw_cells
from spoofcache.features.dataset import CachedFeatures
from spoofcache.models.light_darts import SPACES

EXAMPLES = """\b
Examples:
  python main_search.py --train cache/…/train --out searches/light1
  python main_search.py --train cache/…/train --out searches/small --cells 4 --cost-weight 2 --epochs 10
  python main_search.py … --out searches/light1 --resume
  python main_train.py --config searches/light1/genotype.toml --train … --dev … --out runs/light1
"""
number = click.IntRange(min=1)


@click.command(epilog=EXAMPLES)
@click.option("--train", type=input_folder, required=True, help="Cached partition to search on.")
@click.option("--out", type=output, required=True, help="Search folder; new, or with --resume an unfinished one.")
@click.option(
    "--space",
    type=click.Choice(SPACES),
    default="light",
    show_default=True,
    help="light: max-feature-maps, our reading of Light-DARTS; pc: PC-DARTS.",
)
@click.option("--cells", type=number, default=8, show_default=True, help="Cells of the network.")
@click.option("--channels", type=number, default=16, show_default=True, help="Channels of its first cells.")
@click.option(
    "--cost-weight",
    type=float,
    default=0.5,
    show_default=True,
    help="What the expected cost, 0…1, counts beside the loss; more makes a lighter network.",
)
@click.option("--epochs", type=number, default=50, show_default=True)
@click.option("--batch-size", type=number, default=64, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--resume", is_flag=True, help="Go on after the last finished epoch of the search in --out.")
@device_option
@sentences(after_interrupt="The same command with --resume goes on from there.")
def main(
    train: Path,
    out: Path,
    space: str,
    cells: int,
    channels: int,
    cost_weight: float,
    epochs: int,
    batch_size: int,
    seed: int,
    resume: bool,
    device: str,
) -> None:
    """Search for a network's cells; the folder keeps genotype.toml, search.jsonl and cells.png."""
    keep_freed_memory()
    controller = SearchController(
        search_space=space,
        num_cells=cells,
        cost_weight=cost_weight,
        channels=channels,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        device=resolve_device(device),
    )
    dataset = CachedFeatures(train)
    with progress("searching", epochs * len(dataset)) as advance:
        result = controller.train_search(dataset, out, resume=resume, advance=advance, on_epoch=_say)
    draw_cells(out / PICTURE, result.genotype, space)
    path = write_experiment(out, controller, result, dataset)
    click.echo(
        f"expected cost {result.expected_cost:.4f}; {result.parameters:,} parameters; "
        f"{result.multiply_adds:,} multiply-adds per utterance in the operations found"
    )
    click.echo(path)


def _say(line: SearchEpoch) -> None:
    architecture = "at rest" if line.architecture_loss is None else f"loss {line.architecture_loss:.4f}"
    click.echo(
        f"epoch {line.epoch}: train loss {line.train_loss:.4f}, architecture {architecture}, "
        f"expected cost {line.expected_cost:.4f}, {line.seconds:.1f} s",
        err=True,
    )


if __name__ == "__main__":
    main()

"""Run × cache → countermeasure score file."""

import spoofcache.common.signals  # noqa: F401

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from spoofcache.common.cli import (
    ChoiceWithAliases,
    Sentence,
    device_option,
    input_folder,
    output,
    progress,
    requeue_option,
    resolve_device,
    run_folder,
    sentences,
)
from spoofcache.common.files import atomic_path
from spoofcache.metrics.written_scores import ALIASES, FORMS, format_cm_scores

EXAMPLES = """\b
Example:
  python generate_score.py --run runs/lcnn --features cache/…/eval --out scores/lcnn_eval.txt
"""
RUN_HELP = "Read the trained network from this run folder of main_train.py, or from the hub (hf://owner/name)."
FORM_HELP = "Write the score file in this form."
CHECKPOINT_HELP = """Use these weights of the run: those of the epoch that was best on the development set, those of the
last epoch, or the average, which exists where train.average was set."""
BATCH_HELP = "Number of utterances that the network scores at once."


@dataclass(frozen=True)
class Options:
    """The options of the command."""

    run: Path
    features: Path
    out: Path
    form: str
    checkpoint: str
    batch_size: int
    device: str


@click.command(epilog=EXAMPLES)
@click.option("--run", type=run_folder, metavar="RUN", required=True, help=RUN_HELP)
@click.option("--features", type=input_folder, required=True, help="Score the utterances of this cached partition.")
@click.option("--out", type=output, required=True, help="Write the scores to this file, which must not exist yet.")
@click.option(
    "--format",
    "form",
    type=ChoiceWithAliases(FORMS, ALIASES),
    default="asvspoof2019",
    show_default=True,
    help=FORM_HELP,
)
@click.option(
    "--checkpoint",
    type=click.Choice(["best", "last", "average"]),
    default="best",
    show_default=True,
    help=CHECKPOINT_HELP,
)
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True, help=BATCH_HELP)
@device_option
@requeue_option
@sentences()
def main(**given: Any) -> None:
    """Score every cached utterance with a trained network.

    The score is that of the loss that the network was trained with: for most losses the log-odds of bona fide. A
    higher score means more likely bona fide.
    """
    _score(Options(**given))


def _score(options: Options) -> None:
    from spoofcache.common.machine import keep_freed_memory
    from spoofcache.engine.checkpoint import load_model
    from spoofcache.engine.score import score_partition
    from spoofcache.features.dataset import CachedFeatures
    from spoofcache.features.plan import SKIPPED, Identity

    if options.out.exists():
        raise Sentence(f"{options.out} exists; expected a new file")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    model, about = load_model(options.run, options.checkpoint)
    data = CachedFeatures(options.features, expected=Identity(about.identity))
    if data.plan.identity.effect:
        click.echo(f"Note: {options.features} is an augmented view, by {data.plan.identity.effect}", err=True)
    with progress("scoring", len(data)) as advance:
        scores = score_partition(model, data, options.batch_size, resolve_device(options.device), advance)
    lines = format_cm_scores(scores, options.form)
    with atomic_path(options.out) as path, path.open("w", encoding="utf-8") as file:
        file.writelines(lines)
    missing = data.plan.n_trials - len(data)
    if missing:
        skipped = options.features / SKIPPED
        click.echo(f"Warning: {missing} of {data.plan.n_trials} trials have no score; {skipped} lists them", err=True)
    click.echo(options.out)


if __name__ == "__main__":
    main()

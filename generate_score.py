"""Run × shards → countermeasure score file."""

from pathlib import Path

import click

from spoofcache.common.cli import (
    ChoiceWithAliases,
    Sentence,
    device_option,
    input_folder,
    output,
    progress,
    resolve_device,
    sentences,
)
from spoofcache.common.files import atomic_path
from spoofcache.common.machine import keep_freed_memory
from spoofcache.engine.checkpoint import load_model
from spoofcache.engine.score import score_partition
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.plan import SKIPPED, Identity
from spoofcache.metrics.written_scores import ALIASES, FORMS, format_cm_scores

EXAMPLES = """\b
Example:
  python generate_score.py --run runs/lcnn --features cache/…/eval --out scores/lcnn_eval.txt
"""


@click.command(epilog=EXAMPLES)
@click.option("--run", type=input_folder, required=True, help="Run folder of main_train.py.")
@click.option("--features", type=input_folder, required=True, help="Cached partition to score.")
@click.option("--out", type=output, required=True, help="Score file; must not exist.")
@click.option("--format", "form", type=ChoiceWithAliases(FORMS, ALIASES), default="asvspoof2019", show_default=True)
@click.option("--checkpoint", type=click.Choice(["best", "last", "average"]), default="best", show_default=True)
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
@device_option
@sentences()
def main(run: Path, features: Path, out: Path, form: str, checkpoint: str, batch_size: int, device: str) -> None:
    """Score every cached utterance: the score of the run's loss (log-odds for most), higher = more bona fide."""
    if out.exists():
        raise Sentence(f"{out} exists; expected a new file")
    out.parent.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    model, about = load_model(run, checkpoint)
    data = CachedFeatures(features, expected=Identity(about.identity))
    if data.plan.identity.effect:
        click.echo(f"{features}: an augmented view, by {data.plan.identity.effect}", err=True)
    with progress("scoring", len(data)) as advance:
        scores = score_partition(model, data, batch_size, resolve_device(device), advance)
    lines = format_cm_scores(scores, form)
    with atomic_path(out) as path:
        path.write_text("".join(lines), encoding="utf-8")
    missing = data.plan.n_trials - len(data)
    if missing:
        click.echo(f"{missing} of {data.plan.n_trials} trials have no score: {features / SKIPPED}", err=True)
    click.echo(out)


if __name__ == "__main__":
    main()

"""Stage two: shards × config → run folder."""

from pathlib import Path

import click

from cli import device_option, input_file, input_folder, output, progress, resolve_device, sentences
from engine.checkpoint import RunError
from engine.config import ConfigError, load_config
from engine.train import Epoch, Judgement, Listener, fit, utterances_seen
from features.dataset import CachedFeatures
from features.plan import StoreError

EXAMPLES = """\b
Examples:
  python main_train.py --config configs/xlsr300m_lcnn.toml --train cache/…/train --dev cache/…/dev --out runs/lcnn
  python main_train.py --config configs/lfcc_lcnn.toml --train … --dev … --out runs/lfcc \\
         --set train.epochs=5 --set optimizer.lr=1e-4
  python main_train.py … --out runs/lfcc --resume
"""


@click.command(epilog=EXAMPLES)
@click.option("--config", type=input_file, required=True, help="Experiment, one of configs/*.toml.")
@click.option("--train", type=input_folder, required=True, help="Cached partition to train on.")
@click.option("--dev", type=input_folder, required=True, help="Cached partition that selects the best epoch.")
@click.option("--out", type=output, required=True, help="Run folder; new, or with --resume an unfinished one.")
@click.option("--set", "overrides", multiple=True, metavar="section.key=value", help="Override; may be repeated.")
@click.option("--seed", type=int, help="Short for --set train.seed=…")
@click.option("--resume", is_flag=True, help="Go on after the last finished epoch of the run in --out.")
@device_option
@sentences(ConfigError, RunError, StoreError, after_interrupt="The same command with --resume goes on from there.")
def main(
    config: Path,
    train: Path,
    dev: Path,
    out: Path,
    overrides: tuple[str, ...],
    seed: int | None,
    resume: bool,
    device: str,
) -> None:
    """Train a back-end on cached features; the run folder keeps the best epoch, the last, and their average."""
    if seed is not None:
        overrides += (f"train.seed={seed}",)
    experiment = load_config(config, overrides)
    train_data, dev_data = CachedFeatures(train), CachedFeatures(dev)
    with progress("training", utterances_seen(experiment, train_data, dev_data)) as advance:
        listener = Listener(advance, _say, _say_average)
        best = fit(experiment, train_data, dev_data, out, resolve_device(device), resume=resume, listener=listener)
    if best.dev_eer > 0.5:
        click.echo("The dev EER is above 50 %: the scores' sign may be inverted, or nothing was learnt.", err=True)
    click.echo(f"best epoch {best.epoch}: dev EER {best.dev_eer:.2%}, dev loss {best.dev_loss:.4f}")
    click.echo(out)


def _say(line: Epoch) -> None:
    click.echo(
        f"epoch {line.epoch}: train loss {line.train_loss:.4f}, dev loss {line.dev_loss:.4f}, "
        f"dev EER {line.dev_eer:.2%}, {line.seconds:.1f} s",
        err=True,
    )


def _say_average(dev: Judgement) -> None:
    click.echo(f"average: dev loss {dev.loss:.4f}, dev EER {dev.eer:.2%}", err=True)


if __name__ == "__main__":
    main()

"""Stage two: shards × config → run folder."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import click

from spoofcache.common.cli import PackagedFile, device_option, input_folder, output, progress, resolve_device, sentences
from spoofcache.common.machine import keep_freed_memory
from spoofcache.engine.config import ExperimentConfig
from spoofcache.engine.config_file import load_config
from spoofcache.engine.processes import Processes, join, one_voice
from spoofcache.engine.run_folder import require_new
from spoofcache.engine.train import Epoch, Judgement, Listener, fit, utterances_seen
from spoofcache.engine.training_set import TrainingSet
from spoofcache.evaluation.figures import Figure
from spoofcache.evaluation.matrix import over_seeds
from spoofcache.features.dataset import CachedFeatures

EXAMPLES = """\b
Examples:
  python main_train.py --config configs/xlsr300m_lcnn.toml --train cache/…/train --dev cache/…/dev --out runs/lcnn
  python main_train.py --config configs/lfcc_lcnn.toml --train … --dev … --out runs/lfcc \\
         --set train.epochs=5 --set optimizer.lr=1e-4
  python main_train.py … --out runs/lfcc --resume
\b
  # each utterance in one of its cached views, clean or augmented, drawn anew in every epoch
  python main_train.py … --set train.views=random --out runs/augmented
\b
  # two corpora, of which the second is drawn three times as often
  python main_train.py … --train cache/LA/…/train --train cache/ITW/…/train --set train.corpus_weights=[1,3]
\b
  # seeds 0, 1 and 2 into runs/lfcc-seed0, …-seed1 and …-seed2; the same with --resume goes on with what is unfinished
  python main_train.py … --out runs/lfcc --seeds 3
\b
  # two GPUs share every batch; accelerate launch --num_processes 2 main_train.py … does the same
  torchrun --nproc_per_node 2 main_train.py … --out runs/lfcc
"""

LEVEL = 0.95
"""Confidence of the interval over seeds."""


@click.command(epilog=EXAMPLES)
@click.option(
    "--config",
    type=PackagedFile("configs"),
    required=True,
    help="Experiment: a TOML file, or the name of one in configs/, such as lfcc_lcnn.",
)
@click.option(
    "--train",
    "trains",
    type=input_folder,
    required=True,
    multiple=True,
    help="Cached partition to train on; may be repeated. Its augmented views are found beside it.",
)
@click.option("--dev", type=input_folder, required=True, help="Cached partition that selects the best epoch.")
@click.option("--out", type=output, required=True, help="Run folder; new, or with --resume an unfinished one.")
@click.option("--set", "overrides", multiple=True, metavar="section.key=value", help="Override; may be repeated.")
@click.option("--seed", type=int, help="Short for --set train.seed=…")
@click.option(
    "--seeds",
    type=click.IntRange(min=2),
    help="Train so many, from train.seed on, into folders OUT-seed0, OUT-seed1, …",
)
@click.option("--resume", is_flag=True, help="Go on after the last finished epoch of the run in --out.")
@device_option
@sentences(after_interrupt="The same command with --resume goes on from there.")
def main(
    config: Path,
    trains: tuple[Path, ...],
    dev: Path,
    out: Path,
    overrides: tuple[str, ...],
    seed: int | None,
    seeds: int | None,
    resume: bool,
    device: str,
) -> None:
    """Train a back-end on cached features; the run folder keeps the best epoch, the last, and their average."""
    if seed is not None:
        overrides += (f"train.seed={seed}",)
    keep_freed_memory()
    with one_voice():
        processes = join(resolve_device(device))
        experiment = load_config(config, overrides)
        train_data, dev_data = TrainingSet([CachedFeatures(train) for train in trains], experiment), CachedFeatures(dev)
        runs = {out: experiment} if seeds is None else _siblings(out, experiment, seeds)
        for run in runs if processes.is_main and not resume else ():
            require_new(run)  # before the first of them takes its hours
        best = [_fit(each, train_data, dev_data, run, resume, processes) for run, each in runs.items()]
        if processes.is_main and seeds is not None:
            _say_seeds(best)


def _siblings(out: Path, experiment: ExperimentConfig, seeds: int) -> dict[Path, ExperimentConfig]:
    """The run folder and the experiment of each seed; evaluate.py takes folders of such names as one experiment."""
    first = experiment.train.seed
    return {
        out.with_name(f"{out.name}-seed{seed}"): replace(experiment, train=replace(experiment.train, seed=seed))
        for seed in range(first, first + seeds)
    }


def _fit(
    experiment: ExperimentConfig,
    train: TrainingSet,
    dev: CachedFeatures,
    run: Path,
    resume: bool,
    processes: Processes,
) -> Epoch:
    """Train one run, and say how it went."""
    seen = utterances_seen(experiment, train, dev)
    with progress(f"training {run.name}", seen) if processes.is_main else nullcontext(lambda n: None) as advance:
        listener = Listener(advance, _say_note, _say, _say_average)
        best = fit(experiment, train, dev, run, processes.device, resume=resume, listener=listener, processes=processes)
    if processes.is_main:
        _say_best(best, run)
    return best


def _say_best(best: Epoch, run: Path) -> None:
    if best.dev_eer > 0.5:
        click.echo("The dev EER is above 50 %: the scores' sign may be inverted, or nothing was learnt.", err=True)
    click.echo(f"best epoch {best.epoch}: dev EER {best.dev_eer:.2%}, dev loss {best.dev_loss:.4f}")
    click.echo(run)


def _say_seeds(best: Sequence[Epoch]) -> None:
    eer = over_seeds([Figure(epoch.dev_eer) for epoch in best], LEVEL)
    assert eer.value is not None  # every run has a best epoch
    assert eer.high is not None
    click.echo(
        f"{len(best)} seeds: dev EER {eer.value:.2%} ± {eer.high - eer.value:.2%} "
        f"(mean, Student's t-interval at {LEVEL:.0%})"
    )


def _say_note(sentence: str) -> None:
    click.echo(sentence, err=True)


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

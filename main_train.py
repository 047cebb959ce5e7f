"""Stage two: caches × configuration → run folder."""

import spoofcache.common.signals  # noqa: F401

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spoofcache.common.cli import (
    PackagedFile,
    device_option,
    input_folder,
    output,
    progress,
    requeue_option,
    resolve_device,
    run_folder,
    sentences,
)

if TYPE_CHECKING:  # `--help` must not wait for torch
    from spoofcache.engine.config import ExperimentConfig
    from spoofcache.engine.history import Epoch
    from spoofcache.engine.processes import Processes
    from spoofcache.engine.train import FitOptions
    from spoofcache.engine.training_set import TrainingSet
    from spoofcache.engine.validation import DevFigures
    from spoofcache.features.dataset import CachedFeatures

EXAMPLES = """\b
Examples:
  python main_train.py --config configs/xlsr300m_lcnn.toml --train cache/…/train --dev cache/…/dev --out runs/lcnn
  python main_train.py --config configs/lfcc_lcnn.toml --train … --dev … --out runs/lfcc \\
         --set train.epochs=5 --set optimizer.lr=1e-4
  python main_train.py … --out runs/lfcc --resume
\b
  # see each utterance in one of its cached views, clean or augmented, drawn anew in every epoch
  python main_train.py … --set train.views=random --out runs/augmented
\b
  # train on two corpora, and draw the second three times as often as the first
  python main_train.py … --train cache/LA/…/train --train cache/ITW/…/train --set train.corpus_weights=[1,3]
\b
  # train with seeds 0, 1 and 2 into runs/lfcc-seed0, runs/lfcc-seed1 and runs/lfcc-seed2
  python main_train.py … --out runs/lfcc --seeds 3
\b
  # train an imported checkpoint on, and a finished run for longer
  python main_train.py … --init runs/theirs --out runs/tuned
  python main_train.py … --out runs/tuned --resume --set train.epochs=200
\b
  # see what it would take: parameters, memory, time of an epoch
  python main_train.py --config configs/speechfake_w2v_aasist.toml --train … --dev … --dry-run
\b
  # share every batch between two GPUs; accelerate launch --num_processes 2 main_train.py … does the same
  torchrun --nproc_per_node 2 main_train.py … --out runs/lfcc
"""
CONFIG_HELP = "Run this experiment: a TOML file, or the name of one in configs/, such as lfcc_lcnn."
TRAIN_HELP = (
    "Train on this cached partition, and on the augmented views beside it if the experiment asks for them. Repeat the "
    "option to train on several corpora."
)
SEEDS_HELP = (
    "Train this many times with consecutive seeds, from train.seed on, into the folders OUT-seed0, OUT-seed1, …"
)
RESUME_HELP = (
    "Continue after the last finished epoch of the run in --out. A larger train.epochs makes the training longer, "
    "unless the schedule depends on it."
)
DRY_RUN_HELP = (
    "Print the number of parameters, the memory and the time of an epoch, measured on one batch. Nothing is written."
)
INIT_HELP = (
    "Start from the best weights of this run folder instead of random ones. It may be one that "
    "tools/import_checkpoint.py made, or a run on the hub (hf://owner/name)."
)
NOT_FOR_TRAINING = ("dev", "eval", "development", "evaluation", "test", "progress")
"""Names of partitions that corpora set aside for selecting and for judging networks."""
LEVEL = 0.95
"""Confidence level of the interval over seeds."""


@dataclass(frozen=True)
class Options:
    """The options of the command."""

    config: Path
    trains: tuple[Path, ...]
    dev: Path
    out: Path | None
    overrides: tuple[str, ...]
    seed: int | None
    seeds: int | None
    resume: bool
    init: Path | None
    dry_run: bool
    device: str


@click.command(epilog=EXAMPLES)
@click.option("--config", type=PackagedFile("configs"), required=True, help=CONFIG_HELP)
@click.option("--train", "trains", type=input_folder, required=True, multiple=True, help=TRAIN_HELP)
@click.option("--dev", type=input_folder, required=True, help="Select the best epoch on this cached partition.")
@click.option(
    "--out", type=output, help="Create this run folder, or continue it with --resume. Required without --dry-run."
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="section.key=value",
    help="Override a key of the experiment. May be repeated.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), help="Use this random seed; the same as --set train.seed=SEED."
)
@click.option("--seeds", type=click.IntRange(min=2), help=SEEDS_HELP)
@click.option("--resume", is_flag=True, help=RESUME_HELP)
@click.option("--init", type=run_folder, metavar="RUN", help=INIT_HELP)
@click.option("--dry-run", is_flag=True, help=DRY_RUN_HELP)
@device_option
@requeue_option
@sentences(after_interrupt="To continue, run the same command with --resume.")
def main(**given: Any) -> None:
    """Train a back-end on cached features.

    The run folder keeps the best epoch, the last epoch and, if the experiment asks for one, an average of the weights.
    """
    options = Options(**given)
    if options.out is None and not options.dry_run:
        raise click.UsageError("Missing option '--out'.")
    if options.resume and options.init:
        raise click.UsageError("--init starts a new run, and --resume continues one; expected only one of the two")
    _train(options)


def _train(options: Options) -> None:
    from spoofcache.common.machine import keep_freed_memory
    from spoofcache.engine.about import RunError
    from spoofcache.engine.config_file import load_config
    from spoofcache.engine.processes import join_processes, report_error_once
    from spoofcache.engine.run_folder import require_new
    from spoofcache.engine.train import FitOptions
    from spoofcache.engine.training_set import TrainingSet
    from spoofcache.features.dataset import CachedFeatures

    keep_freed_memory()
    overrides = options.overrides + (() if options.seed is None else (f"train.seed={options.seed}",))
    with report_error_once():
        processes = join_processes(resolve_device(options.device))
        experiment = load_config(options.config, overrides)
        train = TrainingSet([CachedFeatures(folder) for folder in options.trains], experiment)
        dev = CachedFeatures(options.dev)
        if processes.is_main:
            _warn_of_partitions(train)
        if options.out is None or options.dry_run:
            _forecast(experiment, train, dev, processes)
            return
        runs = _run_folders(options.out, options, experiment)
        if options.resume and not any(run.exists() for run in runs):
            raise RunError(f"{options.out}: no such folder; --resume expects the run that it continues")
        for run in runs if processes.is_main and not options.resume else ():
            require_new(run)  # all of them, before the first one takes its hours
        how = FitOptions(options.resume, options.init, processes=processes)
        best = [_fit(each, train, dev, run, how) for run, each in runs.items()]
        if processes.is_main and options.seeds is not None:
            _print_mean(best)


def _warn_of_partitions(train: "TrainingSet") -> None:
    """Warn if a partition that is meant for selecting or judging networks is trained on; swapped options look so."""
    for corpus in train.corpora:
        name = corpus.plan.partition.partition("-first")[0]
        if name.lower() in NOT_FOR_TRAINING:
            click.echo(
                f"Warning: --train {corpus.folder} is the partition {corpus.plan.partition!r} of {corpus.plan.corpus}, "
                "which is not meant for training; check that --train and --dev are not swapped.",
                err=True,
            )


def _forecast(
    experiment: "ExperimentConfig", train: "TrainingSet", dev: "CachedFeatures", processes: "Processes"
) -> None:
    """Print what the training would take."""
    from spoofcache.engine.dry_run import forecast

    found = forecast(experiment, train, dev, processes)
    if processes.is_main:
        click.echo(found)


def _run_folders(out: Path, options: Options, experiment: "ExperimentConfig") -> "Mapping[Path, ExperimentConfig]":
    """The run folder of each experiment; evaluate.py takes folders named -seed… as runs of one experiment."""
    if options.seeds is None:
        return {out: experiment}
    first = experiment.train.seed
    return {
        out.with_name(f"{out.name}-seed{seed}"): replace(experiment, train=replace(experiment.train, seed=seed))
        for seed in range(first, first + options.seeds)
    }


def _fit(
    experiment: "ExperimentConfig",
    train: "TrainingSet",
    dev: "CachedFeatures",
    run: Path,
    how: "FitOptions",
) -> "Epoch":
    """Train one run, and print how it goes."""
    from spoofcache.engine.train import Listener, fit, utterances_seen

    seen = utterances_seen(experiment, train, dev)
    is_main = how.processes.is_main
    with progress(f"training {run.name}", seen) if is_main else nullcontext(lambda n: None) as advance:
        listener = Listener(advance, _print_note, _print_epoch, _print_average)
        best = fit(experiment, train, dev, run, replace(how, listener=listener))
    if is_main:
        _print_best(best, run)
    return best


def _print_best(best: "Epoch", run: Path) -> None:
    if best.dev_eer > 0.5:
        click.echo(
            "Warning: the dev EER is above 50 %. The sign of the scores may be inverted, or nothing was learnt.",
            err=True,
        )
    click.echo(f"best epoch {best.epoch}: dev EER {best.dev_eer:.2%}, dev loss {best.dev_loss:.4f}")
    click.echo(run)


def _print_mean(best: "Sequence[Epoch]") -> None:
    from spoofcache.evaluation.figures import Figure
    from spoofcache.evaluation.matrix import over_seeds

    eer = over_seeds([Figure(epoch.dev_eer) for epoch in best], LEVEL)
    assert eer.value is not None  # every run has a best epoch
    assert eer.high is not None
    click.echo(
        f"{len(best)} seeds: dev EER {eer.value:.2%} ± {eer.high - eer.value:.2%} "
        f"(mean, Student's t-interval at {LEVEL:.0%})"
    )


def _print_note(sentence: str) -> None:
    click.echo(sentence, err=True)


def _print_epoch(line: "Epoch") -> None:
    click.echo(
        f"epoch {line.epoch}: train loss {line.train_loss:.4f}, dev loss {line.dev_loss:.4f}, "
        f"dev EER {line.dev_eer:.2%}, {line.seconds:.1f} s",
        err=True,
    )


def _print_average(dev: "DevFigures") -> None:
    click.echo(f"average: dev loss {dev.loss:.4f}, dev EER {dev.eer:.2%}", err=True)


if __name__ == "__main__":
    main()

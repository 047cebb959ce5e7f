"""Stage one: corpus × front-end → HDF5 shards of features, once."""

import spoofcache.common.signals  # noqa: F401

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from spoofcache.common.cli import (
    RegistryName,
    device_option,
    input_file,
    input_folder,
    named_columns,
    output,
    progress,
    resolve_device,
    sentences,
)
from spoofcache.common.machine import keep_freed_memory
from spoofcache.common.plugins import origin_of
from spoofcache.features.augment import EFFECTS
from spoofcache.features.augment.view import View
from spoofcache.features.coverage import look_for_audio, require_audio
from spoofcache.features.extract import (
    ExtractOptions,
    default_batch_size,
    default_workers,
    extract_partition,
    make_identity,
    measure_rate,
)
from spoofcache.features.frontends import FRONTENDS, make_frontend
from spoofcache.features.frontends.base import FrontEnd, FrontEndOptions
from spoofcache.features.frontends.ssl import PRECISIONS
from spoofcache.features.plan import ITEM_BYTES, Plan
from spoofcache.features.waveform import (
    FIT_RULES,
    MAX_SAMPLES,
    MIN_SAMPLES,
    N_SAMPLES,
    NORMALIZATIONS,
    AudioError,
)
from spoofcache.protocols import CORPORA, Location, find_corpus, load_trials
from spoofcache.protocols.corpus import OPTIONS
from spoofcache.protocols.trial import Trial
from spoofcache.tools.verify import verify_caches

PREPARED_FROM = 20_000
"""Utterances from which on the network is compiled for its batch size, where that pays: it takes a minute or so."""

OF_CORPORA = "\n".join(
    f"  {name:17} {' '.join(OPTIONS[option] for option in corpus.needs)}"
    f"{''.join(f' [{OPTIONS[option]}]' for option in corpus.may)}"
    f"{': ' if corpus.partitions else ''}{', '.join(corpus.partitions)}"
    for name, corpus in CORPORA.items()
)

EXAMPLES = f"""\b
Examples:
  # ASVspoof 2019 LA through XLS-R-300M: 50 GB
  python preprocess.py --corpus asvspoof19_la --root LA/ --partition train --partition dev --partition eval \\
         --frontend xls-r-300m --layer last --out cache/
\b
  # any five-column protocol with a folder of audio
  python preprocess.py --corpus asvspoof19_style --protocol P.txt --audio-dir flac/ --partition train \\
         --frontend lfcc --out cache/
\b
  # a table of your own, or folders bonafide/ and spoof/<attack>/
  python preprocess.py --corpus csv --protocol my.csv --column file=path --column label=class --audio-dir wav/ \\
         --partition train --frontend lfcc --out cache/
  python preprocess.py --corpus folders --root recordings/ --partition eval --frontend lfcc --out cache/
\b
  # beside the clean train, two views of it through RawBoost 5; dev stays clean
  python preprocess.py --corpus asvspoof19_la --root LA/ --partition train --partition dev --frontend lfcc \\
         --augment rawboost:5 --views 2 --seed 0 --out cache/
\b
  # what would it take, and is a cache still what was written
  python preprocess.py … --dry-run
  python preprocess.py --verify --out cache/
\b
Front-ends: {", ".join(FRONTENDS)}, or the hub's owner/name.
\b
Effects: {", ".join(EFFECTS)};
written NAME, NAME:VALUE or NAME:VALUE,KEY=VALUE,…, such as noise:pink,snr=5..20 or reverb:RIRS/.
\b
Corpora, what each takes, and the partitions of those that have some (elsewhere --partition is just a name):
{OF_CORPORA}
"""


@click.command(epilog=EXAMPLES, context_settings={"show_default": True})
@click.option("--corpus", type=RegistryName(list(CORPORA)), help="Which protocol reader.")
@click.option("--root", type=input_folder, help="Folder of a corpus in its official layout.")
@click.option("--protocol", type=input_file, help="Protocol file, where --corpus takes one.")
@click.option("--audio-dir", type=input_folder, help="Folder of that protocol's audio files.")
@click.option("--bonafide-dir", type=input_folder, help="Bona fide audio for a corpus of spoofs only.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    callback=named_columns,
    metavar="NAME=HEADER",
    help="What a table calls file, label, speaker, attack or a condition (csv); may be repeated.",
)
@click.option("--partition", "partitions", multiple=True, help="train, dev, eval, … (see below); may be repeated.")
@click.option("--frontend", metavar="NAME", help="What turns waveforms into features.")
@click.option("--layer", "layers", multiple=True, metavar="last|0…24", help="Hidden state by name; may be repeated.")
@click.option("--weights", type=input_folder, help="Local checkpoint folder in the hub's format, instead of the hub.")
@click.option("--normalize", type=click.Choice(NORMALIZATIONS), help="Of the waveform; the checkpoint's own if left.")
@click.option(
    "--precision",
    type=click.Choice(list(PRECISIONS)),
    help="Type that the network computes in; float32, on a GPU float16.",
)
@click.option("--check", is_flag=True, help="Hold the network's first batch to the library's float32 numbers.")
@click.option("--dtype", type=click.Choice(list(ITEM_BYTES)), help="Stored type; the front-end's default if left.")
@click.option("--fit", type=click.Choice(list(FIT_RULES)), default="repeat", help="What fills short audio.")
@click.option(
    "--length",
    "n_samples",
    type=click.IntRange(MIN_SAMPLES, MAX_SAMPLES),
    default=N_SAMPLES,
    help="Samples, at 16 kHz.",
)
@click.option("--augment", "effects", multiple=True, metavar="EFFECT", help="Cache augmented views too; repeatable.")
@click.option("--views", "n_views", type=click.IntRange(1), help="Of each effect, beside the clean one; 1 if left.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Of the augmented views.")
@click.option(
    "--augment-partition",
    "augmented",
    multiple=True,
    metavar="NAME",
    help="Partition that --augment acts on, repeatable; train, and no other unless named here.",
)
@click.option("--out", type=output, required=True, help="The cache: <out>/<corpus>/<front-end>/<partition>.")
@click.option("--name", help="Name of the corpus folder; the registry name if left.")
@click.option(
    "--on-missing",
    "--on-bad-audio",
    "on_bad_audio",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    help="Audio that is missing or unusable: skip lists such utterances in skipped.tsv and goes on.",
)
@click.option("--batch-size", type=click.IntRange(1), help="Utterances per call of the network; 8, on a GPU 64.")
@click.option("--workers", type=click.IntRange(1), help="Files decoded at once; 2, for a GPU half the cores up to 8.")
@click.option("--compression", type=click.Choice(["lzf", "gzip"]), help="For slow disks; gives up memory mapping.")
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="Only the first N utterances, in <partition>-firstN."
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Say trials, gigabytes, missing files and time, a GPU's without compiling; touch nothing.",
)
@click.option("--verify", is_flag=True, help="Re-read every cache below --out against its checksums.")
@device_option
@sentences(after_interrupt="The same command goes on from there.")
def main(verify: bool, out: Path, **options: Any) -> None:
    """Write the features of a corpus into HDF5 shards; run again, it goes on from what is finished."""
    if verify:
        verify_caches([out])
    else:
        _preprocess(out, **options)


def _preprocess(
    out: Path, corpus: str, root: Path, protocol: Path, audio_dir: Path, bonafide_dir: Path,
    columns: Mapping[str, str], partitions: Sequence[str], frontend: str,
    layers: tuple[str, ...], weights: Path, normalize: str, precision: str | None, check: bool, device: str, name: str,
    limit: int | None, effects: Sequence[str], n_views: int | None, seed: int, augmented: Sequence[str],
    batch_size: int | None, workers: int | None, on_bad_audio: str, dry_run: bool, **options: Any,
) -> None:  # fmt: skip
    if not (corpus and partitions and frontend):
        raise click.UsageError("--corpus, --partition and --frontend are needed (see --help)")
    name = name or corpus.rpartition(":")[2]  # of a plug-in the last word, which may name a folder
    for folder_name in (*partitions, name):
        if not re.fullmatch(r"[\w-][\w.-]*", folder_name):
            raise click.UsageError(f"{folder_name!r} would name a folder; expected letters, digits, '.', '_' and '-'")
    if not find_corpus(corpus).partitions and len(set(partitions)) > 1:
        raise click.UsageError(f"{corpus} has no partitions of its own; expected one --partition, a name for the whole")
    where, ending = Location(root, protocol, audio_dir, bonafide_dir, columns), f"-first{limit}" if limit else ""
    views = {name + ending: own for name, own in _views(partitions, effects, n_views, seed, augmented).items()}
    selected = {name + ending: load_trials(corpus, where, name)[:limit] for name in partitions}
    keep_freed_memory()
    torch_device = resolve_device(device)
    batch_size = batch_size or default_batch_size(torch_device)
    workers = workers or default_workers(torch_device)
    how = ExtractOptions(
        batch_size=batch_size, workers=workers, skip_bad_audio=on_bad_audio == "skip", device=torch_device, **options
    )
    if not dry_run:
        _look_for_audio(selected, how.skip_bad_audio)
    n_rows = sum(len(trials) * len(views[partition]) for partition, trials in selected.items())
    # a dry run does not wait for the compiler: on a GPU the run itself will be faster than it says
    prepared = batch_size if n_rows >= PREPARED_FROM and not dry_run else None
    of_network = FrontEndOptions(layers, weights, normalize, precision, torch_device, check, prepared, _say)
    network = make_frontend(frontend, of_network)
    n_bytes = 0
    for partition, trials in selected.items():
        for view in views[partition]:
            own = replace(how, view=view)
            identity = make_identity(network, own)
            plan = Plan.make(name, partition, identity, trials, network.row_shape(how.n_samples))
            plan = replace(plan, read_by=origin_of(corpus))
            folder = out / plan.corpus / identity.folder_name(network.slug) / partition
            (_estimate if dry_run else _extract)(trials, plan, network, folder, own)
            n_bytes += plan.n_bytes
    if dry_run and effects:
        click.echo(f"{n_bytes / 1e9:.2f} GB in all")


def _views(
    partitions: Sequence[str], effects: Sequence[str], n_views: int | None, seed: int, augmented: Sequence[str]
) -> Mapping[str, Sequence[View | None]]:
    """The views of each partition, the clean one first."""
    if (n_views or augmented) and not effects:
        raise click.UsageError("no --augment; expected one with --views and --augment-partition")
    augmented = augmented or ("train",)
    absent = [name for name in augmented if name not in partitions]
    if effects and absent:
        raise click.UsageError(
            f"--augment acts on {absent[0]}, which no --partition names; expected --augment-partition with one of "
            f"{', '.join(partitions)}, if its views are wanted"
        )
    views = [View(effect, seed, number) for effect in effects for number in range(1, (n_views or 1) + 1)]
    for view in views:
        view.settings()  # one that cannot be had is told before anything is done
    return {name: [None, *(views if name in augmented else ())] for name in partitions}


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)


def _look_for_audio(selected: Mapping[str, Sequence[Trial]], skip: bool) -> None:
    """What lacks in all partitions is told in one go; AudioError unless it is to be skipped."""
    refused = []
    for partition, trials in selected.items():
        with progress(f"{partition}: looking for audio", len(trials)) as advance:
            coverage = look_for_audio(trials, advance=advance)
        try:
            require_audio(coverage, skip)
        except AudioError as error:
            refused.append(f"{partition}: {error}")
            continue
        if coverage.unusable:
            click.echo(f"{partition}: {coverage}; left out", err=True)
    if refused:
        raise AudioError("\n".join(refused))


def _extract(trials: Sequence[Trial], plan: Plan, network: FrontEnd, folder: Path, how: ExtractOptions) -> None:
    title = _title(plan)
    with progress(title, len(trials)) as advance:
        done = extract_partition(trials, plan, network, folder, how, advance)
    left_out = f", {len(done.skipped)} utterances left out (skipped.tsv)" if done.skipped else ""
    pace = f"; {done.pace}" if done.made else ""
    click.echo(f"{title}: {done.made} shards made, {done.found} found finished{left_out}{pace}", err=True)
    click.echo(folder)


def _estimate(trials: Sequence[Trial], plan: Plan, network: FrontEnd, folder: Path, how: ExtractOptions) -> None:
    missing = sum(trial.path is None for trial in trials)
    rate = measure_rate(trials, network, how) if missing < len(trials) else 0.0
    time = f"about {len(trials) / rate / 60:.1f} minutes at {rate:.1f} utterances/s" if rate else "no time to tell"
    free = shutil.disk_usage(next(parent for parent in folder.absolute().parents if parent.exists())).free
    click.echo(
        f"{_title(plan)}: {len(trials)} utterances, {missing} audio files missing; {plan.n_bytes / 1e9:.2f} GB in "
        f"{plan.shard_count} shards of {' × '.join(map(str, plan.row_shape))} {plan.identity.dtype} "
        f"({free / 1e9:.0f} GB free); {time}"
    )
    click.echo(folder)


def _title(plan: Plan) -> str:
    effect = plan.identity.effect
    return f"{plan.partition}, {effect} view {plan.identity.settings['augment']['view']}" if effect else plan.partition


if __name__ == "__main__":
    main()

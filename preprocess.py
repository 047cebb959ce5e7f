"""Stage one: corpus × front-end → HDF5 shards of features, once."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cli import Sentence, device_option, input_file, input_folder, output, progress, resolve_device, sentences
from features.extract import ExtractOptions, extract_partition, make_identity, measure_rate
from features.frontends import FRONTENDS, make_frontend
from features.frontends.base import FrontEnd, FrontEndError, FrontEndOptions
from features.frontends.ssl import NORMALIZATIONS, PRECISIONS
from features.plan import ITEM_BYTES, Plan, StoreError
from features.verify import cached_partitions, verify_partition
from features.waveform import FIT_RULES, MAX_SAMPLES, MIN_SAMPLES, N_SAMPLES, AudioError
from protocols import CORPORA, Location, load_trials, require_audio
from protocols.trial import ProtocolError, Trial

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
  # what would it take, and is a cache still what was written
  python preprocess.py … --dry-run
  python preprocess.py --verify --out cache/
\b
Front-ends: {", ".join(FRONTENDS)}, or the hub's owner/name.
"""


@click.command(epilog=EXAMPLES, context_settings={"show_default": True})
@click.option("--corpus", type=click.Choice(list(CORPORA)), help="Which protocol reader.")
@click.option("--root", type=input_folder, help="Folder of a corpus in its official layout.")
@click.option("--protocol", type=input_file, help="Protocol file (asvspoof19_style).")
@click.option("--audio-dir", type=input_folder, help="Folder of audio files (asvspoof19_style).")
@click.option("--partition", "partitions", multiple=True, help="train, dev, eval; may be repeated.")
@click.option("--frontend", metavar="NAME", help="What turns waveforms into features.")
@click.option("--layer", "layers", multiple=True, metavar="last|0…24", help="Hidden state by name; may be repeated.")
@click.option("--weights", type=input_folder, help="Local checkpoint folder in the hub's format, instead of the hub.")
@click.option("--normalize", type=click.Choice(NORMALIZATIONS), help="Of the waveform; the checkpoint's own if left.")
@click.option(
    "--precision", type=click.Choice(list(PRECISIONS)), default="float32", help="Type that the network computes in."
)
@click.option("--dtype", type=click.Choice(list(ITEM_BYTES)), help="Stored type; the front-end's default if left.")
@click.option("--fit", type=click.Choice(list(FIT_RULES)), default="repeat", help="What fills short audio.")
@click.option(
    "--length",
    "n_samples",
    type=click.IntRange(MIN_SAMPLES, MAX_SAMPLES),
    default=N_SAMPLES,
    help="Samples, at 16 kHz.",
)
@click.option("--out", type=output, required=True, help="The cache: <out>/<corpus>/<front-end>/<partition>.")
@click.option("--name", help="Name of the corpus folder; the registry name if left.")
@click.option(
    "--on-bad-audio",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    help="skip lists unusable utterances in skipped.tsv and goes on.",
)
@click.option("--batch-size", type=click.IntRange(1), help="Utterances per call of the network; 8, on a GPU 64.")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Decoding threads.")
@click.option("--compression", type=click.Choice(["lzf", "gzip"]), help="For slow disks; gives up memory mapping.")
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="Only the first N utterances, in <partition>-firstN."
)
@click.option("--dry-run", is_flag=True, help="Say trials, gigabytes, missing files and time; touch nothing.")
@click.option("--verify", is_flag=True, help="Re-read every cache below --out against its checksums.")
@device_option
@sentences(ProtocolError, AudioError, FrontEndError, StoreError, after_interrupt="The same command goes on from there.")
def main(verify: bool, out: Path, **options: Any) -> None:
    """Write the features of a corpus into HDF5 shards; run again, it goes on from what is finished."""
    if verify:
        _verify(out)
    else:
        _preprocess(out, **options)


def _preprocess(
    out: Path, corpus: str, root: Path, protocol: Path, audio_dir: Path, partitions: Sequence[str], frontend: str,
    layers: tuple[str, ...], weights: Path, normalize: str, precision: str, device: str, name: str, limit: int | None,
    batch_size: int | None, on_bad_audio: str, dry_run: bool, **options: Any,
) -> None:  # fmt: skip
    if not (corpus and partitions and frontend):
        raise click.UsageError("--corpus, --partition and --frontend are needed (see --help)")
    for folder_name in (*partitions, name or corpus):
        if not re.fullmatch(r"[\w-][\w.-]*", folder_name):
            raise click.UsageError(f"{folder_name!r} would name a folder; expected letters, digits, '.', '_' and '-'")
    if protocol and len(set(partitions)) > 1:
        raise click.UsageError("one --protocol is one --partition; expected a command for each")
    where = Location(root, protocol, audio_dir)
    selected = {partition: load_trials(corpus, where, partition) for partition in partitions}
    if limit:
        selected = {f"{partition}-first{limit}": trials[:limit] for partition, trials in selected.items()}
    torch_device = resolve_device(device)
    batch_size = batch_size or (64 if torch_device.type == "cuda" else 8)
    how = ExtractOptions(batch_size=batch_size, skip_bad_audio=on_bad_audio == "skip", **options)
    if not (how.skip_bad_audio or dry_run):
        for trials in selected.values():
            require_audio(trials)
    network = make_frontend(frontend, FrontEndOptions(layers, weights, normalize, precision, torch_device))
    identity = make_identity(network, how)
    shape = network.row_shape(how.n_samples)
    for partition, trials in selected.items():
        plan = Plan.make(name or corpus, partition, identity, trials, shape)
        folder = out / plan.corpus / f"{network.slug}-{identity.digest}" / partition
        (_estimate if dry_run else _extract)(trials, plan, network, folder, how)


def _extract(trials: Sequence[Trial], plan: Plan, network: FrontEnd, folder: Path, how: ExtractOptions) -> None:
    with progress(plan.partition, len(trials)) as advance:
        done = extract_partition(trials, plan, network, folder, how, advance)
    left_out = f", {len(done.skipped)} utterances left out (skipped.tsv)" if done.skipped else ""
    click.echo(f"{plan.partition}: {done.made} shards made, {done.found} found finished{left_out}", err=True)
    click.echo(folder)


def _estimate(trials: Sequence[Trial], plan: Plan, network: FrontEnd, folder: Path, how: ExtractOptions) -> None:
    missing = sum(trial.path is None for trial in trials)
    rate = measure_rate(trials, network, how) if missing < len(trials) else 0.0
    time = f"about {len(trials) / rate / 60:.1f} minutes at {rate:.1f} utterances/s" if rate else "no time to tell"
    free = shutil.disk_usage(next(parent for parent in folder.absolute().parents if parent.exists())).free
    click.echo(
        f"{plan.partition}: {len(trials)} utterances, {missing} audio files missing; {plan.n_bytes / 1e9:.2f} GB in "
        f"{plan.shard_count} shards of {' × '.join(map(str, plan.row_shape))} {plan.identity.dtype} "
        f"({free / 1e9:.0f} GB free); {time}"
    )
    click.echo(folder)


def _verify(out: Path) -> None:
    folders = cached_partitions(out)
    if not folders:
        raise Sentence(f"{out}: no cached partition at or below it")
    problems: list[str] = []
    for folder in folders:
        with progress(str(folder), len(list(folder.glob("shard-*.h5")))) as advance:
            found = verify_partition(folder, advance)
        click.echo(f"{folder}: {'as written' if not found else f'{len(found)} problems'}")
        problems += found
    if problems:
        raise Sentence("\n".join(problems))


if __name__ == "__main__":
    main()

"""Stage one: compute the features of a corpus with a front-end, once, and write them into HDF5 shards."""

import spoofcache.common.signals  # noqa: F401

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spoofcache.common.cli import (
    RegistryName,
    checkpoint_folder,
    counted,
    device_option,
    input_file,
    input_folder,
    named_columns,
    output,
    progress,
    requeue_option,
    resolve_device,
    sentences,
)
from spoofcache.common.machine import keep_freed_memory
from spoofcache.features.augment import EFFECTS
from spoofcache.features.frontends import FRONTENDS, make_for_estimate, make_frontend
from spoofcache.features.frontends.base import POOLS, PRECISION_NAMES
from spoofcache.features.plan import ITEM_BYTES
from spoofcache.features.waveform import (
    FIT_RULES,
    MAX_SAMPLES,
    MIN_SAMPLES,
    N_SAMPLES,
    NORMALIZATIONS,
    AudioError,
)
from spoofcache.protocols import CORPORA
from spoofcache.protocols.corpus import OPTIONS

if TYPE_CHECKING:
    from spoofcache.features.frontends.base import FrontEnd
    from spoofcache.features.options import PreprocessOptions
    from spoofcache.features.request import ExtractionRequest, Job

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
  # cache the clean train and two views of it through RawBoost 5; dev stays clean
  python preprocess.py --corpus asvspoof19_la --root LA/ --partition train --partition dev --frontend lfcc \\
         --augment rawboost:5 --views 2 --seed 0 --out cache/
\b
  # the statistics of all 25 hidden states, by which tools/probe_layers.py compares them: 5 GB
  python preprocess.py --corpus asvspoof19_la --root LA/ --partition train --frontend xls-r-300m --layer all \\
         --pool mean+std --out cache/
\b
  # estimate the space and the time needed (without corpus or checkpoint), and check that a cache is intact
  python preprocess.py --corpus asvspoof19_la --partition train --frontend xls-r-300m --out cache/ --dry-run
  python preprocess.py --verify --out cache/
\b
Front-ends: {", ".join(FRONTENDS)}, or the hub's owner/name.
\b
Effects: {", ".join(EFFECTS)};
written NAME, NAME:VALUE or NAME:VALUE,KEY=VALUE,…, such as noise:pink,snr=5..20 or reverb:RIRS/.
\b
Corpora, the options that each takes, and its partitions. If none are listed, --partition is a name for the whole:
{OF_CORPORA}
"""


@click.command(epilog=EXAMPLES, context_settings={"show_default": True})
@click.option(
    "--corpus",
    type=RegistryName(list(CORPORA)),
    help="Read the protocol of this corpus (listed below), or of a corpus of your own: package.module:NAME.",
)
@click.option(
    "--root",
    type=input_folder,
    help="Find the protocols and the audio below this folder, in the corpus's official layout.",
)
@click.option(
    "--protocol",
    type=input_file,
    help="Read the trials from this file, for a corpus that takes --protocol (see below).",
)
@click.option(
    "--audio-dir", type=input_folder, help="Look for the audio of the trials in --protocol below this folder."
)
@click.option("--bonafide-dir", type=input_folder, help="Add bona fide speech from this folder to a corpus of spoofs.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    callback=named_columns,
    metavar="NAME=HEADER-or-number",
    help="For the corpus csv, read NAME (file, label, speaker, attack or a condition) from the column with this "
    "header. May be repeated.",
)
@click.option(
    "--partition", "partitions", multiple=True, help="Extract this partition: train, dev, eval, … May be repeated."
)
@click.option("--frontend", metavar="NAME", help="Turn waveforms into features with this front-end (listed below).")
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="last|0…24|all",
    help="Cache this hidden state of a speech model; by default, the last one. May be repeated; all stands for the "
    "input of the first block and the output of every block.",
)
@click.option(
    "--pool",
    type=click.Choice(POOLS),
    help="Store statistics over time instead of the frames: the mean, or the mean and the standard deviation of each "
    "coefficient, in float32 unless --dtype says otherwise. `spoofcache probe` compares layers by them; back-ends need "
    "the frames.",
)
@click.option(
    "--weights",
    type=checkpoint_folder,
    help="Load the speech model from this local folder in the format of the Hugging Face hub, instead of from the hub.",
)
@click.option(
    "--normalize",
    type=click.Choice(NORMALIZATIONS),
    help="Normalise the waveforms for a speech model in this way; by default, as its checkpoint specifies.",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISION_NAMES),
    help="Run the speech model in this number type; by default, float32 on a CPU and float16 on a GPU.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Compare the first batch with the numbers of the transformers library in float32, and report the difference.",
)
@click.option(
    "--dtype",
    type=click.Choice(list(ITEM_BYTES)),
    help="Store the features in this number type; by default, the one that the front-end prefers.",
)
@click.option(
    "--fit",
    type=click.Choice(list(FIT_RULES)),
    default="repeat",
    help="Pad audio that is shorter than --length by repeating it or with zeros.",
)
@click.option(
    "--length",
    "n_samples",
    type=click.IntRange(MIN_SAMPLES, MAX_SAMPLES),
    default=N_SAMPLES,
    help="Cut or pad every utterance to this many samples at 16 kHz.",
)
@click.option(
    "--augment",
    "effects",
    multiple=True,
    metavar="EFFECT",
    help="Also cache augmented views of train, made with this effect (listed below), beside the clean features. May "
    "be repeated.",
)
@click.option(
    "--views", "n_views", type=click.IntRange(1), help="Cache this many views of each effect; by default, one."
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Random seed of the augmented views.")
@click.option(
    "--augment-partition",
    "augmented",
    multiple=True,
    metavar="NAME",
    help="Augment this partition instead of train. May be repeated.",
)
@click.option(
    "--out", type=output, required=True, help="Write the cache below this folder: <corpus>/<front-end>/<partition>."
)
@click.option("--name", help="Name the folder of the corpus in the cache; by default, after the corpus.")
@click.option(
    "--on-missing",
    "--on-bad-audio",
    "on_bad_audio",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    help="If audio is missing or unusable, stop, or skip such utterances and list them in skipped.tsv.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Number of utterances that the front-end processes at once; by default, 8 on a CPU and 64 on a GPU.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Number of files that are decoded at once; by default, 2, or for a GPU half the number of cores, up to 8.",
)
@click.option(
    "--compression",
    type=click.Choice(["lzf", "gzip"]),
    help="Compress the shards, for slow disks. Such shards cannot be mapped into memory and are read more slowly.",
)
@click.option(
    "--trust-audio",
    is_flag=True,
    help="Keep finished shards without checking that the audio files are still those from which the shards were made.",
)
@click.option(
    "--relabel",
    is_flag=True,
    help="Replace the trial list of a cache by that of the protocol, and keep the features. Labels, attacks, speakers "
    "and conditions may differ. Utterances may be added at the end, and only their features are computed.",
)
@click.option(
    "--repair",
    is_flag=True,
    help="Read every row of the finished shards, and recompute the shards that are damaged or contain NaN or infinity.",
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="Extract only the first N utterances, into the folder <partition>-firstN.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Report the number of utterances, missing files, gigabytes and the time, and write nothing. If the corpus is "
    "not given, its published counts are used. If the checkpoint is not on this machine, a model of the same size "
    "with random weights is timed.",
)
@click.option("--verify", is_flag=True, help="Read every cache below --out again and compare it with its checksums.")
@device_option
@requeue_option
@sentences(after_interrupt="Run the same command again to continue from there.")
def main(verify: bool, out: Path, device: str, **given: Any) -> None:
    """Compute the features of a corpus once and write them into HDF5 shards.

    When the same command is run again, it keeps every finished shard and computes only those that are missing.
    """
    if verify:
        from spoofcache.tools.verify import verify_caches

        verify_caches([out])
        return
    if not (given["corpus"] and given["partitions"] and given["frontend"]):
        raise click.UsageError("--corpus, --partition and --frontend are needed (see --help)")
    from spoofcache.features.options import PreprocessOptions  # imported late: it imports torch, which is slow to load

    _preprocess(PreprocessOptions(out=out, **given), device)


def _preprocess(options: "PreprocessOptions", device_name: str) -> None:
    from spoofcache.features.request import ExtractionRequest

    keep_freed_memory()
    device = resolve_device(device_name)
    request = ExtractionRequest.from_options(options, device)
    if options.dry_run:
        # A dry run compiles nothing, so on a GPU the extraction itself will be faster than the estimate.
        _estimate(request, make_for_estimate(options.frontend, options.frontend_options(device, None, _say)))
        return
    warn_of_polarity(options)
    look_for_audio(request)
    of_network = options.frontend_options(device, request.n_rows, _say)
    network = make_frontend(options.frontend, of_network)
    for job in request.jobs(network):
        extract(job, network)
        keep_origin(job, options)
        click.echo(job.folder)


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)


def warn_of_polarity(options: "PreprocessOptions") -> None:
    """Report where 1 is taken for bona fide in a key of 0 and 1 of which the user does not say what 1 means."""
    from spoofcache.protocols.forms import polarity_warning

    warning = polarity_warning(options.protocol, options.columns) if options.protocol else ""
    if warning:
        _say(f"Warning: {warning}")


def look_for_audio(request: "ExtractionRequest") -> None:
    """Report the unusable audio of all partitions at once; raise AudioError unless such utterances are skipped."""
    from spoofcache.features import coverage as audio

    refused = []
    for partition, trials in request.trials.items():
        with progress(f"{partition}: looking for audio", len(trials)) as advance:
            coverage = audio.look_for_audio(trials, advance=advance)
        try:
            audio.require_audio(coverage, request.options.skip_bad_audio)
        except AudioError as error:
            refused.append(f"{partition}: {error}")
            continue
        if coverage.unusable:
            _say(f"{partition}: {coverage}; skipped")
    if refused:
        raise AudioError("\n".join(refused))


def extract(job: "Job", network: "FrontEnd") -> None:
    """Cache a partition in one view, and report on standard error what was done."""
    from spoofcache.features.extract import extract_partition

    with progress(job.title, len(job.trials)) as advance:
        done = extract_partition(job.trials, job.plan, network, job.folder, job.options, advance)
    skipped = f", {counted(len(done.skipped), 'utterance')} skipped (see skipped.tsv)" if done.skipped else ""
    pace = f"; {done.pace}" if done.made else ""
    _say(f"{job.title}: {counted(done.made, 'shard')} written, {done.found} already complete{skipped}{pace}")
    if done.unusual:
        counts = ", ".join(f"{number} {kind}" for kind, number in sorted(done.unusual.items()))
        _say(f"{job.title}: among the decoded audio files, {counts}; tools/prepare_corpus.py lists such files")


def keep_origin(job: "Job", options: "PreprocessOptions") -> None:
    """Record in a cache of statistics how the frames are cached, for the commands that a layer study prints."""
    from spoofcache.features.origin import Origin

    if options.pool:
        partition = job.plan.partition.removesuffix(f"-first{options.limit}")
        Origin.of(options, partition).keep(job.folder)


def _estimate(request: "ExtractionRequest", network: "FrontEnd") -> None:
    from spoofcache.features.estimate import Estimator

    estimator, n_bytes = Estimator(network), 0
    for job in request.jobs(network):
        estimate = estimator.estimate(job)
        click.echo(estimate.sentence)
        if estimate.folder:
            click.echo(estimate.folder)
        n_bytes += job.plan.n_bytes
    if any(len(views) > 1 for views in request.views.values()):
        click.echo(f"{n_bytes / 1e9:.2f} GB in all")


if __name__ == "__main__":
    main()

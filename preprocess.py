"""Stage one: compute the features of a corpus with a front-end, once, and write them into HDF5 shards."""

import spoofcache.common.signals  # noqa: F401

from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from spoofcache.common.cli import (
    RegistryName,
    checkpoint_folder,
    input_file,
    input_folder,
    named_columns,
    output,
    requeue_option,
    sentences,
)
from spoofcache.common.machine import keep_freed_memory
from spoofcache.features.augment import EFFECTS
from spoofcache.features.frontends import FRONTENDS
from spoofcache.features.frontends.base import POOLS, PRECISION_NAMES
from spoofcache.features.plan import ITEM_BYTES
from spoofcache.features.sharing_options import RayOptions, SharingOptions, StatusForm, sharing_options
from spoofcache.features.waveform import FIT_RULES, MAX_SAMPLES, MIN_SAMPLES, N_SAMPLES, NORMALIZATIONS
from spoofcache.protocols import CORPORA
from spoofcache.protocols.corpus import OPTIONS

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
  # share the work between the jobs of a Slurm array, and see how far it is (docs/cluster.md)
  python preprocess.py --corpus asvspoof19_la --root LA/ --partition train --frontend lfcc --out cache/ --tasks slurm
  python preprocess.py --status --out cache/
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
@sharing_options
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
    sharing = SharingOptions(**{each.name: given.pop(each.name) for each in fields(SharingOptions)})
    cluster = RayOptions(**{each.name: given.pop(each.name) for each in fields(RayOptions)})
    form = StatusForm(**{each.name: given.pop(each.name) for each in fields(StatusForm)})
    is_extraction = bool(given["corpus"] and given["partitions"] and given["frontend"])
    if not (is_extraction or form.status):
        raise click.UsageError("--corpus, --partition and --frontend are needed (see --help)")
    # imported late: they import torch, which is slow to load
    from spoofcache.features.options import PreprocessOptions
    from spoofcache.features.preprocessing import preprocess, show_status

    keep_freed_memory()
    options = PreprocessOptions(out=out, **given) if is_extraction else None
    if form.status:
        show_status(out, options, device, form)
    elif options is not None:
        preprocess(options, device, sharing, cluster)


if __name__ == "__main__":
    main()

"""Make a small corpus in the layout of ASVspoof 2019 from a folder of human speech.

The recordings are the bona fide utterances, and the generators in tools/spoofing make the spoofs from them. Train and
dev have the same attacks, and eval has others. ASV scores are written too, so that the t-DCF can be computed.
"""

import spoofcache.common.signals  # noqa: F401

import os
from pathlib import Path

import click

from spoofcache.common import cli
from spoofcache.tools.demo_corpus import FIRST_FOLDER

CODECS = ("auto", "g722", "none")

EXAMPLES = """\b
Examples:
  python tools/build_demo_corpus.py --speech LibriSpeech/dev-clean --out demo/corpus
  python tools/build_demo_corpus.py --speech VCTK/wav48 --out demo/corpus --train 2000 --dev 500 --eval 500
  python tools/build_demo_corpus.py --speech flat/ --speaker '^([a-z]+)_' --out demo/corpus
"""

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
SIZE = click.IntRange(min=16)


@click.command(epilog=EXAMPLES)
@click.option(
    "--speech",
    type=FOLDER,
    required=True,
    help="Take the human speech from this folder and its subfolders: recordings of at least two speakers, in any audio "
    "format.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Create the corpus in this new folder.")
@click.option(
    "--speaker",
    "pattern",
    default=FIRST_FOLDER,
    show_default=True,
    metavar="REGEX",
    help="Name the speaker of each file by the first group of this regular expression, which is searched in the path "
    "of the file below --speech. By default, the first folder names the speaker.",
)
@click.option(
    "--codec",
    type=click.Choice(CODECS),
    default="auto",
    show_default=True,
    help="Send every utterance through G.722 once (g722) or not (none). By default (auto), do so if any recording is "
    "G.722.",
)
@click.option(
    "--train", type=SIZE, default=200, show_default=True, help="Number of utterances in train; half are bona fide."
)
@click.option(
    "--dev", type=SIZE, default=100, show_default=True, help="Number of utterances in dev; half are bona fide."
)
@click.option(
    "--eval",
    "eval_",
    type=SIZE,
    default=140,
    show_default=True,
    help="Number of utterances in eval; half are bona fide.",
)
@click.option("--seed", default=0, show_default=True, help="Random seed; the same seed gives the same bytes.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=os.cpu_count() or 1,
    help="Make the utterances in this many processes; by default, one per core.",
)
@cli.sentences()
def main(
    speech: Path,
    out: Path,
    pattern: str,
    codec: str,
    train: int,
    dev: int,
    eval_: int,
    seed: int,
    workers: int,
) -> None:
    """Make a small anti-spoofing corpus in the layout of ASVspoof 2019 from a folder of human speech."""
    from spoofcache.tools.demo_corpus.build import (
        Options,
        build,
    )  # imported here so that `--help` does not wait for audio libraries
    from spoofcache.tools.demo_corpus.parallel import spread

    if out.exists():
        raise cli.Sentence(f"{out} exists already; expected a new folder")
    options = Options({"train": train, "dev": dev, "eval": eval_}, pattern, codec, seed)
    with spread(workers) as mapping:
        for line in build(speech, out, options, mapping):
            click.echo(line)
    click.echo(out)


if __name__ == "__main__":
    main()

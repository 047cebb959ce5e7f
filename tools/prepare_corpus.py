"""Survey a data set that has no protocol yet, and split it into protocols of train, dev and test."""

import spoofcache.common.signals  # noqa: F401

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from spoofcache.common import cli
from spoofcache.common.files import atomic_path, new_folder
from spoofcache.protocols import Location, find_audio, load_trials
from spoofcache.protocols.forms import read_key_file
from spoofcache.protocols.table import unique_utterances
from spoofcache.protocols.trial import Trial
from spoofcache.tools.demo_corpus.parallel import spread
from spoofcache.tools.user_corpus.audio import Analysis, AudioProperties, Missing, analyze_files
from spoofcache.tools.user_corpus.split import (
    describe,
    group_values,
    groups_of,
    parse_ratio,
    split,
    write_partitions,
)
from spoofcache.tools.user_corpus.survey import Survey, find_faults, survey
from spoofcache.tools.user_corpus.table import as_json, as_text

EXAMPLES = """\b
Examples:
  python tools/prepare_corpus.py recordings/ --analyze        # recordings/bonafide/…, recordings/spoof/…
  python tools/prepare_corpus.py meta.csv --audio-dir wav --column file=path --column label=kind \\
         --column source=dataset --analyze --picture survey.png --json survey.json
  python tools/prepare_corpus.py meta.csv --split 6:1:3 --group speaker --seed 0 --out protocols/mine
"""


@click.command(epilog=EXAMPLES)
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--audio-dir",
    type=cli.input_folder,
    help="Look for the audio that a list names below this folder; by default, the folder of the list.",
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    callback=cli.named_columns,
    metavar="NAME=HEADER",
    help="Read NAME (file, label, speaker, attack or a condition) from the column of the table with this header. May "
    "be repeated.",
)
@click.option("--analyze", is_flag=True, help="Print the contents of the data set, its faulty files and its leaks.")
@click.option(
    "--json",
    "json_path",
    type=cli.output,
    help="Write the analysis to this JSON file, with the name of every faulty file.",
)
@click.option("--picture", type=cli.output, help="Draw the analysis into this PNG file.")
@click.option(
    "--split", "ratio", metavar="N:N:N", help="Write protocols of train, dev and test in this ratio, such as 6:1:3."
)
@click.option(
    "--group",
    metavar="COLUMN|none",
    help="Never put two files with the same value in this column, such as speaker, into different partitions; `none` "
    "if no column groups the files.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed of the split.")
@click.option("--out", type=cli.output, help="Write train.csv, dev.csv and test.csv into this new folder.")
@click.option(
    "--on-bad-audio",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="If files are missing or unreadable, stop, or leave them out of the split.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=os.cpu_count() or 1,
    help="Read the audio in this many processes; by default, one per core.",
)
@click.option("--overwrite", is_flag=True, help="Replace the files of the analysis if they already exist.")
@cli.sentences()
def main(
    source: Path, audio_dir: Path | None, columns: Mapping[str, str], analyze: bool, json_path: Path | None,
    picture: Path | None, ratio: str | None, group: str | None, seed: int, out: Path | None, on_bad_audio: str,
    workers: int, overwrite: bool,
) -> None:  # fmt: skip
    """Survey a data set and split it into partitions.

    SOURCE is a folder with subfolders bonafide/ and spoof/ (or real/ and fake/), in which the folders below spoof/ name
    the attacks; or a CSV or TSV file with a header; or a protocol in any known form. Every file is decoded once. Files
    with the same samples always go into the same partition.
    """
    _check_options(analyze, json_path, picture, ratio, group, out)
    cli.check_outputs([path for path in (json_path, picture) if path], [source], overwrite)
    shares = parse_ratio(ratio) if ratio else ()
    if source.is_dir() and (columns or audio_dir):
        raise click.UsageError(f"{source} is a folder; --column and --audio-dir apply to a table or a protocol only")
    audio_dir = audio_dir or (source if source.is_dir() else source.parent)
    trials = _list(source, audio_dir, columns)
    if group:
        # refuse an impossible split before reading all files; duplicates may join groups later
        _partition(trials, [Missing()] * len(trials), group, shares, seed)
    with spread(workers) as mapping:
        analyses = analyze_files([trial.path for trial in trials], mapping)
    if analyze:
        _analyze(survey(trials, analyses), json_path, picture)
    if group and out:
        trials, analyses = _usable(trials, analyses, on_bad_audio)
        _warn_of_contradictions(find_faults(trials, analyses).contradictions)
        groups, partition = _partition(trials, analyses, group, shares, seed)
        with new_folder(out) as folder:
            write_partitions(folder, trials, audio_dir, partition)
        click.echo("\n".join([*describe(trials, groups, partition, shares), str(out)]))


def _check_options(
    analyze: bool, json_path: Path | None, picture: Path | None, ratio: str | None, group: str | None, out: Path | None
) -> None:
    if not (analyze or ratio):
        raise click.UsageError("expected --analyze, --split, or both (see --help)")
    if (json_path or picture) and not analyze:
        raise click.UsageError("--json and --picture need --analyze")
    if len({bool(ratio), bool(group), bool(out)}) > 1:
        raise click.UsageError(
            "--split, --group and --out go together (use --group none if no column groups the files)"
        )
    if out and out.exists():
        raise cli.Sentence(f"{out} exists already; expected a new folder")


def _list(source: Path, audio_dir: Path, columns: Mapping[str, str]) -> Sequence[Trial]:
    if source.is_dir():
        return load_trials("folders", Location(root=source), "")
    key = read_key_file(source, columns)
    if key.polarity:
        click.echo(f"Warning: {key.polarity}", err=True)
    return find_audio(unique_utterances(key.trials, source), audio_dir)


def _analyze(found: Survey, json_path: Path | None, picture: Path | None) -> None:
    click.echo(as_text(found))
    if json_path:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(json_path) as temporary:
            temporary.write_text(as_json(found), encoding="utf-8")
    if picture:
        from spoofcache.tools.user_corpus.picture import (
            draw,
        )  # imported here because the worker processes need no matplotlib

        picture.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(picture) as temporary:
            draw(found, temporary)


def _usable(
    trials: Sequence[Trial], analyses: list[Analysis], on_bad_audio: str
) -> tuple[Sequence[Trial], list[Analysis]]:
    """The files that could be read; Sentence if some could not and are not to be skipped."""
    pairs = list(zip(trials, analyses, strict=True))
    bad = [f"{trial.utt_id} ({analysis})" for trial, analysis in pairs if not isinstance(analysis, AudioProperties)]
    if bad and on_bad_audio == "stop":
        raise cli.Sentence(
            f"{len(bad)} of {len(trials)} files cannot be read, first {', '.join(bad[:10])}; expected audio "
            "(with --on-bad-audio skip, they are omitted)"
        )
    if bad:
        click.echo(f"Skipped {len(bad)} of {len(trials)} files, which cannot be read", err=True)
    good = [pair for pair in pairs if isinstance(pair[1], AudioProperties)]
    return [trial for trial, _ in good], [analysis for _, analysis in good]


def _warn_of_contradictions(contradictions: Sequence[Sequence[str]]) -> None:
    if contradictions:
        n_groups = len(contradictions)
        many = "1 group of files" if n_groups == 1 else f"{n_groups} groups of files"
        verbs = "has both labels, and is kept" if n_groups == 1 else "have both labels, and are kept"
        shown = ", ".join(" = ".join(files[:3]) for files in contradictions[:3])
        click.echo(f"Warning: {many} with the same samples {verbs}: {shown}", err=True)


def _partition(
    trials: Sequence[Trial], analyses: Sequence[Analysis], group: str, shares: Sequence[float], seed: int
) -> tuple[list[int], NDArray[np.int64]]:
    groups = groups_of(group_values(trials, group), analyses)
    return groups, split([trial.key for trial in trials], groups, shares, seed)


if __name__ == "__main__":
    main()

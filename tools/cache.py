"""List, compare, cut, join, convert and remove cached partitions."""

import spoofcache.common.signals  # noqa: F401

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spoofcache.common import cli

if TYPE_CHECKING:
    from spoofcache.tools.caches.derived import Derived
    from spoofcache.tools.caches.facts import CacheFacts

# the work is imported in the functions, so that `--help` does not wait for it

EXAMPLES = """\b
Examples:
  python tools/cache.py list cache/
  python tools/cache.py subset cache/…/train --where attack=-,A01,A02 --out cache/…/train-two-attacks
`python tools/cache.py COMMAND --help` explains a command.
"""
LIST_EXAMPLES = """\b
Example:
  python tools/cache.py list cache/ /backup/cache --json
"""
INFO_EXAMPLES = """\b
Example:
  python tools/cache.py info cache/asvspoof19_la/xls-r-300m-last-1a2b3c4d/train
"""
DIFF_EXAMPLES = """\b
Example:
  python tools/cache.py diff cache/…/train /backup/cache/…/train
"""
SUBSET_EXAMPLES = """\b
Examples:
  python tools/cache.py subset cache/…/train --where "attack!=A05,A06" --out cache/…/train-without-vc
  python tools/cache.py subset cache/…/eval --list hard.txt --out hard/eval
"""
MERGE_EXAMPLES = """\b
Example:
  python tools/cache.py merge cache/…/train cache/…/dev --out cache/…/train-and-dev
"""
CONVERT_EXAMPLES = """\b
Examples:
  python tools/cache.py convert cache/…/train --dtype float16 --out half/…/train
  python tools/cache.py convert cache/…/train --compression lzf --out packed/…/train
  python tools/cache.py convert cache/…/train --to webdataset --out exported/train
"""
RM_EXAMPLES = """\b
Example:
  python tools/cache.py rm cache/asvspoof19_la/xls-r-300m-last-1a2b3c4d --runs runs/
"""
HEADER = ("folder", "corpus", "partition", "front-end", "rows", "GB", "dtype", "state")

CONTINUE = "Finished shards are kept; run the same command again to continue."
WHERE_HELP = (
    "Choose the trials that meet this condition on a column, as in evaluate.py: NAME=VALUE or NAME!=VALUE (several "
    "values separated by commas), NAME<VALUE, NAME<=VALUE, NAME>VALUE or NAME>=VALUE. Repeat the option for several."
)
OUT_HELP = "Write into this folder, which must not exist; its last name becomes the name of the partition."

out_option = click.option("--out", type=cli.output, required=True, metavar="DIR", help=OUT_HELP)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.group(epilog=EXAMPLES, no_args_is_help=True)
def main() -> None:
    """List, compare, cut, join, convert and remove cached partitions."""


@main.command("list", epilog=LIST_EXAMPLES, no_args_is_help=True)
@click.argument("folders", nargs=-1, required=True, type=cli.input_folder)
@json_option
@cli.sentences()
def list_(folders: tuple[Path, ...], as_json: bool) -> None:
    """List every cached partition in and below FOLDERS, complete or not, and what it was made from.

    No row is read. The number of rows is that of the utterances with features; it is printed for complete partitions.
    """
    from spoofcache.tools.caches.facts import facts_of, find_caches

    found = [facts_of(folder) for folder in find_caches(folders)]
    if as_json:
        click.echo(json.dumps([facts.to_fields() for facts in found], indent=1))
        return
    click.echo(_aligned([HEADER, *map(_row, found)]))
    click.echo(f"{cli.counted(len(found), 'partition')}, {sum(facts.n_bytes for facts in found) / 1e9:.3f} GB")
    for facts in found:
        if facts.fault:
            cli.say(f"Warning: {facts.fault}")


@main.command(epilog=INFO_EXAMPLES, no_args_is_help=True)
@click.argument("cache", type=cli.input_folder)
@json_option
@cli.sentences()
def info(cache: Path, as_json: bool) -> None:
    """Describe the partition CACHE: its identity, its trials, its sizes, and the utterances that it omits."""
    from spoofcache.tools.caches.facts import details_of, facts_of, find_caches

    folders = find_caches([cache])
    if len(folders) > 1:
        raise cli.Sentence(f"{cache}: holds {len(folders)} cached partitions; expected the folder of one")
    details = details_of(facts_of(folders[0]))
    click.echo(json.dumps(details, indent=1) if as_json else _described(details))


@main.command(epilog=DIFF_EXAMPLES, no_args_is_help=True)
@click.argument("a", type=cli.input_folder)
@click.argument("b", type=cli.input_folder)
@json_option
@cli.sentences()
def diff(a: Path, b: Path, as_json: bool) -> None:
    """Compare the partitions A and B: which fields of their identities differ, and which trials.

    If the identities are equal, the features of the trials that both have are compared by their checksums. The exit
    status is 0 if nothing differs, and 1 otherwise.
    """
    from spoofcache.tools.caches.difference import difference

    found = difference(a, b)
    click.echo(json.dumps(found._asdict(), indent=1) if as_json else str(found) or "nothing differs")
    click.get_current_context().exit(int(bool(found)))


@main.command(epilog=SUBSET_EXAMPLES, no_args_is_help=True)
@click.argument("cache", type=cli.input_folder)
@click.option("--where", multiple=True, metavar="CONDITION", help=WHERE_HELP)
@click.option("--list", "names", type=cli.input_file, help="Choose the utterances in this file, which has one a line.")
@out_option
@cli.sentences(CONTINUE)
def subset(cache: Path, where: tuple[str, ...], names: Path | None, out: Path) -> None:
    """Write a cache of some trials of the partition CACHE, in their order. Identity and features stay as they are.

    With conditions and a list, the trials that meet all of them are chosen.
    """
    from spoofcache.tools.caches import derived, source

    if not where and names is None:
        raise click.UsageError("nothing to choose by; expected --where or --list")
    _write(derived.subset(source.Source(cache), where, names, out), out)


@main.command(epilog=MERGE_EXAMPLES, no_args_is_help=True)
@click.argument("caches", nargs=-1, required=True, type=cli.input_folder)
@out_option
@cli.sentences(CONTINUE)
def merge(caches: tuple[Path, ...], out: Path) -> None:
    """Write a cache with the trials of the partitions CACHES, one after the other.

    The partitions must have one identity, and no utterance may be in two of them.
    """
    from spoofcache.tools.caches import derived, source

    _write(derived.merged([source.Source(cache) for cache in caches], out), out)


@main.command(epilog=CONVERT_EXAMPLES, no_args_is_help=True)
@click.argument("cache", type=cli.input_folder)
@click.option(
    "--dtype",
    type=click.Choice(["float16"]),
    help="Store float32 features in this number type. A value that it cannot hold is an error.",
)
@click.option(
    "--compression",
    type=click.Choice(["none", "gzip", "lzf"]),
    help="Store the features compressed, or contiguous with `none`, which is the default and the fastest to read.",
)
@click.option(
    "--to",
    "form",
    type=click.Choice(["npy", "webdataset"]),
    help="Export instead of writing a cache: `npy` writes one array and a table, `webdataset` tar files.",
)
@out_option
@cli.sentences("Run the same command again: finished shards of a cache are kept, and an export starts anew.")
def convert(cache: Path, dtype: str | None, compression: str | None, form: str | None, out: Path) -> None:
    """Write the partition CACHE in another number type, compressed or contiguous, or in a form of another tool."""
    from spoofcache.tools.caches import derived, export, source

    if form is None and dtype is None and compression is None:
        raise click.UsageError("nothing to convert to; expected --dtype, --compression or --to")
    if form is None:
        packed = None if compression == "none" else compression
        _write(derived.converted(source.Source(cache), dtype, out), out, packed)
        return
    if dtype or compression:
        raise click.UsageError("--to exports the numbers as they are; expected it without --dtype and --compression")
    opened = source.Source(cache)
    with cli.progress(str(out), len(opened.data)) as advance:
        export.export(opened, form, out, advance)
    click.echo(f"{out}: {cli.counted(len(opened.data), 'row')} of {cache}")


@main.command(epilog=RM_EXAMPLES, no_args_is_help=True)
@click.argument("caches", nargs=-1, required=True, type=cli.input_folder)
@click.option("--yes", is_flag=True, help="Remove without asking.")
@click.option(
    "--runs",
    multiple=True,
    type=cli.input_folder,
    metavar="DIR",
    help="List the run folders below DIR that were trained or validated on the caches. Repeat the option for several.",
)
@cli.sentences("Run the same command again to remove the rest.")
def rm(caches: tuple[Path, ...], yes: bool, runs: tuple[Path, ...]) -> None:
    """Remove every cached partition in and below CACHES, after a question on the terminal.

    A partition that a live process reads or writes is not removed. Files that are not part of a cache are kept.
    """
    from spoofcache.tools.caches.facts import facts_of, find_caches
    from spoofcache.tools.caches.removal import not_in_use, remove

    found = [facts_of(folder) for folder in find_caches(caches)]
    for facts in found:
        with not_in_use(facts.folder):
            click.echo(f"{facts.folder}: {facts.front_end_in_words}, {facts.n_bytes / 1e9:.3f} GB, {facts.state}")
    _list_runs(found, runs)
    if not yes:
        click.confirm(f"Remove {cli.counted(len(found), 'partition')}?", abort=True)
    for facts in found:
        others = remove(facts.folder)
        kept = f"; {cli.counted(len(others), 'other file')} kept, such as {others[0].name}" if others else ""
        click.echo(f"{facts.folder}: removed{kept}")


def _write(derived: "Derived", out: Path, compression: str | None = None) -> None:
    from spoofcache.tools.caches.writing import write_derived

    with cli.progress(str(out), len(derived.trials)) as advance:
        write_derived(derived, out, compression, advance)
    click.echo(f"{out}: {cli.counted(len(derived.trials), 'trial')}, identity {derived.plan.identity.digest}")


def _list_runs(found: "Sequence[CacheFacts]", below: Sequence[Path]) -> None:
    from spoofcache.tools.caches.removal import runs_that_name

    named = [(facts.plan, facts.folder) for facts in found if facts.plan]
    for folder in below:
        for run in runs_that_name([plan for plan, _ in named], [cache for _, cache in named], folder):
            click.echo(f"{run}: this run was trained or validated on it, and cannot be resumed without it")


def _row(facts: "CacheFacts") -> tuple[str, ...]:
    plan = facts.plan
    named = (plan.corpus, plan.partition, facts.front_end_in_words) if plan else ("?", "?", "?")
    rows = "?" if facts.n_rows is None else str(facts.n_rows)
    dtype = plan.identity.dtype if plan else "?"
    return (str(facts.folder), *named, rows, f"{facts.n_bytes / 1e9:.3f}", dtype, facts.state)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _described(details: Mapping[str, Any]) -> str:
    """Every detail on a line of its own, those of a table below its name."""
    lines = []
    for name, value in details.items():
        if isinstance(value, Mapping):
            lines += [name, *(f"  {key}: {_plain(each)}" for key, each in value.items())] if value else []
        elif value not in (None, ""):
            lines.append(f"{name}: {_plain(value)}")
    return "\n".join(lines)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


if __name__ == "__main__":
    main()

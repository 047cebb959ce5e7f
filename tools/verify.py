"""Compare finished caches with the checksums that were stored with them."""

import spoofcache.common.signals  # noqa: F401

from collections.abc import Sequence
from pathlib import Path

import click

from spoofcache.common import cli

EXAMPLES = """\b
Examples:
  python tools/verify.py cache/
  python tools/verify.py cache/asvspoof19_la/xls-r-300m-last-1a2b3c4d/train /backup/cache
"""


@click.command(epilog=EXAMPLES, no_args_is_help=True)
@click.argument("folders", nargs=-1, required=True, type=cli.input_folder)
@cli.sentences()
def main(folders: tuple[Path, ...]) -> None:
    """Read every cached partition in and below FOLDERS again, and report what is no longer as it was written.

    Every row is compared with its checksum, every shard with the manifest, and the utterances with the protocol. The
    exit status is 0 if everything is as it was written, and 2 otherwise.
    """
    verify_caches(folders)


def verify_caches(folders: Sequence[Path]) -> None:
    """Verify every cached partition in and below the folders, and print one line for each.

    Raises:
        Sentence: a folder holds no cached partition, or a partition is not as it was written.
    """
    from spoofcache.features.verify import (
        cached_partitions,
        verify_partition,
    )  # imported here so that `--help` does not wait for it

    found = {folder: cached_partitions(folder) for folder in folders}
    empty = [folder for folder, partitions in found.items() if not partitions]
    if empty:
        raise cli.Sentence(f"{empty[0]}: expected a cached partition in this folder or below it, but there is none")
    problems: list[str] = []
    for folder in dict.fromkeys(partition for partitions in found.values() for partition in partitions):
        with cli.progress(str(folder), len(list(folder.glob("shard-*.h5")))) as advance:
            wrong = verify_partition(folder, advance)
        click.echo(f"{folder}: {f'{len(wrong)} problems' if wrong else 'as written'}")
        problems += wrong
    if problems:
        raise cli.Sentence("\n".join(problems))


if __name__ == "__main__":
    main()

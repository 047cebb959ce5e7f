"""Convert a score file from one form to another."""

import spoofcache.common.signals  # noqa: F401

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from spoofcache.common import cli
from spoofcache.common.files import atomic_path
from spoofcache.common.names import without_ending, word
from spoofcache.evaluation.keyed_scores import read_keyed_scores
from spoofcache.evaluation.reading import Reading
from spoofcache.metrics.written_scores import ALIASES, FORMS, format_cm_scores

EXAMPLES = """\b
Examples:
  python tools/convert_scores.py scores/lcnn_eval.txt --to asvspoof5 --out scores/lcnn_eval.tsv
  python tools/convert_scores.py theirs.txt --to asvspoof2019 --out theirs_2019.txt \\
         --protocol ASVspoof2019.LA.cm.eval.trl.txt
"""
PROTOCOL_HELP = (
    "Take keys, attacks and order from this protocol, in any known form, and require a score for each of its trials."
)


@click.command(epilog=EXAMPLES)
@click.argument("source", metavar="IN", type=cli.input_file)
@click.option(
    "--to", "form", type=cli.ChoiceWithAliases(FORMS, ALIASES), required=True, help="Write the scores in this form."
)
@click.option("--out", type=cli.output, required=True, help="Write the scores to this file.")
@click.option("--protocol", type=cli.input_file, help=PROTOCOL_HELP)
@cli.column_option
@click.option("--overwrite", is_flag=True, help="Replace the output if it already exists.")
@cli.sentences()
def main(
    source: Path, form: str, out: Path, protocol: Path | None, columns: Mapping[str, str], overwrite: bool
) -> None:
    """Convert the score file IN from any known form to another; every number stays the same to the last bit.

    The ending of an audio file is removed from utterance names: `0.wav` becomes `0`.

    A form without keys or attacks drops them; --protocol restores them.
    """
    cli.check_outputs([out], [path for path in (source, protocol) if path], overwrite)
    scores, remarks = read_keyed_scores(source, protocol, Reading(columns))
    for remark in remarks:
        click.echo(f"Warning: {remark}", err=True)
    lines = format_cm_scores(replace(scores, utt_ids=_written(scores.utt_ids)), form)
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(out) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")
    click.echo(out)


def _written(names: Sequence[str]) -> list[str]:
    """Names without endings of audio files, where they stay different, and without blanks, which separate columns."""
    bare = [word(without_ending(name)) for name in names]
    return bare if len(set(bare)) == len(bare) else [word(name) for name in names]


if __name__ == "__main__":
    main()

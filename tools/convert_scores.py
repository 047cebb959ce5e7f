"""A score file in one form → the same scores in another."""

import spoofcache.common.signals  # noqa: F401

from pathlib import Path

import click
import numpy as np

from spoofcache.common import cli
from spoofcache.common.files import atomic_path
from spoofcache.evaluation.alignment import align
from spoofcache.evaluation.trials import TrialList
from spoofcache.metrics.score_files import read_scores
from spoofcache.metrics.scores import CmScores
from spoofcache.metrics.written_scores import ALIASES, FORMS, format_cm_scores
from spoofcache.protocols.forms import read_any_protocol

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
    "--to", "form", type=cli.ChoiceWithAliases(FORMS, ALIASES), required=True, help="Form of the file to write."
)
@click.option("--out", type=cli.output, required=True, help="Score file to write.")
@click.option("--protocol", type=cli.input_file, help=PROTOCOL_HELP)
@click.option("--overwrite", is_flag=True, help="Replace the output if it already exists.")
@cli.sentences()
def main(source: Path, form: str, out: Path, protocol: Path | None, overwrite: bool) -> None:
    """Convert the score file IN from any known form to another; every number stays the same to the last bit.

    The ending of an audio file is removed from utterance names: `0.wav` becomes `0`.

    A form without keys or attacks drops them; --protocol restores them.
    """
    cli.check_outputs([out], [path for path in (source, protocol) if path], overwrite)
    scores = read_scores(source)
    lines = format_cm_scores(with_protocol(scores, protocol) if protocol else scores, form)
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(out) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")
    click.echo(out)


def with_protocol(scores: CmScores, protocol: Path) -> CmScores:
    """The scores in the order of a protocol, with its keys and attacks.

    Raises:
        ScoreError: the scores do not stand for exactly its trials, or contradict it.
        ProtocolError: a broken protocol.
    """
    trials = read_any_protocol(protocol)
    utt_ids, attacks = [trial.utt_id for trial in trials], [trial.attack for trial in trials]
    is_bonafide = np.array([trial.key == "bonafide" for trial in trials])
    wanted = TrialList(utt_ids, is_bonafide, {"attack": np.array(attacks)})
    return CmScores(utt_ids, attacks, is_bonafide, align(scores, wanted, f"{scores.path} against {protocol}"))


if __name__ == "__main__":
    main()

"""Fit the calibration and the threshold of a run on scores of the user's choice."""

import spoofcache.common.signals  # noqa: F401

from collections.abc import Mapping
from pathlib import Path

import click

from spoofcache.common import cli

EXAMPLES = """\b
Examples:
  # on the dev set of another corpus, which generate_score.py scored with the same run
  python tools/calibrate.py --run runs/lcnn --scores scores/lcnn_itw.txt --protocol itw_dev.csv
\b
  # for recordings of the telephone only: scores that carry their own keys
  python tools/calibrate.py --run runs/lcnn --scores scores/lcnn_calls.tsv --name "calls of May"
"""
NAME_HELP = (
    "Call the set of trials by this name.  [default: the name of the protocol or, without one, of the score file]"
)


@click.command(epilog=EXAMPLES)
@click.option(
    "--run",
    type=cli.RunFolder(change=True),
    metavar="FOLDER",
    required=True,
    help="Change the calibration of this run folder.",
)
@click.option("--scores", type=cli.input_file, required=True, help="Fit on this score file, in any known form.")
@click.option(
    "--protocol", type=cli.input_file, help="Take the keys of the trials from this protocol, in any known form."
)
@click.option("--name", help=NAME_HELP)
@click.option(
    "--checkpoint",
    type=click.Choice(["best", "average"]),
    default="best",
    show_default=True,
    help="Say which weights of the run made the scores.",
)
@cli.column_option
@cli.sentences()
def main(
    run: Path,
    scores: Path,
    protocol: Path | None,
    name: str | None,
    checkpoint: str,
    columns: Mapping[str, str],
) -> None:
    """Fit how a run turns its scores into verdicts, and keep that in the run folder.

    detect.py then uses it: the threshold is that of the equal error rate on these scores, and a logistic regression
    makes log-likelihood ratios of them. A training fits both on its dev set. The scores must have been made by the
    weights of this run, which cannot be checked.
    """
    from spoofcache.engine.calibration_file import weights_sha256, write_decision
    from spoofcache.evaluation.keyed_scores import read_keyed_scores
    from spoofcache.evaluation.reading import Reading
    from spoofcache.metrics.decision import fit_decision

    weights = weights_sha256(run, checkpoint)
    found, remarks = read_keyed_scores(scores, protocol, Reading(columns))
    for remark in remarks:
        click.echo(f"Warning: {remark}", err=True)
    decision = fit_decision(found.scores, found.require_keys(), name or (protocol or scores).name, weights)
    write_decision(run, checkpoint, decision)
    click.echo(f"bona fide from a score of {decision.threshold:.7g} on: {decision.origin}")


if __name__ == "__main__":
    main()

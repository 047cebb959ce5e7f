"""Evaluate a countermeasure as ASVspoof 2019 did: EER, minimum t-DCF, table of attacks, JSON, pictures."""

import spoofcache.common.signals  # noqa: F401

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from spoofcache.common import cli
from spoofcache.common.files import atomic_path
from spoofcache.evaluation.asvspoof2019 import Evaluation, as_text, evaluate_2019
from spoofcache.evaluation.checks import separation_warning, warnings_of
from spoofcache.evaluation.evaluation_set import EvaluationSet
from spoofcache.evaluation.reading import Reading
from spoofcache.evaluation.testsets import NO_PROTOCOL, NamedFile, evaluation_sets

EXAMPLES = """\b
Examples:
  python evaluate_tDCF_asvspoof19.py --cm-scores scores/lcnn_eval.txt \\
         --asv-scores ASVspoof2019.LA.asv.eval.gi.trl.scores.txt \\
         --protocol ASVspoof2019.LA.cm.eval.trl.txt --json lcnn.json --plots plots/
  python evaluate_tDCF_asvspoof19.py --cm-scores scores/lcnn_eval.txt
"""
OUTPUT = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
CM_HELP = (
    "Read the countermeasure scores from this file, in any form that states the keys, or any form with --protocol."
)
ASV_HELP = """Read the ASV scores from this file (`attack-or-bonafide target|nontarget|spoof score`). Without
them, only the EER is computed."""
COLUMN_HELP = """Name a column of the scores or the protocol where its contents leave it open (utterance, score, key,
attack, bonafide or spoof), as in evaluate.py. Repeat the option for several columns."""
ANYWAY_HELP = "Use the ASV scores even if they seem to belong to another edition than the protocol."
EXPLAIN_HELP = "Print how the columns of every file were understood to standard error."
PROTOCOL_HELP = "Read the trials and their keys from this CM protocol, and require a score for each of its trials."
JSON_HELP = "Write every number in full precision, with rates as fractions, to this file."
PLOTS_HELP = "Draw the DET curves and the score histogram as PNG files into this folder."
OVERWRITE_HELP = "Replace the JSON file and the pictures if they already exist."


@click.command(epilog=EXAMPLES)
@click.option("--cm-scores", "cm_path", type=cli.input_file, required=True, help=CM_HELP)
@click.option("--asv-scores", "asv_path", type=cli.input_file, help=ASV_HELP)
@click.option("--protocol", "protocol_path", type=cli.input_file, help=PROTOCOL_HELP)
@click.option(
    "--column", "columns", multiple=True, callback=cli.named_columns, metavar="NAME=HEADER-or-number", help=COLUMN_HELP
)
@click.option("--asv-anyway", is_flag=True, help=ANYWAY_HELP)
@click.option("--explain", is_flag=True, help=EXPLAIN_HELP)
@click.option("--json", "json_path", type=OUTPUT, help=JSON_HELP)
@click.option("--plots", type=FOLDER, help=PLOTS_HELP)
@click.option("--overwrite", is_flag=True, help=OVERWRITE_HELP)
@cli.sentences()
def main(
    cm_path: Path,
    asv_path: Path | None,
    protocol_path: Path | None,
    columns: Mapping[str, str],
    asv_anyway: bool,
    explain: bool,
    json_path: Path | None,
    plots: Path | None,
    overwrite: bool,
) -> None:
    """Compute the EER and the minimum t-DCF (ASVspoof 2019 form) of a countermeasure, pooled and per attack."""
    pictures = [plots / f"{cm_path.stem}_{kind}.png" for kind in ("det", "histogram")] if plots else []
    inputs = {"cm_scores": cm_path, "asv_scores": asv_path, "protocol": protocol_path}
    cli.check_outputs([*([json_path] if json_path else []), *pictures], filter(None, inputs.values()), overwrite)
    protocols = [NamedFile(str(protocol_path), protocol_path)] if protocol_path else []
    asv_paths = [asv_path] if asv_path else []
    reading = Reading(columns, asv_anyway=asv_anyway, explain=explain)
    (evaluated,) = evaluation_sets([NamedFile(str(cm_path), cm_path)], protocols, asv=asv_paths, reading=reading)
    evaluation = evaluate_2019(evaluated)
    if json_path:
        _write_json(json_path, inputs, evaluation)
    if plots:
        plots.mkdir(parents=True, exist_ok=True)
        _draw(evaluated, cm_path.stem, *pictures)
    (scores,), is_bonafide = evaluated.systems.values(), evaluated.trials.is_bonafide
    warning = separation_warning(scores[is_bonafide], scores[~is_bonafide])
    click.echo(as_text(evaluation, warning))  # after the files are written: `| head` may end the command here
    for line in (*(evaluated.notes if explain else ()), *_warnings(evaluated)):
        click.echo(line, err=True)
    for path in pictures:
        click.echo(f"wrote {path}")


def _warnings(evaluated: EvaluationSet) -> list[str]:
    """Lines on what is doubtful in the scores and in how the files were read."""
    ((name, scores),) = evaluated.systems.items()
    of_files = [sentence for sentence in evaluated.warnings if not sentence.startswith(NO_PROTOCOL)]
    found = [*warnings_of(name, scores, evaluated.trials.is_bonafide), *of_files]
    return [f"Warning: {sentence}" for sentence in found]


def _write_json(path: Path, inputs: dict[str, Path | None], evaluation: Evaluation) -> None:
    numbers = asdict(evaluation)
    record = {**inputs, **numbers.pop("pooled"), **numbers}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2, default=os.fspath) + "\n", encoding="utf-8")


def _draw(evaluated: EvaluationSet, title: str, det_path: Path, histogram_path: Path) -> None:
    from spoofcache.evaluation import det_pictures, pictures  # here, not above: numbers must not wait for matplotlib

    with atomic_path(det_path) as det, atomic_path(histogram_path) as histogram:
        det_pictures.draw_det(evaluated, title, det)
        pictures.draw_histogram(evaluated, title, histogram)


if __name__ == "__main__":
    main()

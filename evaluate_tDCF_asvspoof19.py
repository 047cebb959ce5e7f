"""Evaluate a countermeasure as ASVspoof 2019 did: EER, minimum t-DCF, table of attacks, JSON, pictures."""

import spoofcache.common.signals  # noqa: F401

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
ASV_KEY_HELP = """Read what each ASV trial is from this file, for ASV scores of ASVspoof 2021, which do not state it
(keys/LA/ASV/trial_metadata.txt)."""
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
@click.option("--asv-key", type=cli.input_file, help=ASV_KEY_HELP)
@click.option("--asv-anyway", is_flag=True, help=ANYWAY_HELP)
@click.option("--explain", is_flag=True, help=EXPLAIN_HELP)
@click.option("--json", "json_path", type=OUTPUT, help=JSON_HELP)
@click.option("--plots", type=FOLDER, help=PLOTS_HELP)
@click.option("--overwrite", is_flag=True, help=OVERWRITE_HELP)
@cli.sentences()
def main(**given: Any) -> None:
    """Compute the EER and the minimum t-DCF (ASVspoof 2019 form) of a countermeasure, pooled and per attack."""
    options = Options(**given)
    cli.check_outputs(options.outputs, options.read, options.overwrite)
    evaluated = _evaluation_set(options)
    evaluation = evaluate_2019(evaluated)
    _write(options, evaluated, evaluation)
    (scores,), is_bonafide = evaluated.systems.values(), evaluated.trials.is_bonafide
    warning = separation_warning(scores[is_bonafide], scores[~is_bonafide])
    click.echo(as_text(evaluation, warning))  # after the files are written: `| head` may end the command here
    for line in (*(evaluated.notes if options.explain else ()), *_warnings(evaluated)):
        click.echo(line, err=True)
    for path in options.pictures:
        click.echo(f"wrote {path}")


@dataclass(frozen=True)
class Options:
    """The options of the command, by their names in Python."""

    cm_path: Path
    asv_path: Path | None
    protocol_path: Path | None
    columns: Mapping[str, str]
    asv_key: Path | None
    asv_anyway: bool
    explain: bool
    json_path: Path | None
    plots: Path | None
    overwrite: bool

    @property
    def inputs(self) -> dict[str, Path | None]:
        """The files that the figures come from, as the JSON file names them."""
        return {"cm_scores": self.cm_path, "asv_scores": self.asv_path, "protocol": self.protocol_path}

    @property
    def read(self) -> list[Path]:
        """Every file that is read."""
        return [path for path in (*self.inputs.values(), self.asv_key) if path]

    @property
    def pictures(self) -> list[Path]:
        """The pictures to draw."""
        if not self.plots:
            return []
        return [self.plots / f"{self.cm_path.stem}_{kind}.png" for kind in ("det", "histogram")]

    @property
    def outputs(self) -> list[Path]:
        """The files to write."""
        return [*([self.json_path] if self.json_path else []), *self.pictures]


def _evaluation_set(options: Options) -> EvaluationSet:
    protocol, cm = options.protocol_path, options.cm_path
    protocols = [NamedFile(str(protocol), protocol)] if protocol else []
    asv = [options.asv_path] if options.asv_path else []
    reading = Reading(options.columns, options.asv_key, options.asv_anyway, options.explain)
    (evaluated,) = evaluation_sets([NamedFile(str(cm), cm)], protocols, asv=asv, reading=reading)
    return evaluated


def _write(options: Options, evaluated: EvaluationSet, evaluation: Evaluation) -> None:
    if options.json_path:
        _write_json(options.json_path, options.inputs, evaluation)
    if options.plots:
        options.plots.mkdir(parents=True, exist_ok=True)
        _draw(evaluated, options.cm_path.stem, *options.pictures)


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

"""Evaluate score files against protocols, or runs on cached test sets: figures, intervals, comparisons, a report."""

import spoofcache.common.signals  # noqa: F401

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import zip_longest
from pathlib import Path
from typing import Any

import click

from spoofcache.common import cli
from spoofcache.common.files import atomic_path
from spoofcache.evaluation import latex, tables
from spoofcache.evaluation import matrix as matrices
from spoofcache.evaluation.asv import require_use
from spoofcache.evaluation.comparison import compare
from spoofcache.evaluation.evaluation_set import EvaluationSet
from spoofcache.evaluation.figures import Comparison, Uncertainty
from spoofcache.evaluation.measures import CM_MEASURES, MEASURES, OPTION_FOR, default_measures
from spoofcache.evaluation.reading import Reading
from spoofcache.evaluation.report import report_page
from spoofcache.evaluation.sasv import compare_sasv
from spoofcache.evaluation.testsets import (
    NamedFile,
    calibrated,
    evaluation_sets,
    parse_named,
    read_costs,
    read_sasv,
    with_test_sets,
)
from spoofcache.evaluation.trials import groups_of

EXAMPLES = """\b
Examples:
  python evaluate.py lcnn.txt aasist=runs/aasist_eval.txt --protocol ASVspoof2019.LA.cm.eval.trl.txt \\
         --asv-scores ASVspoof2019.LA.asv.eval.gi.trl.scores.txt --by attack --html report.html
  python evaluate.py sls.txt --protocol keys/DF/CM/trial_metadata.txt --where phase=eval --by codec --by vocoder
  python evaluate.py a=a_eval.txt b=b_eval.txt --calibrate a=a_dev.txt --calibrate b=b_dev.txt --fuse
  python evaluate.py --run runs/la --run runs/both \\
         --test LA=cache/asvspoof19_la/*/eval --test ITW=cache/in_the_wild/*/eval --latex table.tex
  python evaluate.py --run runs/sf-seed0 --run runs/sf-seed1 --test-sets configs/test_sets/speechfake.toml --html x.html
"""
TITLE = "Evaluation of spoofing countermeasures"
PROTOCOL_HELP = """Read the trials and their keys from this file, in any known form, and require a score for each of
them. Repeat the option for several test sets. By default, the first score file must state the keys."""
WHERE_HELP = """Judge only the trials whose column of the protocol meets this condition: `phase=eval`, `codec=alaw,opus`
(one of these values), `attack!=A17`, or `snr>=10` (also <, <= and >; in quotation marks). Repeat the option to combine
conditions."""
ASV_HELP = """Read the scores of a speaker verification system (`attack-or-bonafide target|nontarget|spoof score`),
which t-DCF and t-EER need. Give one file for all protocols, or one for each."""
ASV_KEY_HELP = """Read the class of each ASV trial from this file (keys/LA/ASV/trial_metadata.txt), for ASV scores of
ASVspoof 2021, which do not state it, or for --sasv-scores of ASVspoof 5 track 2."""
ASV_ANYWAY_HELP = "Use the ASV scores even if they seem to belong to another edition of ASVspoof than the protocol."
COLUMN_HELP = """State which column of a score file or a protocol has this meaning, if the contents do not show it. NAME
is utterance, score, key, attack, speaker, bonafide or spoof (a column that is 1 for that class), or a condition of a
protocol. HEADER selects the column in every file that has it. A number selects a column of the score files if NAME is
utterance or score, and otherwise a column of the protocol; `scores.key=3` and `protocol.utterance=2` are explicit.
Repeat the option for several columns."""
EXPLAIN_HELP = "Add notes on how the columns of every file were understood."
COSTS_HELP = """Read the coefficients of the t-DCF of ASVspoof 2021 by condition, from a tab-separated table with the
header `condition c0 c1 c2` or from the organisers' LA-C012-eval.npy. By default, they are computed from the ASV
scores."""
SASV_HELP = """Judge the scores of a joint (spoofing-aware) speaker verification system by the a-DCF. The file has the
form of ASV scores. For files of ASVspoof 5 track 2, --asv-key is required, and the t-EER is computed, too."""
METRICS_HELP = f"""Compute these measures, separated by commas: {", ".join(CM_MEASURES)}; or `all`.  [default: those
that the inputs allow]"""
BY_HELP = "Add a table of the results for each value of this column (attack, speaker, codec, …)."
BOOTSTRAP_HELP = "Number of bootstrap replicates for intervals and tests; 0 computes neither."
LEVEL_HELP = "Confidence level of the intervals."
CLUSTER_HELP = """Draw whole speakers (attacks, …) instead of single trials in the bootstrap, since the trials of one
speaker are not independent of each other. Names a column of the protocol."""
SEED_HELP = "Random seed of the bootstrap."
CALIBRATE_HELP = """Fit a calibration on these development scores of the system, and judge its calibrated scores beside
the original ones; adds the actual DCF and Cllr."""
DEV_PROTOCOL_HELP = (
    "Read the keys of the development scores from this protocol. By default, their files state the keys."
)
RUN_HELP = """Score this run folder, or this run on the hub (hf://owner/name), instead of reading SCORES. Repeat the
option for several runs; runs of one experiment that differ in their random seed (`X-seed0`, `X-seed1`, …) share a
row."""
TEST_HELP = """Judge the runs on this cached partition (NAME=CACHE, in which `*` matches the caches of every front-end),
or on a test set from --test-sets (NAME). Repeat the option for several."""
TEST_SETS_HELP = """Judge the runs on the test sets that this file lists, or that a file of this name in
configs/test_sets/ lists. By default all of them; --test selects some."""
CHECKPOINT_HELP = """Use these weights of each run; `average` exists where train.average was set.  [default: best]"""
BATCH_HELP = "Number of utterances that a run's network scores at once."
FUSE_HELP = "Also judge the fusion of all systems by logistic regression; requires --calibrate."
JSON_HELP = "Write every number in full precision, with rates as fractions, to this JSON file."
CSV_HELP = "Write every number in full precision, with rates as fractions, to this file as one long table."
LATEX_HELP = "Write the tables to this file in LaTeX, for the package booktabs."
HTML_HELP = "Write a report with tables and pictures to this file: one HTML page that needs no other file."


@click.command(epilog=EXAMPLES, no_args_is_help=True)
@click.argument("scores", nargs=-1)
@click.option("--protocol", "protocols", metavar="[NAME=]FILE", multiple=True, help=PROTOCOL_HELP)
@click.option(
    "--column", "columns", multiple=True, callback=cli.named_columns, metavar="NAME=HEADER-or-number", help=COLUMN_HELP
)
@click.option("--explain", is_flag=True, help=EXPLAIN_HELP)
@click.option("--where", multiple=True, metavar="CONDITION", help=WHERE_HELP)
@click.option("--asv-scores", "asv", type=cli.input_file, multiple=True, help=ASV_HELP)
@click.option("--asv-key", type=cli.input_file, help=ASV_KEY_HELP)
@click.option("--asv-anyway", is_flag=True, help=ASV_ANYWAY_HELP)
@click.option("--tdcf-costs", "costs", type=cli.input_file, help=COSTS_HELP)
@click.option("--sasv-scores", "sasv", multiple=True, metavar="[NAME=]FILE", help=SASV_HELP)
@click.option("--metrics", default="", metavar="NAMES", help=METRICS_HELP)
@click.option("--by", multiple=True, metavar="COLUMN", help=BY_HELP)
@click.option("--bootstrap", "replicates", type=click.IntRange(0), default=1000, show_default=True, help=BOOTSTRAP_HELP)
@click.option("--level", type=click.FloatRange(0.5, 0.999), default=0.95, show_default=True, help=LEVEL_HELP)
@click.option("--cluster", "clusters", multiple=True, metavar="COLUMN", help=CLUSTER_HELP)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help=SEED_HELP)
@click.option("--calibrate", "dev", multiple=True, metavar="NAME=FILE", help=CALIBRATE_HELP)
@click.option("--dev-protocol", metavar="FILE", help=DEV_PROTOCOL_HELP)
@click.option("--fuse", is_flag=True, help=FUSE_HELP)
@click.option("--run", "runs", multiple=True, metavar="[NAME=]FOLDER", help=RUN_HELP)
@click.option("--test", "tests", multiple=True, metavar="NAME[=CACHE]", help=TEST_HELP)
@click.option("--test-sets", type=cli.PackagedFile("configs/test_sets"), help=TEST_SETS_HELP)
@click.option("--checkpoint", type=click.Choice(["best", "average"]), default="best", help=CHECKPOINT_HELP)
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True, help=BATCH_HELP)
@cli.device_option
@cli.requeue_option
@click.option("--json", type=cli.output, help=JSON_HELP)
@click.option("--csv", type=cli.output, help=CSV_HELP)
@click.option("--latex", type=cli.output, help=LATEX_HELP)
@click.option("--html", type=cli.output, help=HTML_HELP)
@click.option("--overwrite", is_flag=True, help="Replace output files that already exist.")
@cli.sentences()
def main(**given: Any) -> None:
    """Evaluate the scores of one or more countermeasures: EER, t-DCF, DCF and Cllr, with confidence intervals.

    SCORES are score files in any known form, each given as FILE or NAME=FILE. Without --protocol, the first file must
    state the keys, and trials that are missing from it cannot be noticed. With several protocols, every file is judged
    on the one whose trials it covers; NAME@PROTOCOL=FILE chooses one.

    With --run, every run is scored on every cached test set, and the results are tabulated by training set and test
    set. The scores are kept in the run folder and are not computed again.
    """
    options = Options(**given)
    _check(options)
    cli.check_outputs(options.outputs.values(), options.inputs, options.overwrite)
    experiments, evaluated = _score_runs(options) if options.runs else ([], [])
    evaluated = _evaluation_sets(options) if options.scores else evaluated
    comparisons = _compare(options, evaluated)
    matrix = matrices.matrix_of(experiments, comparisons, options.level) if experiments else None
    written = _write(
        options, evaluated, comparisons, matrix
    )  # before anything is printed: `| head` may end the command
    if matrix:
        click.echo(matrices.as_text(matrix))
    for comparison in comparisons if not matrix or options.by else []:
        click.echo(tables.as_text(comparison))
    if cli.output_is_elsewhere():  # otherwise the reader has seen the warnings beneath the tables
        for warning in matrix.warnings if matrix else [warning for one in comparisons for warning in one.warnings]:
            click.echo(f"Warning: {warning}", err=True)
    for path in written:
        click.echo(f"wrote {path}")


@dataclass(frozen=True)
class Options:
    """The options of the command, by their names in Python."""

    scores: tuple[str, ...]
    protocols: tuple[str, ...]
    columns: Mapping[str, str]
    explain: bool
    where: tuple[str, ...]
    asv: tuple[Path, ...]
    asv_key: Path | None
    asv_anyway: bool
    costs: Path | None
    sasv: tuple[str, ...]
    metrics: str
    by: tuple[str, ...]
    replicates: int
    level: float
    clusters: tuple[str, ...]
    seed: int
    dev: tuple[str, ...]
    dev_protocol: str | None
    fuse: bool
    runs: tuple[str, ...]
    tests: tuple[str, ...]
    test_sets: Path | None
    checkpoint: str
    batch_size: int
    device: str
    json: Path | None
    csv: Path | None
    latex: Path | None
    html: Path | None
    overwrite: bool

    @property
    def outputs(self) -> dict[str, Path]:
        """The files to write, by their kind."""
        files = {"json": self.json, "csv": self.csv, "latex": self.latex, "html": self.html}
        return {kind: path for kind, path in files.items() if path}

    @property
    def inputs(self) -> list[Path]:
        """Every file that is read."""
        named = (*self.scores, *self.sasv, *self.dev, *self.protocols, *filter(None, [self.dev_protocol]))
        return [
            *self.asv,
            *filter(None, [self.costs, self.asv_key, self.test_sets]),
            *(one.path for one in parse_named(named)),
        ]

    @property
    def of_score_files(self) -> list[str]:
        """The given options that apply to SCORES only."""
        names = "--protocol --column --asv-scores --asv-key --tdcf-costs --calibrate --dev-protocol --fuse"
        values = (
            *(self.protocols, self.columns, self.asv, self.asv_key, self.costs),
            *(self.dev, self.dev_protocol, self.fuse),
        )
        return [name for name, value in zip(names.split(), values, strict=True) if value]

    @property
    def of_trials(self) -> list[str]:
        """The given options that apply to SCORES and runs only."""
        named = {"--where": self.where, "--metrics": self.metrics, "--by": self.by, "--cluster": self.clusters}
        return [name for name, value in named.items() if value]

    @property
    def uncertainty(self) -> Uncertainty:
        """How intervals and tests are computed."""
        return Uncertainty(self.replicates, self.level, self.clusters, self.seed)

    def measures(self, decided: bool) -> tuple[str, ...]:
        """The measures that the user requested, or else those that the inputs allow."""
        if not self.metrics:
            return default_measures(bool(self.asv), bool(self.costs), bool(self.dev), decided)
        at_hand = default_measures(bool(self.asv), bool(self.costs), calibrated=True, decided=bool(self.runs))
        if self.metrics == "all":
            return at_hand
        names = tuple(dict.fromkeys(name.strip() for name in self.metrics.split(",")))
        for name in names:
            if name not in CM_MEASURES:
                raise cli.Sentence(f"--metrics {name}: expected some of {', '.join(CM_MEASURES)}, or all")
            if name not in at_hand:
                raise cli.Sentence(f"--metrics {name}: needs {OPTION_FOR[MEASURES[name].needs]}")
        return names


def _check(options: Options) -> None:
    """Raise a Sentence unless the options belong to one way of using the command."""
    if options.runs:
        others = [*["SCORES"] * bool(options.scores), *["--sasv-scores"] * bool(options.sasv), *options.of_score_files]
        if others:
            raise cli.Sentence(
                f"{others[0]} cannot be combined with --run; expected --test or --test-sets, and no score files"
            )
        return
    if options.tests or options.test_sets:
        raise cli.Sentence(f"{'--test' if options.tests else '--test-sets'} applies to runs only; expected --run")
    if not options.scores and not options.sasv:
        raise cli.Sentence("no score file; expected SCORES or --sasv-scores")
    if options.asv_key:
        require_use(options.asv_key, [*options.asv, *(one.path for one in parse_named(options.sasv))])
    of_scores = [name for name in (*options.of_score_files, *options.of_trials) if name != "--asv-key"]
    if not options.scores and of_scores:
        raise cli.Sentence(f"{of_scores[0]} applies to SCORES only; expected SCORES beside --sasv-scores")


def _score_runs(options: Options) -> tuple[list[matrices.Experiment], list[EvaluationSet]]:
    """The rows of the matrix, and the scores of every run on every test set, computed where they are missing."""
    from spoofcache.engine.about import RunError  # here, not above: score files do without torch
    from spoofcache.evaluation.crosscorpus import CrossCorpus, named_tests, read_test_sets
    from spoofcache.evaluation.runs import read_runs

    try:
        runs = read_runs(options.runs, options.checkpoint)
        tests = named_tests(options.tests, read_test_sets(options.test_sets) if options.test_sets else [])
        work = CrossCorpus(runs, tests)
        if work.n_to_score:
            with cli.progress("scoring", work.n_to_score) as advance:
                work.score(options.batch_size, cli.resolve_device(options.device), advance)
        return list(dict.fromkeys(run.experiment for run in runs)), work.evaluation_sets(options.where)
    except RunError as error:
        raise cli.Sentence(str(error)) from error


def _evaluation_sets(options: Options) -> list[EvaluationSet]:
    protocols = parse_named(options.protocols)
    systems = with_test_sets(parse_named(options.scores), protocols)
    costs = read_costs(options.costs, options.by) if options.costs else {}
    reading = Reading(options.columns, options.asv_key, options.asv_anyway, options.explain)
    evaluated = evaluation_sets(systems, protocols, options.where, options.asv, costs, reading)
    if not options.dev:
        if options.fuse or options.dev_protocol:
            raise cli.Sentence("--fuse and --dev-protocol need --calibrate, the development scores")
        return evaluated
    names = sorted({system.name for system in systems})
    dev = parse_named(options.dev)
    if len(names) == len(dev) == 1:  # no name is needed
        dev = [NamedFile(names[0], dev[0].path)]
    strangers = [one.name for one in dev if one.name not in names]
    if strangers:
        raise cli.Sentence(
            f"--calibrate {strangers[0]}: no system has that name; expected {', '.join(names)}, NAME=FILE"
        )
    protocol = parse_named([options.dev_protocol])[0] if options.dev_protocol else None
    return [calibrated(one, dev, protocol, options.fuse) for one in evaluated]


def _compare(options: Options, evaluated: Sequence[EvaluationSet]) -> list[Comparison]:
    measures = options.measures(all(one.systems.keys() == one.decisions.keys() for one in evaluated if one.systems))
    uncertainty = options.uncertainty
    n_tables = sum(len(groups_of(one.trials, options.by)[0]) for one in evaluated) + bool(options.sasv)
    with cli.progress("bootstrap", options.replicates * n_tables) as advance:
        comparisons = [compare(one, measures, options.by, uncertainty, advance) for one in evaluated]
        if options.sasv:
            sasv = read_sasv(parse_named(options.sasv), options.asv_key)
            comparisons.append(compare_sasv(sasv, uncertainty, advance))
    return comparisons


def _write(
    options: Options,
    evaluated: Sequence[EvaluationSet],
    comparisons: Sequence[Comparison],
    matrix: matrices.Matrix | None,
) -> list[Path]:
    """Write the requested files, each completely or not at all; returns their paths."""
    made_by = f"SpoofCache, {date.today().isoformat()}"
    record: dict[str, Any] = {"matrix": matrices.as_record(matrix)} if matrix else {}
    record["test_sets"] = [tables.as_record(one) for one in comparisons]
    make: dict[str, Callable[[], str]] = {
        "json": lambda: json.dumps(record, indent=2) + "\n",
        "csv": lambda: matrices.as_csv(matrix) if matrix else tables.as_csv(comparisons),
        "latex": lambda: matrices.as_latex(matrix) if matrix else "\n".join(latex.as_latex(one) for one in comparisons),
        "html": lambda: report_page(list(zip_longest(evaluated, comparisons)), TITLE, made_by, matrix),
    }
    for kind, path in options.outputs.items():
        text = make[kind]()
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return list(options.outputs.values())


if __name__ == "__main__":
    main()

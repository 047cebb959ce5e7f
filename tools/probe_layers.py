"""Compare the layers of a speech model by probes on pooled statistics, and recommend which of them to cache."""

import spoofcache.common.signals  # noqa: F401

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spoofcache.common import cli
from spoofcache.common.files import atomic_path
from spoofcache.features.frontends.base import POOLS

if TYPE_CHECKING:
    from spoofcache.evaluation.layer_study.recommendation import Recommendation
    from spoofcache.evaluation.layer_study.study import LayerStudy, Sets, Settings

EXAMPLES = """\b
Examples:
  # extract the statistics of 4,000 utterances of each partition, and study them
  python tools/probe_layers.py --frontend xls-r-300m --out cache/ \\
         --train "--corpus asvspoof19_la --root LA/ --partition train" \\
         --dev "--corpus asvspoof19_la --root LA/ --partition dev" \\
         --test LA="--corpus asvspoof19_la --root LA/ --partition eval" \\
         --test ITW="--corpus in_the_wild --root ITW/ --partition eval" --html layers.html
\b
  # study caches of preprocess.py --layer all --pool mean+std, and judge unseen attacks, too
  python tools/probe_layers.py --train "cache/asvspoof19_la/*/train" --dev "cache/asvspoof19_la/*/dev" \\
         --hold-out attack --picture layers.png --json layers.json
"""
SET_HELP = """It is a cache of statistics (a folder, or a pattern that only one such cache matches) or, in quotation
marks, the options with which preprocess.py finds one partition of a corpus."""
TRAIN_HELP = f"Fit the probes on this set. {SET_HELP}"
DEV_HELP = "Rank and combine the layers on this set, given as for --train."
TEST_HELP = "Also judge the layers on this set, given as for --train, and name it NAME. May be repeated."
SUBSET_HELP = "Use this many utterances of each set, a stratified choice by class, attack and speaker; 0 for all."
HOLD_OUT_HELP = "Also judge each attack by probes that were fitted without it, and report the mean over attacks."
PREPROCESS_HELP = 'Further options of preprocess.py for every corpus, such as "--fit zero", in quotation marks.'


@click.command(epilog=EXAMPLES, no_args_is_help=True)
@click.option("--train", metavar="CACHE|OPTIONS", required=True, help=TRAIN_HELP)
@click.option("--dev", metavar="CACHE|OPTIONS", required=True, help=DEV_HELP)
@click.option("--test", "tests", metavar="[NAME=]CACHE|OPTIONS", multiple=True, help=TEST_HELP)
@click.option("--frontend", metavar="NAME", help="Extract corpora with this front-end, as preprocess.py does.")
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="last|0…24|all",
    help="Extract this hidden state from corpora; by default, all of them. May be repeated.",
)
@click.option("--weights", type=cli.checkpoint_folder, help="Load the speech model from this local folder.")
@click.option(
    "--pool",
    type=click.Choice(POOLS),
    help=f"Extract these statistics from corpora; by default, {POOLS[-1]}.",
)
@click.option("--out", type=cli.output, help="Write the statistics of corpora below this folder.")
@click.option("--preprocess", default="", metavar="OPTIONS", help=PREPROCESS_HELP)
@click.option("--subset", type=click.IntRange(0), default=4000, show_default=True, help=SUBSET_HELP)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed of subsets, folds and bootstrap."
)
@click.option("--hold-out", type=click.Choice(["attack"]), help=HOLD_OUT_HELP)
@click.option(
    "--bootstrap",
    "replicates",
    type=click.IntRange(0),
    default=1000,
    show_default=True,
    help="Number of bootstrap replicates for the intervals; 0 computes none.",
)
@click.option(
    "--level",
    type=click.FloatRange(0.5, 0.999),
    default=0.95,
    show_default=True,
    help="Confidence level of the intervals.",
)
@click.option(
    "--cluster",
    "clusters",
    multiple=True,
    metavar="COLUMN",
    help="Draw whole speakers (attacks, …) instead of single utterances in the bootstrap. May be repeated.",
)
@cli.device_option
@click.option("--picture", type=cli.output, help="Draw the EER by layer into this PNG file.")
@click.option("--json", type=cli.output, help="Write every number, with rates as fractions, to this JSON file.")
@click.option("--html", type=cli.output, help="Write a report to this file: one HTML page that needs no other file.")
@click.option("--overwrite", is_flag=True, help="Replace output files that already exist.")
@cli.sentences(after_interrupt="Statistics that were extracted are kept; run the same command again.")
def main(**given: Any) -> None:
    """Study which hidden states of a speech model separate bona fide from spoofed speech.

    A logistic regression is fitted on the statistics over time of each layer. The layers are ranked by their EER on
    dev, and the best ones are combined. For each recommended combination, the preprocess.py command that caches its
    frames is printed, with the blocks that run, the gigabytes and the time.
    """
    options = Options(**given)
    cli.check_outputs(options.outputs.values(), [], options.overwrite)
    sets = _open(options)
    study = _study(sets, options.settings)
    recommendations = _recommend(study, sets, options.device)
    written = _write(options, study, recommendations)
    from spoofcache.evaluation.layer_study.tables import as_text

    click.echo(as_text(study, recommendations))
    for path in written:
        click.echo(f"wrote {path}")


@dataclass(frozen=True)
class Options:
    """The options of the command, by their names in Python."""

    train: str
    dev: str
    tests: tuple[str, ...]
    frontend: str | None
    layers: tuple[str, ...]
    weights: Path | None
    pool: str | None
    out: Path | None
    preprocess: str
    subset: int
    seed: int
    hold_out: str | None
    replicates: int
    level: float
    clusters: tuple[str, ...]
    device: str
    picture: Path | None
    json: Path | None
    html: Path | None
    overwrite: bool

    @property
    def outputs(self) -> dict[str, Path]:
        """The files to write, by their kind."""
        files = {"picture": self.picture, "json": self.json, "html": self.html}
        return {kind: path for kind, path in files.items() if path}

    @property
    def settings(self) -> "Settings":
        """How the study is made."""
        from spoofcache.evaluation.figures import Uncertainty
        from spoofcache.evaluation.layer_study.study import Settings

        uncertainty = Uncertainty(self.replicates, self.level, self.clusters, self.seed)
        return Settings(self.hold_out is not None, uncertainty, self.seed)

    @property
    def only_for_corpora(self) -> list[str]:
        """The given options that decide how corpora are extracted."""
        named = {
            "--frontend": self.frontend,
            "--out": self.out,
            "--layer": self.layers,
            "--weights": self.weights,
            "--pool": self.pool,
            "--preprocess": self.preprocess,
        }
        return [name for name, value in named.items() if value]

    @property
    def for_corpora(self) -> list[str]:
        """The options of preprocess.py that are the same for all corpora.

        Raises:
            Sentence: the front-end or the folder of the cache is missing.
        """
        from spoofcache.tools.layer_study.sources import all_layers, words

        if not self.frontend or not self.out:
            missing = "--out" if self.frontend else "--frontend"
            raise cli.Sentence(f"{missing} is missing; expected it to extract a corpus (--train, --dev or --test)")
        return [
            *words(self.preprocess),
            *("--frontend", self.frontend, "--pool", self.pool or POOLS[-1], "--out", str(self.out)),
            *([word for layer in self.layers for word in ("--layer", layer)] or all_layers(self.frontend)),
            *(("--weights", str(self.weights)) if self.weights else ()),
        ]


def _open(options: Options) -> "Sets":
    """The sets of the study; corpora are extracted first."""
    from spoofcache.common.machine import keep_freed_memory
    from spoofcache.evaluation.layer_study.pooled_sets import open_pooled
    from spoofcache.evaluation.layer_study.study import Sets
    from spoofcache.tools.layer_study.sources import Extraction, Source

    keep_freed_memory()
    sources = [
        Source("--train", "", options.train),
        Source("--dev", "", options.dev),
        *(Source.parse("--test", text) for text in options.tests),
    ]
    corpora = any(source.is_corpus for source in sources)
    if not corpora and options.only_for_corpora:
        raise cli.Sentence(
            f"{options.only_for_corpora[0]} applies to corpora only; the front-end of a cache is already decided"
        )
    shared = options.for_corpora if corpora else []
    extraction = Extraction(shared, options.subset, options.seed, cli.resolve_device(options.device))
    folders = [extraction.cached(source) if source.is_corpus else source.cache() for source in sources]
    train, dev, *tests = (
        open_pooled(source.name, folder, options.subset, options.seed)
        for source, folder in zip(sources, folders, strict=True)
    )
    return Sets(train, dev, tests)


def _study(sets: "Sets", settings: "Settings") -> "LayerStudy":
    from spoofcache.evaluation.layer_study.study import fit_layers, judge_layers, n_draws, n_fits

    with cli.progress("fitting probes", n_fits(sets, settings)) as advance:
        fits = fit_layers(sets, settings, advance)
    with cli.progress("bootstrap", n_draws(sets, settings)) as advance:
        return judge_layers(fits, advance)


def _recommend(study: "LayerStudy", sets: "Sets", device: str) -> "list[Recommendation]":
    from spoofcache.tools.layer_study.recommend import recommend

    combinations = study.combinations
    with cli.progress("timing", len(combinations)) as advance:
        recommendations = []
        for one in recommend(combinations, [sets.train, *sets.judged], cli.resolve_device(device)):
            recommendations.append(one)
            advance(1)
    return recommendations


def _write(options: Options, study: "LayerStudy", recommendations: "list[Recommendation]") -> list[Path]:
    """Write the requested files, each completely or not at all; returns their paths."""
    from spoofcache.evaluation.layer_study import page, pictures, tables

    made_by = f"SpoofCache, {date.today().isoformat()}"
    write: dict[str, Callable[[Path], object]] = {
        "picture": lambda path: pictures.draw_layers(study, path),
        "json": lambda path: path.write_text(
            json.dumps(tables.as_record(study, recommendations), indent=2) + "\n", encoding="utf-8"
        ),
        "html": lambda path: path.write_text(page.as_html(study, recommendations, made_by), encoding="utf-8"),
    }
    for kind, path in options.outputs.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            write[kind](temporary)
    return list(options.outputs.values())


if __name__ == "__main__":
    main()

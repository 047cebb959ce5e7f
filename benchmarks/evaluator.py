"""Compare the speed of our evaluator with a straightforward implementation of the same definitions.

Both sides do three jobs in turns: the table of ASVspoof 2019 (EER and min t-DCF, pooled and per attack, read from
files), the concurrent t-EER, and bootstrap replicates of EER and min t-DCF. The baseline works like common scorers:
`genfromtxt`, a loop over ASV thresholds, and a draw and a sort for every replicate. The benchmark fails unless both
sides give the same figures.

Without score files, random scores of the size of the ASVspoof 2019 LA evaluation set are used.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from spoofcache.benchmarks.machine import Machine, OthersShare, write_json
from spoofcache.benchmarks.options import json_option
from spoofcache.common import cli
from spoofcache.evaluation.asvspoof2019 import evaluate_2019
from spoofcache.evaluation.testsets import NamedFile, evaluation_sets
from spoofcache.metrics.asv_files import read_asv_scores
from spoofcache.metrics.bootstrap import Resampling, bootstrap
from spoofcache.metrics.dcf import Coefficients, min_cost
from spoofcache.metrics.det import (
    FloatArray,
    ScoreError,
    det_curve,
    equal_error_rate,
    equal_error_rate_of,
    verification_curve,
)
from spoofcache.metrics.score_files import read_scores
from spoofcache.metrics.tdcf import asv_error_rates, coefficients_2019
from spoofcache.metrics.teer import tandem_equal_error_rate

N_BONAFIDE, N_SPOOF, N_ATTACKS = 7_355, 4_914, 13
N_TARGET, N_NONTARGET = 5_370, 33_327
PLAIN_REPLICATES = 20
"""Replicates on which the bootstrap of the baseline is timed; its rate does not depend on their number."""
EXAMPLES = """\b
Examples:
  python benchmarks/evaluator.py
  python benchmarks/evaluator.py --cm-scores cm.txt --asv-scores ASVspoof2019.LA.asv.eval.gi.trl.scores.txt
"""


@dataclass(frozen=True)
class Job:
    """A job that both sides do. Their figures must be equal."""

    title: str
    ours: Callable[[], list[float]]
    baseline: Callable[[], list[float]]
    share: float = 1.0
    """The share of the work that the baseline does. Its time is divided by this share."""


def write_scores(folder: Path, size: float) -> tuple[Path, Path]:
    """Write CM and ASV score files of random scores, `size` times as large as the ASVspoof 2019 LA evaluation set."""
    rng = np.random.default_rng(0)
    cm, asv = folder / "cm.txt", folder / "asv.txt"
    attacks = [f"A{number:02}" for number in range(7, 7 + N_ATTACKS)]
    classes = [("-", "bonafide", N_BONAFIDE, 5.0), *((a, "spoof", N_SPOOF, rng.normal(-1)) for a in attacks)]
    rows = [(a, key, score) for a, key, n, mean in classes for score in rng.normal(mean, 1.5, round(n * size))]
    cm.write_text("".join(f"U_{i} {a} {key} {float(score)!r}\n" for i, (a, key, score) in enumerate(rows)))
    kinds = [("bonafide", "target", N_TARGET, 8.0), ("bonafide", "nontarget", N_NONTARGET, -8.0)]
    kinds += [(a, "spoof", N_SPOOF, rng.normal(2)) for a in attacks]
    lines = [(a, key, score) for a, key, n, mean in kinds for score in rng.normal(mean, 4, round(n * size))]
    asv.write_text("".join(f"{a} {key} {score:.6f}\n" for a, key, score in lines))
    return cm, asv


def plain_det(bonafide: FloatArray, spoof: FloatArray) -> tuple[FloatArray, FloatArray]:
    """FRR and FAR as in the official ASVspoof 2019 evaluation code (compute_det_curve)."""
    scores = np.concatenate((bonafide, spoof))
    labels = np.concatenate((np.ones(bonafide.size), np.zeros(spoof.size)))[np.argsort(scores, kind="mergesort")]
    passed = np.cumsum(labels)
    left = spoof.size - (np.arange(1, scores.size + 1) - passed)
    return np.concatenate(([0], passed / bonafide.size)), np.concatenate(([1], left / spoof.size))


def plain_figures(bonafide: FloatArray, spoof: FloatArray, cost: Coefficients) -> list[float]:
    """EER and min t-DCF in the form of ASVspoof 2019."""
    frr, far = plain_det(bonafide, spoof)
    nearest = np.argmin(np.abs(frr - far))
    return [float((frr[nearest] + far[nearest]) / 2), float(min(cost.c1 * frr + cost.c2 * far) / min(cost.c1, cost.c2))]


def plain_table(cm_path: Path, asv_path: Path) -> list[float]:
    """The figures of the files, pooled and for every attack."""
    cm, asv = np.genfromtxt(cm_path, dtype=str), np.genfromtxt(asv_path, dtype=str)
    asv_scores = asv[:, 2].astype(float)
    target, nontarget = asv_scores[asv[:, 1] == "target"], asv_scores[asv[:, 1] == "nontarget"]
    threshold = equal_error_rate(target, nontarget).threshold
    scores = cm[:, 3].astype(float)
    bonafide = scores[cm[:, 2] == "bonafide"]
    figures = []
    for attack in ("", *np.unique(cm[cm[:, 2] == "spoof", 1])):
        chosen = (cm[:, 2] == "spoof") & ((cm[:, 1] == attack) | (attack == ""))
        spoof = asv_scores[(asv[:, 1] == "spoof") & ((asv[:, 0] == attack) | (attack == ""))]
        cost = coefficients_2019(asv_error_rates(target, nontarget, spoof, threshold))
        figures += plain_figures(bonafide, scores[chosen], cost)
    return figures


def our_table(cm_path: Path, asv_path: Path) -> list[float]:
    (evaluated,) = evaluation_sets([NamedFile("cm", cm_path)], asv=[asv_path])
    evaluation = evaluate_2019(evaluated)
    rows = (evaluation.pooled, *evaluation.per_attack.values())
    return [figure for row in rows for figure in (row.eer, row.min_tdcf or 0.0)]


class Bench:
    """The jobs, and the scores for the second and third one, which are read once."""

    def __init__(self, cm_path: Path, asv_path: Path, replicates: int) -> None:
        self._paths, self._replicates = (cm_path, asv_path), replicates
        if [len(line.split()) for line in cm_path.read_text().splitlines()[:1]] != [4]:
            raise ScoreError(
                f"{cm_path}: the baseline reads only `utt_id attack key score`; convert_scores.py can convert"
            )
        self._cm, self._asv = read_scores(cm_path), read_asv_scores(asv_path)
        threshold = equal_error_rate(self._asv.target, self._asv.nontarget).threshold
        self._cost = coefficients_2019(asv_error_rates(*self._asv.classes, threshold))

    def jobs(self) -> Mapping[str, Job]:
        n_trials, plain = self._cm.scores.size, min(self._replicates, PLAIN_REPLICATES)
        return {
            "table": Job(
                f"EER, min t-DCF and attacks of {n_trials:,} trials, files read",
                lambda: our_table(*self._paths),
                lambda: plain_table(*self._paths),
            ),
            "t_eer": Job("concurrent t-EER", self.our_t_eer, self.plain_t_eer),
            "bootstrap": Job(
                f"{self._replicates:,} bootstrap replicates of EER and min t-DCF",
                lambda: self.our_bootstrap(self._replicates),
                lambda: self.plain_bootstrap(plain),
                share=plain / self._replicates,
            ),
        }

    def our_t_eer(self) -> list[float]:
        cm = det_curve(self._cm.bonafide, self._cm.spoof)
        return [tandem_equal_error_rate(cm, verification_curve(*self._asv.classes)).rate]

    def plain_t_eer(self) -> list[float]:
        """Compare every ASV threshold with every CM threshold."""
        cm = det_curve(self._cm.bonafide, self._cm.spoof)
        asv = verification_curve(*self._asv.classes)
        best, rate = np.inf, np.nan
        accepted = 1 - cm.frr
        with cli.progress("t-EER, baseline", asv.p_miss.size) as advance:
            for p_miss, p_non, p_spoof in zip(asv.p_miss, asv.p_fa_nontarget, asv.p_fa_spoof, strict=True):
                advance(1)
                if p_miss >= (p_non + p_spoof) / 2 or not p_spoof:
                    continue
                excess = cm.frr + accepted * p_miss - 0.5 * accepted * p_non - 0.5 * cm.far * p_spoof
                k = int(np.argmin(np.abs(excess)))
                gap = abs(p_non / p_spoof - cm.far[k] / accepted[k]) if accepted[k] else np.inf
                if gap < best:
                    best, rate = gap, p_spoof * cm.far[k]
        return [float(rate)]

    def our_bootstrap(self, replicates: int) -> list[float]:
        def statistic(bonafide: FloatArray, spoof: FloatArray) -> list[float]:
            curve = det_curve(bonafide, spoof)
            return [equal_error_rate_of(curve).rate, min_cost(curve, self._cost).value]

        resampling = Resampling(np.where(self._cm.require_keys(), 0, 1), {})
        drawn = bootstrap([self._cm.scores], statistic, resampling, replicates)
        return [float(figure) for figure in drawn[:PLAIN_REPLICATES].ravel()]

    def plain_bootstrap(self, replicates: int) -> list[float]:
        """Draw trials for every replicate, and compute everything from them."""
        resampling = Resampling(np.where(self._cm.require_keys(), 0, 1), {})
        figures = []
        for number in range(replicates):
            copies = resampling.draw(np.random.default_rng((0, number)))  # the same draws, so the same figures
            trials = np.random.default_rng(number).permutation(np.repeat(np.arange(copies.size), copies))
            scores, is_bonafide = self._cm.scores[trials], self._cm.require_keys()[trials]
            figures += plain_figures(scores[is_bonafide], scores[~is_bonafide], self._cost)
        return figures


def measure(job: Job) -> dict[str, float]:
    """Seconds of both sides, and their ratio; ScoreError if their figures differ."""
    seconds, figures = {}, {}
    for side, work in (("ours", job.ours), ("baseline", job.baseline)):
        start = time.perf_counter()
        figures[side] = work()
        seconds[side] = time.perf_counter() - start
    if not np.allclose(figures["ours"], figures["baseline"], rtol=1e-12, atol=0):
        raise ScoreError(f"{job.title}: the two sides differ; expected the same figures")
    baseline = seconds["baseline"] / job.share
    return {"seconds": seconds["ours"], "baseline_seconds": baseline, "ratio": baseline / seconds["ours"]}


@click.command(epilog=EXAMPLES)
@click.option(
    "--cm-scores", "cm_path", type=cli.input_file, help="CM scores, `utt_id attack key score`; requires --asv-scores."
)
@click.option("--asv-scores", "asv_path", type=cli.input_file, help="ASV scores; requires --cm-scores.")
@click.option("--size", type=click.FloatRange(0.001), default=1.0, show_default=True, help="Size of the random scores.")
@click.option("--replicates", type=click.IntRange(1), default=1000, show_default=True, help="Bootstrap replicates.")
@json_option
@cli.sentences()
def main(cm_path: Path | None, asv_path: Path | None, size: float, replicates: int, json_path: Path | None) -> None:
    """Measure the time of the evaluator and of a straightforward implementation, and their ratio."""
    if (cm_path is None) != (asv_path is None):
        raise cli.Sentence("--cm-scores and --asv-scores belong together; expected both or neither")
    machine = Machine.here()
    click.echo(machine)
    with tempfile.TemporaryDirectory() as folder, OthersShare() as others:
        paths = (cm_path, asv_path) if cm_path and asv_path else write_scores(Path(folder), size)
        figures = {}
        for name, job in Bench(*paths, replicates).jobs().items():
            figures[name] = measure(job)
            click.echo(
                "{}: {seconds:.3f} s; baseline {baseline_seconds:.1f} s; {ratio:.1f}×".format(
                    job.title, **figures[name]
                )
            )
    click.echo(f"other processes took {others.share:.0%} of the cores meanwhile")
    write_json(json_path, machine, {"jobs": figures, "others_share": others.share})


if __name__ == "__main__":
    main()

"""a-DCF and t-EER of track 2 against the equations of their papers, written out trial by trial.

The costs and priors are those of the organisers' package (public repository asvspoof-challenge/asvspoof5,
evaluation-package/calculate_metrics.py): P_spoof 0.05, P_target 0.95·0.99, P_nontarget 0.95·0.01, C_miss 1, C_fa 10 for
nontarget and for spoof; the t-EER is searched with half of the trials to reject being spoof.
"""

import random
from fractions import Fraction

import pytest

from spoofcache.evaluation.figures import Uncertainty
from spoofcache.evaluation.sasv import compare_sasv
from spoofcache.evaluation.testsets import parse_named, read_sasv

CLASSES = ("target", "nontarget", "spoof")
MEANS = {"cm": {"target": 1.5, "nontarget": 1.5, "spoof": -1}, "asv": {"target": 3, "nontarget": -2, "spoof": 1.5}}


def share(scores, accepted):
    return Fraction(sum(map(accepted, scores)), len(scores))


def thresholds(scores):
    """Every decision that the scores allow: accept all, then reject ever more of them."""
    return [min(scores) - 1, *sorted(scores)]


def a_dcf(sasv):
    """Shim et al., Odyssey 2024: the normalised cost of accepting a trial whose score is above the threshold."""
    p_target, p_nontarget, p_spoof = Fraction(95, 100) * Fraction(99, 100), Fraction(95, 10_000), Fraction(5, 100)
    costs = []
    for t in thresholds([score for scores in sasv.values() for score in scores]):
        p_miss = share(sasv["target"], lambda score, t=t: score <= t)
        p_fa_nontarget, p_fa_spoof = (share(sasv[one], lambda score, t=t: score > t) for one in ("nontarget", "spoof"))
        costs.append(p_target * p_miss + 10 * p_nontarget * p_fa_nontarget + 10 * p_spoof * p_fa_spoof)
    return min(costs) / min(p_target, 10 * p_nontarget + 10 * p_spoof)


def t_eer(cm, asv):
    """Kinnunen et al., IEEE TPAMI: the concurrent t-EER of a tandem that accepts what both systems accept."""
    bona_fide, half = cm["target"] + cm["nontarget"], Fraction(1, 2)
    cm_points = [
        (share(bona_fide, lambda score, t=t: score <= t), share(cm["spoof"], lambda score, t=t: score > t))
        for t in thresholds(bona_fide + cm["spoof"])
    ]
    nearest, rate = None, None
    for t in thresholds([score for scores in asv.values() for score in scores]):
        miss = share(asv["target"], lambda score, t=t: score <= t)
        fa_nontarget, fa_spoof = (share(asv[one], lambda score, t=t: score > t) for one in ("nontarget", "spoof"))
        if not miss < half * fa_nontarget + half * fa_spoof or fa_spoof == 0:
            continue  # no threshold of the countermeasure makes both errors of the tandem equal
        gaps = [
            abs((cm_miss + (1 - cm_miss) * miss) - (half * (1 - cm_miss) * fa_nontarget + half * cm_fa * fa_spoof))
            for cm_miss, cm_fa in cm_points
        ]
        cm_miss, cm_fa = cm_points[gaps.index(min(gaps))]
        if cm_miss == 1:
            continue
        distance = abs(fa_nontarget / fa_spoof - cm_fa / (1 - cm_miss))
        if nearest is None or distance < nearest:
            nearest, rate = distance, fa_spoof * cm_fa
    return rate


def drawn(rng, system, n):
    return {one: [rng.gauss(MEANS[system][one], 1.5) for _ in range(n[one])] for one in CLASSES}


@pytest.mark.parametrize("seed", range(12))
def test_figures_are_those_of_the_equations(tmp_path, seed):
    rng = random.Random(seed)
    n = {one: rng.randint(3, 40) for one in CLASSES}
    cm, asv = drawn(rng, "cm", n), drawn(rng, "asv", n)
    weight = rng.uniform(0.2, 1)
    sasv = {one: [weight * c + a for c, a in zip(cm[one], asv[one], strict=True)] for one in CLASSES}
    rows = [
        (f"spk{k % 3}\t{one}_{k}", one, [f"{scores[one][k]!r}" for scores in (cm, asv, sasv)])
        for one in CLASSES
        for k in range(n[one])
    ]
    rng.shuffle(rows)
    key = "".join(f"{trial}\t{'spoof' if one == 'spoof' else 'bonafide'}\t{one}\n" for trial, one, _ in rows)
    (tmp_path / "key.tsv").write_text("spk\tfilename\tcm-label\tasv-label\n" + key)
    rng.shuffle(rows)
    table = "".join(f"{trial}\t" + "\t".join(numbers) + "\n" for trial, _, numbers in rows)
    (tmp_path / "s.tsv").write_text("spk\tfilename\tcm-score\tasv-score\tsasv-score\n" + table)

    systems = read_sasv(parse_named([str(tmp_path / "s.tsv")]), tmp_path / "key.tsv")
    figures = compare_sasv(systems, Uncertainty(replicates=0)).pooled.figures["s"]
    assert figures["a_dcf"].value == pytest.approx(float(a_dcf(sasv)), rel=1e-12)
    assert figures["t_eer"].value == pytest.approx(float(t_eer(cm, asv)), rel=1e-12)

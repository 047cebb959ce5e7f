"""Intervals and paired tests: drawn as said, covering as promised, the same on every machine."""

import doctest

import numpy as np
import pytest

from spoofcache.metrics import bootstrap as module
from spoofcache.metrics.bootstrap import ClusterError, Resampling, bootstrap, holm, paired_p_value, percentile_interval
from spoofcache.metrics.det import det_curve, equal_error_rate, equal_error_rate_of

NONE: dict[str, np.ndarray] = {}


def classes(n_bonafide, n_spoof):
    return np.repeat([0, 1], [n_bonafide, n_spoof])


def eer(bonafide, spoof):
    return [equal_error_rate_of(det_curve(bonafide, spoof)).rate]


def test_the_examples_in_the_docstrings():
    with np.printoptions(legacy="1.25"):
        assert doctest.testmod(module).failed == 0


class TestDraws:
    def test_trial_by_trial_each_class_keeps_its_size(self):
        drawn = Resampling(classes(30, 70), NONE).draw(np.random.default_rng(0))
        assert (drawn[:30].sum(), drawn[30:].sum()) == (30, 70)
        assert 0 in drawn
        assert drawn.max() > 1

    def test_trials_of_one_speaker_are_drawn_together(self):
        speakers = np.array(["ann", "bob", "cyd", "dan"] * 25)
        drawn = Resampling(classes(50, 50), {"speaker": speakers}).draw(np.random.default_rng(1))
        copies = {name: set(drawn[speakers == name].tolist()) for name in speakers}
        assert all(len(each) == 1 for each in copies.values())
        assert sum(each.pop() for each in copies.values()) == 4

    def test_whole_attacks_are_drawn_and_bona_fide_trials_one_by_one(self):
        attacks = np.array(["-"] * 40 + ["A01"] * 30 + ["A02"] * 30)
        drawn = Resampling(classes(40, 60), {"attack": attacks}).draw(np.random.default_rng(3))
        assert drawn[:40].sum() == 40
        assert len(set(drawn[:40].tolist())) > 1
        assert sorted({tuple(set(drawn[attacks == a].tolist())) for a in ("A01", "A02")}) in ([(0,), (2,)], [(1,)])

    def test_two_kinds_of_cluster_multiply(self):
        speakers, attacks = np.array(["s", "t"] * 4), np.array(["-"] * 4 + ["A", "A", "B", "B"])
        resampling = Resampling(classes(4, 4), {"speaker": speakers, "attack": attacks})
        for seed in range(20):
            drawn = resampling.draw(np.random.default_rng(seed))
            per_speaker = {name: drawn[:4][speakers[:4] == name][0] for name in ("s", "t")}
            assert sum(per_speaker.values()) == 2
            # a spoof is copied speaker's draws × attack's draws; the attacks' draws add up to 2 as well
            assert drawn[4:].sum() == 4 or 0 in drawn[4:]
            assert all(drawn[i] % max(per_speaker[speakers[i]], 1) == 0 for i in range(4, 8))

    def test_a_draw_always_has_both_classes(self):
        speakers = np.array(["a", "b", "c", "d"])  # a and b are bona fide only, c and d spoof only
        resampling = Resampling(classes(2, 2), {"speaker": speakers})
        for seed in range(50):
            drawn = resampling.draw(np.random.default_rng(seed))
            assert drawn[:2].any()
            assert drawn[2:].any()

    def test_a_single_cluster_cannot_be_drawn_from(self):
        with pytest.raises(
            ClusterError, match="all trials of a class have the speaker ann; expected two or more of them"
        ):
            Resampling(classes(2, 2), {"speaker": np.array(["ann", "ann", "ann", "bob"])})


class TestReplicates:
    def test_a_replicate_is_the_measure_of_the_drawn_trials(self):
        rng = np.random.default_rng(0)
        scores, resampling = rng.integers(0, 9, 60).astype(float), Resampling(classes(20, 40), NONE)
        (figure,) = bootstrap([scores], eer, resampling, replicates=1, seed=7)[:, 0, 0]
        copies = resampling.draw(np.random.default_rng((7, 0)))
        drawn = [score for score, times in zip(scores, copies, strict=True) for _ in range(times)]
        n_bonafide = copies[:20].sum()
        assert figure == equal_error_rate(drawn[:n_bonafide], drawn[n_bonafide:]).rate

    def test_every_system_sees_the_same_draws(self):
        scores = np.random.default_rng(0).normal(size=100)
        figures = bootstrap([scores, np.exp(scores)], eer, Resampling(classes(50, 50), NONE), replicates=20)
        assert np.array_equal(figures[:, 0], figures[:, 1])
        assert len(set(figures[:, 0, 0].tolist())) > 5

    def test_the_seed_decides_and_the_threads_do_not(self):
        scores = np.random.default_rng(0).normal(size=100)
        runs = [bootstrap([scores], eer, Resampling(classes(50, 50), NONE), 30, seed) for seed in (0, 0, 1)]
        assert np.array_equal(runs[0], runs[1])
        assert not np.array_equal(runs[0], runs[2])

    def test_progress_counts_every_replicate(self):
        counted = []
        bootstrap([np.arange(4.0)], eer, Resampling(classes(2, 2), NONE), 12, advance=counted.append)
        assert sum(counted) == 12


class TestIntervals:
    def test_an_interval_contains_the_middle_95_percent(self):
        assert percentile_interval(np.arange(1001.0)) == pytest.approx((25, 975))
        assert percentile_interval(np.arange(1001.0), level=0.9) == pytest.approx((50, 950))

    def test_an_interval_of_the_mean_is_as_wide_as_theory_says(self):
        # of 400 independent scores with deviation 1 the mean has a standard error of 1/20
        scores = np.random.default_rng(0).normal(size=800)
        means = bootstrap([scores], lambda b, s: [b.mean()], Resampling(classes(400, 400), NONE), 2000)[:, 0, 0]
        low, high = percentile_interval(means)
        assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.1)

    def test_trials_that_repeat_each_other_widen_it(self):
        # 20 speakers with one score each, said 40 times: 20 independent values, not 800
        values = np.random.default_rng(0).normal(size=40)
        scores, speakers = np.repeat(values, 20), np.repeat([f"s{i}" for i in range(40)], 20)
        widths = []
        for clusters in (NONE, {"speaker": speakers}):
            means = bootstrap([scores], lambda b, s: [b.mean()], Resampling(classes(400, 400), clusters), 500)[:, 0, 0]
            low, high = percentile_interval(means)
            widths.append(high - low)
        assert widths[1] > 3 * widths[0]


class TestPairedTest:
    def test_a_difference_that_never_changes_its_sign(self):
        assert paired_p_value(np.full(999, 0.1)) == 2 / 1000

    def test_equal_systems_do_not_differ(self):
        assert paired_p_value(np.zeros(1000)) == 1
        assert paired_p_value(np.linspace(-1, 1, 1000)) == pytest.approx(1, abs=0.01)

    def test_false_alarms_are_as_rare_as_the_level_says(self):
        # two equally good systems, 200 experiments: about 5 % of them below p = 0.05
        rng, found = np.random.default_rng(0), 0
        resampling = Resampling(classes(60, 60), NONE)
        for seed in range(200):
            a, b = (np.concatenate([rng.normal(1, 1, 60), rng.normal(0, 1, 60)]) for _ in range(2))
            means = bootstrap([a, b], lambda x, y: [x.mean() - y.mean()], resampling, 100, seed)[:, :, 0]
            found += paired_p_value(means[:, 0] - means[:, 1]) < 0.05
        assert 1 <= found <= 24

    def test_holm_by_hand(self):
        assert holm([0.01, 0.02, 0.2]) == pytest.approx([0.03, 0.04, 0.2])
        assert holm([0.6, 0.7]) == [1.0, 1.0]
        assert holm([]) == []

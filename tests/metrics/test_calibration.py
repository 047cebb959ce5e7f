"""Scores become log-likelihood ratios: recovered where they are known, fused as theory says."""

import numpy as np
import pytest

from spoofcache.metrics.calibration import fit_calibration
from spoofcache.metrics.dcf import actual_dcf, cllr, min_cllr, min_dcf
from spoofcache.metrics.det import ScoreError


def gaussian(n_bonafide, n_spoof, seed=0):
    """Scores with means ±1 and deviation 1, whose log-likelihood ratio is 2·score."""
    rng = np.random.default_rng(seed)
    is_bonafide = np.arange(n_bonafide + n_spoof) < n_bonafide
    return np.where(is_bonafide, 1.0, -1.0) + rng.normal(size=is_bonafide.size), is_bonafide


def test_finds_the_known_log_likelihood_ratio_whatever_the_class_sizes():
    scores, is_bonafide = gaussian(3_000, 60_000)
    calibration = fit_calibration([scores], is_bonafide)
    assert calibration.weights == pytest.approx([2], rel=0.03)
    assert calibration.offset == pytest.approx(0, abs=0.05)


def test_scale_and_shift_of_the_scores_do_not_matter():
    scores, is_bonafide = gaussian(500, 500)
    plain, moved = (fit_calibration([each], is_bonafide) for each in (scores, 1e-6 * scores + 1e3))
    assert moved.apply([1e-6 * scores + 1e3]) == pytest.approx(plain.apply([scores]), abs=1e-3)


def test_calibration_mends_cllr_and_actual_dcf_and_leaves_the_ranks():
    dev, dev_keys = gaussian(2_000, 2_000, seed=1)
    scores, is_bonafide = gaussian(2_000, 18_000, seed=2)
    raw = 0.1 * scores - 3  # ranks as good as ever, useless as log-likelihood ratios
    llr = fit_calibration([0.1 * dev - 3], dev_keys).apply([raw])
    before, after = (raw[is_bonafide], raw[~is_bonafide]), (llr[is_bonafide], llr[~is_bonafide])
    assert min_dcf(*before).value == min_dcf(*after).value
    assert actual_dcf(*after) < 1.05 * min_dcf(*after).value < actual_dcf(*before)
    assert cllr(*before) > 1 > 1.02 * min_cllr(*after) > cllr(*after)


def test_two_independent_systems_add_up():
    (first, keys), (second, _) = gaussian(20_000, 20_000, seed=1), gaussian(20_000, 20_000, seed=2)
    fusion = fit_calibration([first, second], keys)
    assert fusion.weights == pytest.approx([2, 2], rel=0.05)
    fused = fusion.apply([first, second])
    assert cllr(fused[keys], fused[~keys]) < 0.8 * cllr(2 * first[keys], 2 * first[~keys])


def test_a_system_of_pure_noise_gets_no_weight():
    scores, keys = gaussian(5_000, 5_000)
    noise = np.random.default_rng(9).normal(size=10_000)
    assert abs(fit_calibration([scores, noise], keys).weights[1]) < 0.1


def test_separable_dev_scores_end():
    calibration = fit_calibration([np.array([-2.0, -1.0, 1.0, 2.0])], np.array([False, False, True, True]))
    assert np.isfinite(calibration.weights).all()
    assert calibration.apply([np.array([-1.0, 1.0])]) == pytest.approx([-15, 15], abs=14)


def test_an_inverted_sign_is_not_turned_quietly():
    scores, keys = gaussian(100, 100)
    with pytest.raises(
        ScoreError,
        match="the development scores are higher for spoof than for bona fide; expected higher scores for bona fide",
    ):
        fit_calibration([-scores], keys)


def test_constant_scores_are_refused():
    with pytest.raises(ScoreError, match="all development scores of a system are equal"):
        fit_calibration([np.ones(4)], np.array([True, False, True, False]))

"""Leaks: what is reported, how strong it is, and that chance differences are not."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from spoofcache.tools.user_corpus.leaks import (
    Counts,
    area_under_curve,
    leak_of_quantity,
    leaks_of_kind,
    percent,
    rate_of_right_guesses,
)


def counts(**of_value):
    """`a=(bona fide, spoof)` for each value."""
    bonafide, spoof = np.array(list(of_value.values())).T
    return Counts(list(of_value), bonafide, spoof)


def sentences(name, found):
    return [leak.sentence for leak in leaks_of_kind(name, found)]


def test_the_area_is_that_of_the_library_ties_included():
    rng = np.random.default_rng(0)
    low, high = rng.integers(0, 9, 70).astype(float), rng.integers(2, 11, 40).astype(float)
    expected = roc_auc_score([0] * 70 + [1] * 40, np.append(low, high))
    assert area_under_curve(low, high) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shift", [1.0, -1.0])
def test_a_number_that_differs_is_a_leak_whichever_class_has_more(shift):
    leak = leak_of_quantity("loudness", "dB", np.linspace(-0.2, 0.2, 51), np.linspace(-0.1, 0.1, 61) + shift)
    assert leak.strength == 1
    assert leak.sentence == (
        f"loudness: median 0.00 dB in bona fide files, {shift:.2f} dB in spoof; "
        "it distinguishes the classes (AUC 1.00, chance 0.50)"
    )


def test_chance_is_no_leak():
    rng = np.random.default_rng(0)
    few = [leak_of_quantity("peak", "dB", rng.normal(size=6), rng.normal(size=6)) for _ in range(100)]
    many = [leak_of_quantity("peak", "dB", rng.normal(size=400), rng.normal(size=400)) for _ in range(100)]
    assert sum(leak is not None for leak in few) <= 2  # three standard errors
    assert many == [None] * 100


def test_a_class_without_files_has_nothing_to_compare():
    assert leak_of_quantity("peak", "dB", np.zeros(0), np.zeros(9)) is None
    assert leaks_of_kind("source", counts(a=(0, 50), b=(0, 60))) == []


def test_of_two_values_the_more_informative_is_reported():
    found = counts(**{"16 kHz": (97, 2), "22.05 kHz": (3, 98)})
    assert sentences("sample rate", found) == ["sample rate: 98 % of spoof files are 22.05 kHz, 3 % of bona fide"]


def test_a_value_of_one_class_only_is_reported():
    found = counts(LJSpeech=(52, 160), LibriSpeech=(90, 0), VCTK=(15, 40))
    assert sentences("source", found)[0] == "source: LibriSpeech is bona fide only (57 % of bona fide files)"


def test_many_small_values_leak_together():
    speakers = {f"b{k}": (3, 0) for k in range(40)} | {f"s{k}": (0, 3) for k in range(40)}
    (leak,) = leaks_of_kind("speaker", counts(**speakers))
    assert leak.strength == 1
    assert leak.sentence == (
        "speaker: 80 of 80 values occur in one class only; it reveals the class of 100 % of the files (chance 50 %)"
    )


def test_a_name_that_every_file_has_for_itself_tells_nothing():
    names = {f"b{k}": (1, 0) for k in range(40)} | {f"s{k}": (0, 1) for k in range(40)}
    assert rate_of_right_guesses(counts(**names)) == 0.5
    assert leaks_of_kind("number", counts(**names)) == []


def test_the_guess_comes_from_the_other_files():
    # of `a`: 3 of 4 bona fide against 1 of 4 spoof. Without itself, a bona fide a has 2/3 > 1/4, a spoof a 0/3 < 3/4.
    found = counts(a=(3, 1), b=(1, 3))
    # right: 3 a and (b: 0/3 < 3/4) no b of bona fide, likewise of spoof
    assert rate_of_right_guesses(found) == 0.75


def test_alike_classes_do_not_leak():
    assert leaks_of_kind("language", counts(de=(50, 55), en=(45, 50), fr=(5, 5))) == []


@pytest.mark.parametrize(
    ("share", "written"),
    [(0, "0 %"), (0.001, "< 1 %"), (0.5, "50 %"), (0.996, "> 99 %"), (1, "100 %")],
)
def test_what_is_not_all_or_nothing_does_not_look_like_it(share, written):
    assert percent(share) == written

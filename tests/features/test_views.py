"""Views are found by what the caches say of themselves, each with the clean one's utterances, or the user is told."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from spoofcache.features.augment.view import View
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.plan import Identity, StoreError
from spoofcache.features.views import open_views
from spoofcache.protocols.trial import Trial
from tests.corpora import IDENTITY, make_trials, write_cache

TRIALS = make_trials(5)


def write_view(root: Path, view: View | None = None, trials: list[Trial] = TRIALS) -> CachedFeatures:
    """A cached `train`, clean or in that view; every coefficient is the view's number."""
    identity = Identity({**IDENTITY.settings, "augment": dict(view.settings())}) if view else IDENTITY
    rows = np.full((len(trials), 2, 3), view.number if view else 0)
    return CachedFeatures(write_cache(root / identity.folder_name("test") / "train", trials, rows, identity))


@pytest.fixture
def clean(tmp_path):
    """A clean cache beside two views by RawBoost 5, one by RawBoost 4 and one through MP3."""
    for view in (View("rawboost:5", 0, 1), View("rawboost:5", 0, 2), View("rawboost:4", 0, 1), View("codec:mp3", 0, 1)):
        write_view(tmp_path, view)
    return write_view(tmp_path)


def found(clean, *asked):
    """(effect, number, strength) of each view."""
    views = open_views(clean, *asked)
    assert [float(view.data[0].features.max()) for view in views] == [number(view.data) for view in views]
    return [(view.data.plan.identity.effect, number(view.data), view.strength) for view in views]


def number(data):
    return data.plan.identity.settings.get("augment", {"view": 0})["view"]


def test_view_zero_is_the_clean_cache_itself_whatever_lies_beside_it(clean):
    assert found(clean, [0]) == found(clean, [0, 0]) == [("", 0, 0)]


def test_all_views_of_a_recipe_come_after_the_clean_one(clean):
    assert found(clean, "random", ["rawboost:5"]) == [("", 0, 0), ("rawboost-5", 1, 1), ("rawboost-5", 2, 1)]


@pytest.mark.parametrize(("wanted", "numbers"), [([2], [2]), ([2, 0], [0, 2]), ([1, 2], [1, 2]), ([0, 0, 1], [0, 1])])
def test_numbers_pick_some_of_them(clean, wanted, numbers):
    assert [number for _, number, _ in found(clean, wanted, ["rawboost:5"])] == numbers


def test_recipes_are_as_strong_as_they_are_late_in_the_list(clean):
    views = found(clean, [1], ["rawboost:algorithm=5", "rawboost:4"])
    assert views == [("rawboost-5", 1, 1), ("rawboost-4", 1, 2)]


def test_the_name_alone_will_do_where_one_recipe_of_it_is_cached(clean):
    assert found(clean, [1], ["codec"]) == [("codec-mp3", 1, 1)]


def test_nothing_need_be_named_where_one_recipe_is_cached(tmp_path):
    write_view(tmp_path, View("rawboost:5", 0, 1))
    assert found(write_view(tmp_path), "all") == [("", 0, 0), ("rawboost-5", 1, 1)]


def test_views_of_other_features_trials_or_partitions_are_not_taken(clean, tmp_path):
    others = tmp_path / "others"
    write_view(others, View("gain", 0, 1), make_trials(4))
    louder = Identity({**IDENTITY.settings, "fit": "zero", "augment": dict(View("gain", 0, 2).settings())})
    write_cache(others / louder.folder_name("test") / "train", TRIALS, np.zeros((5, 2, 3)), louder)
    (others / "broken/train").mkdir(parents=True)
    (others / "broken/train/manifest.json").write_text("{}")
    for folder in others.iterdir():
        shutil.move(folder, tmp_path)
    with pytest.raises(StoreError, match="there are no gain views beside it"):
        open_views(clean, "random", ["gain"])


def refused(clean, *asked):
    with pytest.raises(StoreError) as error:
        open_views(clean, *asked)
    return str(error.value)


def test_a_missing_view_is_reported_with_the_command_that_makes_it(clean):
    assert refused(clean, "random", ["rawboost:6"]) == (
        f"{clean.folder}: there are no rawboost:6 views beside it; expected those that `preprocess.py … --augment "
        "rawboost:6 --views 4` makes"
    )
    assert refused(clean, [0, 3], ["rawboost:5"]) == (
        f"{clean.folder}: there is no view 3 of rawboost-5 beside it; expected the one that preprocess.py makes with "
        "that --augment, --views 3 and --seed 0"
    )


def test_a_misspelled_effect_is_refused(clean):
    assert refused(clean, "random", ["rawbost:5"]).startswith("train.augment: effect 'rawbost'; expected one of")


def test_a_view_of_other_utterances_is_refused(tmp_path):
    """As where a file was skipped in one extraction and mended before the other."""
    identity = Identity({**IDENTITY.settings, "augment": dict(View("gain", 0, 1).settings())})
    folder = write_cache(tmp_path / "view/train", TRIALS, np.ones((5, 2, 3)), identity)
    clean = write_view(tmp_path)
    clean.trials = clean.trials[1:]
    told = f"{folder}: its utterances are not those of {clean.folder}; expected both to omit the same utterances"
    assert refused(clean, [1]) == told


def test_a_missing_view_among_all_views_is_reported(tmp_path):
    write_view(tmp_path, View("rawboost:5", 0, 2))
    assert "there is no view 1 of rawboost-5" in refused(write_view(tmp_path), "random")


@pytest.mark.parametrize("wanted", ["random", [0, 2]])
def test_a_view_whose_extraction_was_interrupted_is_reported_and_not_ignored(clean, wanted):
    (folder,) = clean.folder.parent.parent.glob("*rawboost-5-v2*/train")
    (folder / "manifest.json").unlink()
    told = f"{folder}: 1 finished shards but no manifest.json; expected a complete cache"
    assert refused(clean, wanted, ["rawboost:5"]).startswith(told)
    assert found(clean, [1], ["rawboost:5"]) == [("rawboost-5", 1, 1)]


def test_interrupted_views_of_other_trials_are_ignored(clean, tmp_path):
    other = write_view(tmp_path / "others", View("gain", 0, 1), make_trials(4))
    (other.folder / "manifest.json").unlink()
    shutil.move(other.folder.parent, tmp_path)
    assert "there are no gain views beside it" in refused(clean, "random", ["gain"])


def test_a_recipe_that_is_named_twice_is_refused(clean):
    told = "train.augment: two of rawboost:5, rawboost:algorithm=5 are the same views; expected each once"
    assert refused(clean, [1], ["rawboost:5", "rawboost:algorithm=5"]) == told


def test_several_recipes_or_seeds_are_refused_unless_one_is_named(clean, tmp_path):
    told = refused(clean, "random")
    assert "codec-mp3 with seed 0 and rawboost-" in told
    assert told.endswith("beside it; expected train.augment to name one of them")
    write_view(tmp_path, View("rawboost:5", 1, 1))
    told = refused(clean, [1], ["rawboost:5"])
    assert "rawboost-5 with seed 0" in told
    assert "rawboost-5 with seed 1" in told


def test_a_view_given_in_the_place_of_the_clean_cache_is_refused(tmp_path):
    view = write_view(tmp_path, View("rawboost:5", 0, 1))
    assert refused(view, [0]).endswith(
        "train: an augmented view; expected the clean cache, beside which views are found"
    )

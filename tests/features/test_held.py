"""A partition that is read cannot be locked for its removal, and one that is being removed cannot be read."""

import pickle

import pytest

from spoofcache.common.files import occupied
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.held import Held
from spoofcache.features.plan import StoreError
from tests.corpora import make_trials, separable_rows, write_cache


@pytest.fixture
def cache(tmp_path):
    return write_cache(tmp_path / "train", make_trials(3), separable_rows(make_trials(3), (2, 8)))


def may_be_removed(cache):
    try:
        with occupied(cache / "trials.tsv", alone=True):
            return True
    except BlockingIOError:
        return False


def test_any_number_of_readers_hold_a_partition_until_the_last_one_is_gone(cache):
    one, other = CachedFeatures(cache), CachedFeatures(cache)
    del one
    assert not may_be_removed(cache)
    del other
    assert may_be_removed(cache)


def test_a_partition_that_is_being_removed_is_not_opened(cache):
    with (
        occupied(cache / "trials.tsv", alone=True),
        pytest.raises(StoreError, match="is being removed by another process"),
    ):
        CachedFeatures(cache)


def test_a_copy_for_another_process_holds_the_partition_too(cache):
    held = Held(cache)
    copied = pickle.loads(pickle.dumps(held))
    del held
    assert not may_be_removed(cache)
    del copied
    assert may_be_removed(cache)

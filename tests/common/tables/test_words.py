"""Words for classes and columns, in any spelling."""

import pytest

from spoofcache.common.tables.words import (
    BINARY,
    BONAFIDE,
    CLASSES,
    HEADERS,
    MEANING,
    NO_ATTACK,
    SPOOF,
    class_of,
    plain,
)


@pytest.mark.parametrize("word", ["bona-fide", "Bonafide", "GENUINE", "human", "Real"])
def test_words_for_bona_fide(word):
    assert class_of(word) == "bonafide"


@pytest.mark.parametrize("word", ["Spoof", "FAKE", "deep-fake", "machine", "AI-generated"])
def test_words_for_spoof(word):
    assert class_of(word) == "spoof"


@pytest.mark.parametrize("word", ["1", "0", "True", "target", "bonafide_1", ""])
def test_words_for_neither(word):
    assert class_of(word) is None


def test_no_word_means_two_things():
    assert set(BONAFIDE).isdisjoint(SPOOF)
    assert CLASSES.keys().isdisjoint(BINARY)
    assert NO_ATTACK.isdisjoint(SPOOF)
    assert sum(len(names) for groups in HEADERS.values() for names in groups) == len(MEANING)


def test_every_word_is_written_as_it_is_looked_up():
    assert all(word == word.lower() for word in (*CLASSES, *BINARY, *NO_ATTACK))
    assert all(name == plain(name) for name in MEANING)


@pytest.mark.parametrize("header", ["CM-Label", "cm label", " cm.label ", "cm_label"])
def test_headers_are_compared_without_case_and_punctuation(header):
    assert MEANING[plain(header)] == "key"

"""Names of utterances: exact first, then by ever looser rules, and never two names as one."""

import tracemalloc

import pytest

from spoofcache.common.names import NameCollision, match_names, quoted, utterance_of
from spoofcache.common.texts import Texts

COMPOSED, DECOMPOSED = "\u00e9", "e\u0301"


@pytest.mark.parametrize(
    ("found", "wanted", "rule"),
    [
        (["b", "a"], ["a", "b"], ""),
        (["b.wav", "a.wav"], ["a", "b"], "the endings of audio files"),
        (["./wav/b", "./wav/a"], ["wav/a", "wav/b"], "the spelling of paths (backslashes, ./)"),
        (["wav\\b", "wav\\a"], ["wav/a", "wav/b"], "the spelling of paths (backslashes, ./)"),
        ([f"{COMPOSED}2", f"{COMPOSED}1"], [f"{DECOMPOSED}1", f"{DECOMPOSED}2"], "Unicode normal forms"),
        (["tts_one/b", "tts_one/a"], ["tts one/a", "tts one/b"], "blanks (written as underscores)"),
        (["/data/s1/b", "/data/s1/a"], ["a", "b"], "all folders"),
        (["/x/s2/a", "/x/s1/a"], ["s1/a", "s2/a"], "all folders but the last 1"),
    ],
)
def test_the_strictest_rule_that_matches_all_is_taken(found, wanted, rule):
    match = match_names(found, wanted)
    assert (match.rows.tolist(), match.strangers, match.rule) == ([1, 0], [], rule)


def test_two_endings_are_two_files_where_both_sides_have_them():
    assert match_names(["u.ogg", "u.mp3"], ["u.mp3", "u.ogg"]).rows.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("found", "wanted", "both"),
    [
        (["u.mp3", "u.ogg"], ["u"], "'u.mp3' and 'u.ogg' would be one utterance, 'u'"),
        (["x/u", "y/u"], ["u"], "'x/u' and 'y/u' would be one utterance, 'u'"),
        ([f"{COMPOSED}.wav", f"{DECOMPOSED}.wav"], [COMPOSED], r"'\\xe9.wav' and 'e\\u0301.wav' would be one"),
    ],
)
def test_two_names_are_never_matched_to_one(found, wanted, both):
    with pytest.raises(NameCollision, match=both):
        match_names(found, wanted)


def test_what_no_rule_matches_is_counted_under_the_rule_that_matches_most():
    match = match_names(["a.wav", "z.wav"], ["a", "b"], known=["z"])
    assert (match.rows.tolist(), match.strangers, match.rule) == ([0, -1], [], "the endings of audio files")
    match = match_names(["a.wav", "z.wav"], ["a", "b"])
    assert (match.rows.tolist(), match.strangers) == ([0, -1], ["z.wav"])


def test_names_that_look_alike_are_shown_with_escapes():
    assert quoted(COMPOSED, DECOMPOSED) == [r"'\xe9'", r"'e\u0301'"]
    assert quoted("a", "b") == ["'a'", "'b'"]


def test_the_utterance_of_a_file_is_one_in_either_normal_form():
    assert utterance_of(f"{COMPOSED} 1.wav") == utterance_of(f"./{DECOMPOSED} 1.wav") == f"{COMPOSED}_1"


@pytest.mark.parametrize(
    ("found", "wanted", "rows", "rule"),
    [
        (["x.wav", "x.flac"], ["clips/x.flac", "clips/x.wav"], [1, 0], "all folders"),
        (["\u00e9.wav", "e\u0301.wav"], ["a/e\u0301.wav", "a/\u00e9.wav"], [1, 0], "all folders"),
        (["a b.wav", "a_b.wav"], ["a b", "a_b"], [0, 1], "the endings of audio files"),
        ([".\\a\\x.wav", ".\\b\\x.wav"], ["b/x.wav", "a/x.wav"], [1, 0], "the spelling of paths (backslashes, ./)"),
    ],
)
def test_names_that_the_usual_order_of_rules_would_make_equal_match_by_fewer_rules(found, wanted, rows, rule):
    match = match_names(found, wanted)
    assert (match.rule, match.rows.tolist()) == (rule, rows)


def test_matching_many_names_takes_tens_of_bytes_each():
    """A mapping of Python texts would take more than 150."""
    wanted = Texts(f"LA_E_{row:07d}" for row in range(20_000))
    found = Texts(f"LA_E_{row:07d}" for row in reversed(range(20_000)))
    tracemalloc.start()
    try:
        match = match_names(found, wanted)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert match.rows.tolist() == [*reversed(range(20_000))]
    assert most / len(wanted) < 100
    others = match_names(Texts(f"{name}.flac" for name in found), Texts([*wanted][:-1]), known=[wanted[-1]])
    assert (others.rows.tolist(), others.strangers) == ([*reversed(range(1, 20_000))], [])

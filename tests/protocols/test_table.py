"""Protocols with a header: which names it may use, and what the cells mean."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.table import is_header, read_table
from protocols.trial import Trial, snapshot

IN_THE_WILD = "file,speaker,label\n0.wav,A Speaker,spoof\n1.wav,Someone Else,bona-fide\n"


def test_in_the_wild(write):
    assert read_table(write(IN_THE_WILD)) == [
        Trial("0", "spoof", "-", "A Speaker"),
        Trial("1", "bonafide", "-", "Someone Else"),
    ]


def test_columns_that_have_no_meaning_of_their_own_are_conditions(write):
    content = ',file,label,generator,Note\n0,BD/tts/a.wav,spoof,tts,"loud, long"\n1,Real/b.wav,bonafide,bona-fide,-\n'
    assert read_table(write(content)) == [
        Trial("a", "spoof", conditions={"generator": "tts", "Note": "loud, long"}),
        Trial("b", "bonafide"),
    ]


@pytest.mark.parametrize("utterance", ["utt_id", "utterance", "file", "filename", "trial"])
@pytest.mark.parametrize("key", ["key", "label", "cm-label"])
@pytest.mark.parametrize("delimiter", [",", "\t"], ids=["commas", "tabs"])
def test_names_of_the_two_columns_that_every_table_has(write, utterance, key, delimiter):
    content = f"attack,{key},{utterance}\nA01,spoof,u\n-,bonafide,v\n".replace(",", delimiter)
    assert read_table(write(content)) == [Trial("u", "spoof", "A01"), Trial("v", "bonafide")]


@pytest.mark.parametrize(
    ("column", "cell", "utt_id"),
    [
        ("file", "0.wav", "0"),
        ("file", "folder/talk.1.FLAC", "talk.1"),
        ("filename", "folder\\0.mp3", "0"),
        ("filename", "E_0000000001", "E_0000000001"),
        ("file", "talk.part2", "talk.part2"),
        ("file", "a.wav_16k.wav", "a.wav_16k"),
        ("utt_id", "0.wav", "0.wav"),
        ("trial", "folder/0", "folder/0"),
    ],
)
def test_files_lose_their_folders_and_the_ending_of_audio_but_ids_are_ids(write, column, cell, utt_id):
    (trial,) = read_table(write(f"{column},key\n{cell},spoof\n"))
    assert trial.utt_id == utt_id


@pytest.mark.parametrize("attack", ["-", "", "bonafide", "bona-fide"])
def test_bona_fide_has_no_attack_however_that_is_written(write, attack):
    (trial,) = read_table(write(f"utt_id,key,attack\nu,bonafide,{attack}\n"))
    assert trial.attack == "-"


def test_the_attack_of_spoof_and_a_speaker_may_be_unknown(write):
    unknown = read_table(write("utt_id,key,attack,speaker\nu,spoof,,\nv,spoof,-,-\n"))
    assert unknown == [Trial("u", "spoof"), Trial("v", "spoof")]


names = st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1).filter(
    lambda name: name not in ("-", "bonafide", "bona-fide")
)
conditions = st.dictionaries(st.sampled_from(["codec", "environment"]), names)
bonafide = st.builds(Trial, names, st.just("bonafide"), speaker=names, conditions=conditions)
spoof = st.builds(Trial, names, st.just("spoof"), names, names, conditions=conditions)


@settings(deadline=None)
@given(st.lists(bonafide | spoof, min_size=1, max_size=5, unique_by=lambda trial: trial.utt_id))
def test_the_trial_list_of_a_cache_reads_as_what_it_was(tmp_path_factory, trials):
    path = tmp_path_factory.getbasetemp() / "table.tsv"
    path.write_bytes(snapshot(trials))
    assert read_table(path) == trials


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            "file,speaker\n",
            "FILE:1: header file speaker has no column for the key; expected one of key, label, cm-label",
        ),
        (
            "name,label\n",
            "FILE:1: header name label has no column for the utterance; expected one of utt_id, utterance",
        ),
        ("file,utt_id,key\n", "FILE:1: header file utt_id key has 2 columns for the utterance; expected one of utt_id"),
        ("file,key,a,a\n", "FILE:1: header file key a a; expected every name once"),
        ("file,key\n", "FILE: no line below the header; expected one per trial"),
        (IN_THE_WILD + "2.wav,spoof\n", "FILE:4: 2 columns; expected 3: file speaker label"),
        (IN_THE_WILD + "\n", "FILE:4: 0 columns; expected 3: file speaker label"),
        (IN_THE_WILD + "2.wav,A,fake\n", "FILE:4: key 'fake'; expected one of bonafide, bona-fide, spoof"),
        (IN_THE_WILD + "2.wav,A,1\n", "FILE:4: key '1'; expected one of bonafide, bona-fide, spoof"),
        (IN_THE_WILD + "b/.wav,A,spoof\nb/,A,spoof\n", "FILE:5: no utterance; expected its name"),
        (IN_THE_WILD + "b/0.flac,A,spoof\n", "FILE:4: utterance 0 stands on line 2 already; expected every utterance"),
        (
            IN_THE_WILD + '"2.wav,A,spoof\n3.wav,A,spoof\n',
            "FILE:4: unexpected end of data in '\"2.wav,A,spoof'; expected",
        ),
        (
            "file,key,attack\nu,bonafide,A01\n",
            "FILE:2: attack 'A01' with key bonafide; expected '-' for bona fide only",
        ),
        ("file,key,attack\nu,spoof,bonafide\n", "FILE:2: attack 'bonafide' with key spoof; expected '-' for bona fide"),
        (IN_THE_WILD.encode() + b"\xff", "FILE:4: byte 0xff is not text; expected a table with a header"),
    ],
)
def test_a_broken_table_is_refused_with_line_and_value(refusal, content, sentence):
    assert refusal(read_table, content).startswith(sentence)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("file,speaker,label", True),
        ('"file","label"\r', True),
        ("utt_id\tspeaker\tattack\tkey", True),
        ("speaker,label", True),
        ("SPK_1 UTT_1 - A01 spoof", False),
        ("SPK_1\tUTT_1\t-\tA01\tspoof", False),
        ("file speaker label", False),
        ("", False),
    ],
)
def test_a_header_names_the_utterance_or_the_key_between_commas_or_tabs(line, expected):
    assert is_header(line) == expected

"""Protocols with a header: which names it may use, and what the cells mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoofcache.protocols.snapshot import snapshot
from spoofcache.protocols.table import read_table
from spoofcache.protocols.trial import Trial

IN_THE_WILD = "file,speaker,label\n0.wav,A Speaker,spoof\n1.wav,Someone Else,bona-fide\n"


def test_in_the_wild(write):
    assert read_table(write(IN_THE_WILD)) == [
        Trial("0", "spoof", "-", "A Speaker"),
        Trial("1", "bonafide", "-", "Someone Else"),
    ]


def test_columns_that_have_no_meaning_of_their_own_are_conditions(write):
    content = ',file,label,generator,Note\n0,BD/tts/a.wav,spoof,tts,"loud, long"\n1,Real/b.wav,bonafide,bona-fide,-\n'
    assert read_table(write(content)) == [
        Trial("BD/tts/a", "spoof", conditions={"generator": "tts", "Note": "loud, long"}),
        Trial("Real/b", "bonafide"),
    ]


def test_row_numbers_of_a_data_frame_are_no_condition_and_blank_lines_at_the_end_no_rows(write):
    content = "Unnamed: 0,file,label,Unnamed: 3\r\n0,a.wav,spoof,x\r\n1,b.wav,bonafide,y\r\n\r\n\n"
    assert read_table(write(content)) == [Trial("a", "spoof"), Trial("b", "bonafide")]


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
        ("file", "folder/talk.1.FLAC", "folder/talk.1"),
        ("filename", ".\\folder\\0.mp3", "folder/0"),
        ("file", "/data/Tacotron 2/0.wav", "data/Tacotron_2/0"),
        ("filename", "E_0000000001", "E_0000000001"),
        ("file", "talk.part2", "talk.part2"),
        ("file", "a.wav_16k.wav", "a.wav_16k"),
        ("utt_id", "0.wav", "0.wav"),
        ("trial", "folder/0", "folder/0"),
    ],
)
def test_files_lose_the_ending_of_audio_and_their_blanks_but_ids_are_ids(write, column, cell, utt_id):
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
    lambda name: name not in ("-", "bonafide", "bona-fide") and not name.startswith("#")
)
conditions = st.dictionaries(st.sampled_from(["codec", "environment"]), names)
bonafide = st.builds(Trial, names, st.just("bonafide"), speaker=names, conditions=conditions)
spoof = st.builds(Trial, names, st.just("spoof"), names, names, conditions=conditions)


@given(st.lists(bonafide | spoof, min_size=1, max_size=5, unique_by=lambda trial: trial.utt_id))
def test_the_trial_list_of_a_cache_reads_as_what_it_was(tmp_path_factory, trials):
    path = tmp_path_factory.getbasetemp() / "table.tsv"
    path.write_bytes(snapshot(trials))
    assert read_table(path) == trials


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            "file,speaker\na.wav,b\n",
            "FILE: no column says bonafide or spoof in 'file,speaker' (1 row of 2 columns separated by commas, a h",
        ),
        (
            "codec,label\nmp3,spoof\nmp3,spoof\n",
            "FILE: no column names the utterances in 'codec,label' (2 rows of 2 columns separated by commas, a header)",
        ),
        (
            "file,utt_id,key\na.wav,x,spoof\n",
            "FILE:2: 'file,utt_id,key' can be read in 2 ways: utterance = column 1 (`file`), 'a.wav' or utterance = "
            "column 2 (`utt_id`), 'x'; expected --column utterance=file or --column utterance=utt_id",
        ),
        ("file,key,a,a\nu,spoof,,\n", "FILE:1: header file key a a has 2 columns 'a'; expected every name once"),
        ("file,key\n", "FILE:1: no row below the header; expected one row per trial"),
        (
            IN_THE_WILD + "2.wav,spoof\n",
            "FILE:4: 2 columns in '2.wav,spoof'; expected 3, separated by commas, as in line 1",
        ),
        (IN_THE_WILD + "2.wav,A,fake\n", "FILE:4: key 'fake'; expected bonafide or bona-fide or spoof"),
        (IN_THE_WILD + "2.wav,A,1\n", "FILE:4: key '1'; expected bonafide or bona-fide or spoof"),
        (IN_THE_WILD + "b/.wav,A,spoof\nb/,A,spoof\n", "FILE:5: no utterance; expected its name"),
        (
            IN_THE_WILD + "0.flac,A,spoof\n",
            "FILE: '0.wav' and '0.flac' would both be utterance 0; expected files whose",
        ),
        (
            IN_THE_WILD + '"2.wav,A,spoof\n3.wav,A,spoof\n',
            "FILE:4: a quotation mark without its partner in '\"2.wav,A,spoof'; expected closed quotations",
        ),
        (
            "file,key,attack\nu,bonafide,A01\n",
            "FILE:2: attack 'A01' with key bonafide; expected '-' for bona fide only",
        ),
        ("file,key,attack\nu,spoof,bonafide\n", "FILE:2: attack 'bonafide' with key spoof; expected '-' for bona fide"),
        (IN_THE_WILD.encode() + b"\xff", "FILE:4: byte 0xff is not text; expected one line per trial"),
    ],
)
def test_a_broken_table_is_refused_with_line_and_value(refusal, content, sentence):
    assert refusal(read_table, content).startswith(sentence)


OWN = "utt_id,path,class,who,codec\nx1,a/u.wav,human,Ann,mp3\nx2,b/u.wav,fake,Bob,opus\n"


def test_a_user_states_the_meaning_of_the_columns(write):
    columns = {"file": "path", "label": "class", "speaker": "who", "compression": "codec"}
    assert read_table(write(OWN), None, columns) == [
        Trial("a/u", "bonafide", speaker="Ann", conditions={"compression": "mp3"}),
        Trial("b/u", "spoof", speaker="Bob", conditions={"compression": "opus"}),
    ]


def test_a_column_that_the_user_names_wins_over_one_that_has_the_name(write):
    content = "file,label,path,class,attack,system\nx,1,u.wav,real,?,-\ny,0,v.wav,fake,?,Tacotron 2\n"
    columns = {"file": "path", "label": "class", "attack": "system"}
    assert read_table(write(content), None, columns) == [
        Trial("u", "bonafide"),
        Trial("v", "spoof", "Tacotron_2"),
    ]


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"label": "class", "codec": "path"}, "FILE:2: key 'human'; expected bonafide or bona-fide or spoof"),
        (
            {"file": "wav"},
            "FILE: 'utt_id,path,class,who,codec' has no column 'wav'; expected a header of the table or a number",
        ),
        ({"label": "class"}, "FILE:2: key 'human'; expected bonafide or bona-fide or spoof"),
        (
            {"file": "path", "speaker": "path"},
            "FILE: --column utterance=path --column speaker=path: one column with two meanings",
        ),
    ],
)
def test_columns_that_are_not_there_are_refused(refusal, columns, sentence):
    assert refusal(lambda path: read_table(path, columns=columns), OWN).startswith(sentence)


@pytest.mark.parametrize("reference", ["class", "3", "CLASS"])
def test_a_column_is_named_by_its_header_or_its_number(write, reference):
    assert [t.key for t in read_table(write(OWN), None, {"label": reference, "file": "2"})] == ["bonafide", "spoof"]


ONES = "file,fake\na.wav,0\nb.wav,1\n"


@pytest.mark.parametrize(
    ("columns", "keys"),
    [({"spoof": "fake"}, ["bonafide", "spoof"]), ({"bonafide": "fake"}, ["spoof", "bonafide"])],
)
def test_a_key_of_0_and_1_needs_a_word_on_what_1_means(write, refusal, columns, keys):
    assert [trial.key for trial in read_table(write(ONES), None, columns)] == keys
    assert "--column bonafide=fake where 1 means bona fide, or --column spoof=fake where" in refusal(read_table, ONES)
    assert "not say which" in refusal(lambda path: read_table(path, None), ONES)


def test_blank_lines_and_capital_words_lose_nothing(write):
    assert read_table(write("File;Label\n\na.wav;Real\n# a comment\nb.wav;FAKE\n"), None) == [
        Trial("a", "bonafide"),
        Trial("b", "spoof"),
    ]


def test_a_trial_behind_a_comment_sign_is_not_dropped_in_silence(refusal):
    sentence = refusal(lambda path: read_table(path, None), "a real\nb fake\n#c fake\n")
    assert sentence.startswith("FILE:3: '#c fake' begins with # as a comment does, but has the form of a trial")

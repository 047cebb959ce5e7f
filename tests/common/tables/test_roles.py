"""What the columns of a table mean, and when nothing is guessed."""

import pytest

from spoofcache.common.tables.columns import tables
from spoofcache.common.tables.layout import TableError, read_lines
from spoofcache.common.tables.roles import (
    OpenTable,
    asked_columns,
    find_attack,
    find_key,
    find_utterance,
    refuse_hidden_rows,
    understand,
)


@pytest.fixture
def table(tmp_path):
    def made(content):
        (tmp_path / "t.csv").write_text(content)
        return next(tables(read_lines(tmp_path / "t.csv", "a table")))

    return made


def rows(header, *lines):
    return "\n".join([header, *lines]) + "\n"


def key_of(table):
    found = find_key(table, table.columns)
    return found and found.header


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (rows("utt,label", "a,real", "b,fake"), "label"),
        (rows("utt,Category", "a,Genuine", "b,Spoof"), "Category"),  # by its words
        (rows("utt,label,pred", "a,real,fake", "b,fake,fake"), "label"),  # a decision is no key
        (rows("utt,label", "a,1", "b,0"), "label"),  # what 1 means is another question
        (rows("utt,label,class", "a,1,bonafide", "b,0,spoof"), "class"),  # words precede 0 and 1
        (rows("utt,class,label", "a,bonafide,False", "b,spoof,True"), "class"),  # 1 may mean spoof
        (rows("utt,codec", "a,mp3", "b,aac"), None),
    ],
)
def test_the_key_is_the_column_that_states_the_classes(table, content, key):
    assert key_of(table(content)) == key


def test_two_keys_that_contradict_each_other_are_two_readings(table):
    with pytest.raises(
        OpenTable, match=r"t.csv:2: .* can be read in 2 ways: key = column 2 \(`class`\), 'fake' or key"
    ):
        key_of(table(rows("utt,class,label", "a,fake,bonafide", "b,real,spoof")))


def test_a_key_of_0_and_1_must_follow_the_classes(table):
    content = rows("utt,class,label", "a,bonafide,1", "b,spoof,0", "c,spoof,1", "d,spoof,0")
    with pytest.raises(TableError, match=r"t.csv:4: '1' in column 3 \(`label`\) and 'spoof' in column 2 \(`class`\)"):
        key_of(table(content))


def test_a_column_of_true_and_false_is_no_attack(table):
    found = table("a bonafide False 1\nb spoof True 2\nc spoof True 3\n")
    key = find_key(found, found.columns)
    assert find_attack(found, found.columns[2:], key.means_bonafide) is None


def test_the_attack_is_what_bona_fide_trials_do_not_have(table):
    found = table("a bonafide none x 1\nb spoof vits x 2\nc spoof tortoise y 3\n")
    key = find_key(found, found.columns)
    assert find_attack(found, found.columns[2:], key.means_bonafide).number == 3


@pytest.mark.parametrize(
    ("content", "number"),
    [
        ("s1 u1 0.5\ns1 u2 1.5\ns2 u3 2.5\n", 2),  # the text with the most values
        (rows("file,path,n", "u1,x/u1.wav,1", "u2,y/u2.wav,2"), 1),  # the earlier group of headers
        (rows("wav,seconds", "7,0.5", "8,1.5"), 1),
        ("0.wav 3 0.5\n1.wav 3 1.5\n", 1),
    ],
)
def test_the_utterance_is_the_name_that_differs_from_row_to_row(table, content, number):
    found = table(content)
    assert find_utterance(found, found.columns).number == number


def test_names_of_another_file_decide_between_two_columns_of_names(table):
    found = table("a1 b1 0.5\na2 b2 1.5\n")
    with pytest.raises(OpenTable, match="utterance = column 1, 'a1' or utterance = column 2, 'b1'"):
        find_utterance(found, found.columns)
    assert find_utterance(found, found.columns, lambda: ["x/b1.flac", "x/b2.flac"]).number == 2


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"score": "llr"}, "has no column 'llr'; expected a header of the table or a number from 1 to 2"),
        ({"score": "3"}, "has no column '3'"),
        ({"score": "2", "key": "n"}, "one column with two meanings"),
    ],
)
def test_a_column_that_the_user_names_must_be_there(table, asked, sentence):
    with pytest.raises(TableError, match=sentence):
        asked_columns(table(rows("utt,n", "a,1", "b,2")), asked)


def test_none_says_that_there_is_no_such_column(table):
    assert asked_columns(table(rows("utt,n", "a,1", "b,2")), {"key": "none"}) == {"key": None}


def test_the_likeliest_separator_that_gives_a_meaning_is_taken(tmp_path):
    (tmp_path / "t.txt").write_text("My file;x,bonafide\nMy file;y,spoof\n")

    def meaning(table):
        if find_key(table, table.columns) is None:
            raise TableError("no key")
        return table.separator

    assert understand(read_lines(tmp_path / "t.txt", "a table"), {}, meaning) == ","


def test_a_trial_behind_a_comment_sign_is_refused(table):
    found = table("# scored on Monday\nu1 0.5\n#u2 1.5\nu3 2.5\n")
    refuse_hidden_rows(found, found.columns[1], str.isalpha)  # no cell fits: comments
    with pytest.raises(TableError, match=r"t.csv:3: '#u2 1.5' begins with # as a comment does, but has the form"):
        refuse_hidden_rows(found, found.columns[1], lambda cell: cell == "1.5")

"""Files that are no countermeasure scores or keys are called what they are."""

import pytest

from spoofcache.common.tables.columns import tables
from spoofcache.common.tables.foreign import is_2021, refuse_foreign
from spoofcache.common.tables.layout import TableError, read_lines


@pytest.fixture
def table(tmp_path):
    def made(content):
        (tmp_path / "t.txt").write_text(content)
        return next(tables(read_lines(tmp_path / "t.txt", "a table")))

    return made


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("bonafide target 5\nbonafide nontarget -2\nA07 spoof 1\n", "scores of a speaker verification system"),
        ("S-a-b U-a-b 5\nS-a-b V-a-b 1\n", "ASVspoof 2021's scores of a speaker verification system"),
        ("S-a-b U-a-b a b bonafide target notrim eval\n" * 2, "ASVspoof 2021's trial list of speaker verification"),
        ("ann u1 target\nbob u1 nontarget\n", "a trial list of speaker verification in the form of Kaldi"),
        ("5.5 target\n-2 nontarget\n", "the input of Kaldi's compute-eer"),
        ("ann u1 F - target\nann u2 F A01 spoof\n", "a trial list of ASVspoof 5 track 2"),
        ("1 x/a.wav x/b.wav\n0 x/a.wav y/c.wav\n", "a trial list of speaker verification as VoxCeleb has it"),
    ],
)
def test_files_of_speaker_verification(table, content, what):
    with pytest.raises(TableError, match=f"t.txt: this looks like {what}.*; expected a key"):
        refuse_foreign(table(content), "a key")


@pytest.mark.parametrize(
    "content",
    [
        "u1 bonafide 2.5\nu2 spoof -1\n",
        "utt,spk,label,attack\nu1,target,bonafide,-\nu2,nontarget,spoof,A01\n",  # speakers may be called so
        "utt_id\tspeaker\tattack\tkey\nu1\timpostor\t-\tbonafide\n",
        "1 a.wav\n0 b.wav\n",
        "clip-01-x clip-01-y\nclip-02-x clip-02-y\n",
    ],
)
def test_other_tables_are_not_refused(table, content):
    refuse_foreign(table(content), "a key")


def test_the_form_of_2021_has_two_names_with_codecs_and_a_number(table):
    assert is_2021(table("S-a-b U-a-b 5\nS-a-b V-a-b 1\n"))
    assert not is_2021(table("S U-a-b 5\nS V-a-b 1\n"))
    assert not is_2021(table("S-a-b U-a-b x\nS-a-b V-a-b y\n"))

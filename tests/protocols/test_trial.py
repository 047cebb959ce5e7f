"""A trial, its polarity, and the snapshot of a trial list that every cache carries."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoofcache.protocols.columns import read_columns
from spoofcache.protocols.snapshot import read_snapshot, sha256_of_file, snapshot, snapshot_sha256
from spoofcache.protocols.trial import CLASS_INDEX, ProtocolError, Trial, text_lines
from spoofcache.protocols.trial_table import check_unique

TWO_TRIALS = [Trial("LA_T_1", "bonafide", speaker="LA_0079"), Trial("LA_T_2", "spoof", "A01", "LA_0080")]
THEIR_SNAPSHOT = b"utt_id\tspeaker\tattack\tkey\nLA_T_1\tLA_0079\t-\tbonafide\nLA_T_2\tLA_0080\tA01\tspoof\n"

names = st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1)  # what `str.split` leaves
trials = st.builds(
    Trial,
    names,
    st.sampled_from(sorted(CLASS_INDEX)),
    names,
    names,
    conditions=st.dictionaries(st.sampled_from(["codec", "environment"]), names.filter(lambda value: value != "-")),
)


def test_bona_fide_is_class_one_and_spoof_class_zero():
    assert [trial.label for trial in TWO_TRIALS] == [1, 0]


def test_a_snapshot_is_a_table_with_a_header():
    assert snapshot(TWO_TRIALS) == THEIR_SNAPSHOT


def test_conditions_are_further_columns_and_a_dash_where_a_trial_has_none():
    trials = [Trial("a", "bonafide", conditions={"environment": "aab"}), Trial("b", "spoof", "AA")]
    assert (
        snapshot(trials) == b"utt_id\tspeaker\tattack\tkey\tenvironment\na\t-\t-\tbonafide\taab\nb\t-\tAA\tspoof\t-\n"
    )


def test_paths_stay_out_of_the_snapshot():
    here, there = Trial("a", "spoof", "A01", path=Path("/here/a.flac")), Trial("a", "spoof", "A01")
    assert snapshot([here]) == snapshot([there])


def test_a_trial_list_is_named_by_the_sha256_of_its_snapshot(tmp_path):
    path = tmp_path / "trials.tsv"
    path.write_bytes(THEIR_SNAPSHOT)
    assert snapshot_sha256(THEIR_SNAPSHOT) == sha256_of_file(path) == hashlib.sha256(THEIR_SNAPSHOT).hexdigest()


@given(st.lists(trials, max_size=5))
def test_what_was_written_reads_back(tmp_path_factory, trials):
    path = tmp_path_factory.getbasetemp() / "trials.tsv"
    path.write_bytes(snapshot(trials))
    assert read_snapshot(path) == trials


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "{path}:1: header missing; expected utt_id speaker attack key"),
        (b"utt_id key\n", "{path}:1: header utt_id key; expected utt_id speaker attack key"),
        (THEIR_SNAPSHOT + b"LA_T_3\tspoof\n", "{path}:4: 2 columns; expected 4: utt_id speaker attack key"),
        (THEIR_SNAPSHOT + b'"LA_T_3\tspoof\n', "{path}:4: unexpected end of data in '\"LA_T_3\\tspoof'; expected"),
        (THEIR_SNAPSHOT + b"LA_T_3\t-\t-\tgenuine\n", "{path}:4: key 'genuine'; expected bonafide or spoof"),
        (THEIR_SNAPSHOT + b"\x89HDF\r\n", "{path}:4: byte 0x89 is not text; expected a table of utt_id speaker attack"),
    ],
)
def test_a_broken_snapshot_is_refused_with_line_and_value(tmp_path, content, sentence):
    path = tmp_path / "trials.tsv"
    path.write_bytes(content)
    with pytest.raises(ProtocolError) as refusal:
        read_snapshot(path)
    assert str(refusal.value).startswith(sentence.format(path=path))


def test_an_utterance_may_stand_once_only():
    with pytest.raises(ProtocolError) as refusal:
        check_unique([*TWO_TRIALS, Trial("LA_T_1", "spoof", "A02")], Path("p.txt"))
    assert str(refusal.value) == "p.txt:3: utterance LA_T_1 is already on line 1; expected every utterance once"


def test_the_byte_that_is_no_text_is_named_behind_a_byte_order_mark_too(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"\xef\xbb\xbfone\ntwo\n\xff")
    with pytest.raises(ProtocolError, match=f"^{path}:3: byte 0xff is not text; expected a word$"):
        [*text_lines(path, "a word")]


@pytest.mark.parametrize("name", ["U\0", "U\x1b[31m", "U\x7f", "U\x85x"])
def test_a_control_character_in_the_name_of_an_utterance_is_refused(name, tmp_path):
    path = tmp_path / "protocol.txt"
    path.write_bytes(f"S1 A - bonafide\nS1 {name} - bonafide\n".encode())
    with pytest.raises(ProtocolError, match=r"protocol\.txt:2: .*expected"):
        read_columns(path, "speaker utterance attack key", lambda line: line.rstrip("\n").split(" "))

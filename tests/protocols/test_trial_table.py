"""A table of trials is the sequence of trials that it was made from, in a fraction of the memory."""

import pickle
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoofcache.protocols import trial_table
from spoofcache.protocols.forms import column
from spoofcache.protocols.snapshot import read_snapshot, snapshot
from spoofcache.protocols.trial import ProtocolError, Trial
from spoofcache.protocols.trial_table import TrialTable, check_unique

TRIALS = [
    Trial("LA_E_1", "bonafide", speaker="LA_0039", conditions={"codec": "mp3"}, path=Path("/flac/LA_E_1.flac")),
    Trial("LA_E_2", "spoof", "A07", file="b/LA_E_2.wav"),
    Trial("Jürgen 3", "spoof", "A07", "LA_0039", Path("a.flac"), {"key": "of the piano", "codec": "mp3"}),
    Trial("LA_E_4", "spoof", "A08", "LA_0040", Path("/flac/LA_E_4.flac"), {"codec": "mp3"}),
]

texts = st.text(st.characters(), max_size=5)  # surrogates too, which stand for bytes of file names that are not UTF-8
trials = st.builds(
    Trial,
    texts,
    st.sampled_from(["bonafide", "spoof"]),
    texts,
    texts,
    st.none() | st.text("ab./", max_size=6).map(Path),
    st.dictionaries(texts, texts, max_size=2),
    texts,
)


def as_text(sequence):
    """With the files, which equality ignores."""
    return [repr(trial) for trial in sequence]


@given(st.lists(trials, max_size=6))
def test_every_trial_comes_back(trials):
    table = TrialTable(trials)
    assert as_text(table) == as_text(table[row] for row in range(len(table))) == as_text(trials)
    assert [*table.names] == [trial.utt_id for trial in trials]
    assert [*table.labels] == [trial.label for trial in trials]
    for name in ("key", "attack", "speaker"):
        assert table.column(name, "-") == [getattr(trial, name) for trial in trials]
    for name in table.condition_names():
        assert table.condition(name, "-") == [trial.conditions.get(name, "-") for trial in trials]


@given(st.lists(trials, max_size=6), st.lists(trials, max_size=6))
def test_it_equals_any_sequence_of_equal_trials_and_no_other(one, other):
    assert (TrialTable(one) == other) == (other == TrialTable(one)) == (TrialTable(one) == TrialTable(other))
    assert (TrialTable(one) == other) == (one == other)
    assert TrialTable(one) == tuple(one)
    assert TrialTable(one) != "text"


@given(st.lists(trials, max_size=6), st.slices(6))
def test_slices_chosen_rows_and_copies_of_another_process_are_tables_of_the_same_trials(trials, rows):
    table = TrialTable(trials)
    assert as_text(table[rows]) == as_text(trials[rows])
    assert as_text(pickle.loads(pickle.dumps(table[rows]))) == as_text(trials[rows])
    assert as_text(table.take(reversed(range(len(table))))) == as_text(reversed(trials))
    assert table[rows] == TrialTable(trials[rows])  # though its bytes may differ


def test_negative_rows_count_from_the_end_and_rows_beyond_it_are_refused():
    table = TrialTable(TRIALS)
    assert table[-1] == TRIALS[-1]
    for row in (4, -5):
        with pytest.raises(IndexError):
            table[row]
        with pytest.raises(IndexError):
            table.names[row]


def test_a_condition_may_be_called_like_a_field():
    assert b"\tkey\tcodec\tkey\n" in snapshot(TRIALS)
    assert "Jürgen 3\tLA_0039\tA07\tspoof\tmp3\tof the piano\n" in snapshot(TRIALS).decode()


def test_a_table_is_neither_hashed_nor_changed():
    table = TrialTable(TRIALS)
    with pytest.raises(TypeError):
        hash(table)
    with pytest.raises(TypeError):
        table[0] = TRIALS[1]
    assert TrialTable.of(table) is table is table[:]
    assert hash(table[0]) == hash(TRIALS[0])


def test_the_name_as_written_is_the_file_where_the_protocol_names_files():
    assert TrialTable(TRIALS).names_as_written == ["LA_E_1", "b/LA_E_2.wav", "Jürgen 3", "LA_E_4"]


def test_a_column_that_no_trial_has_is_refused_and_taken_rows_have_their_own_columns_only():
    assert column(TRIALS, "codec") == ["mp3", "-", "mp3", "mp3"]
    with pytest.raises(ProtocolError, match=r"column 'codec'; expected one of key, attack, speaker$"):
        column(TrialTable(TRIALS)[1:2], "codec")


def test_values_that_are_too_many_to_be_shared_are_kept_too(monkeypatch):
    monkeypatch.setattr(trial_table, "MOST_SHARED", 2)
    monkeypatch.setattr(trial_table, "MOST_REMEMBERED", 2)
    trials = [Trial(f"U{i}", "spoof", f"A{i % 5}", f"S{i % 7}", conditions={"length": str(i % 3)}) for i in range(50)]
    assert TrialTable(trials) == trials


def test_a_trial_takes_tens_of_bytes(tmp_path):
    path = tmp_path / "trials.tsv"
    names = [f"LA_T_{1_000_000 + row}" for row in range(20_000)]
    path.write_bytes(
        snapshot([Trial(name, "spoof", f"A{row % 6:02d}", f"LA_{row % 40}") for row, name in enumerate(names)])
    )
    tracemalloc.start()
    try:
        table = read_snapshot(path)
        bytes_now, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [*table.names] == names
    assert bytes_now / len(table) < 48


def test_a_repeated_name_is_found_in_any_sequence():
    with pytest.raises(ProtocolError, match=r"^p\.txt:9: utterance LA_E_2 is already on line 6; expected"):
        check_unique([*TRIALS, TRIALS[1]], Path("p.txt"), start=5)

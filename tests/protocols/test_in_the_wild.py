"""In-the-Wild: its table, its spellings, its published counts."""

from collections import Counter

import pytest

from spoofcache.protocols import Location, load_trials
from spoofcache.protocols.in_the_wild import COUNTS, read_protocol
from spoofcache.protocols.trial import ProtocolError, Trial

META = "file,speaker,label\n0.wav,A Speaker,spoof\n1.wav,Someone Else,bona-fide\n"


def test_a_table_with_speakers_and_no_attacks(write):
    assert read_protocol(write(META)) == [
        Trial("0", "spoof", "-", "A Speaker"),
        Trial("1", "bonafide", "-", "Someone Else"),
    ]


@pytest.mark.parametrize("spelling", ["bonafide", "real", "Spoof", "fake", "1"])
def test_spellings_of_other_corpora_are_refused(refusal, spelling):
    told = refusal(read_protocol, META.replace("bona-fide", spelling))
    assert told == f"FILE:3: key '{spelling}'; expected bona-fide or spoof"


def test_the_whole_corpus_lies_beside_its_table(tmp_path):
    rows = [f"{i}.wav,S{i % 54},{'bona-fide' if i < COUNTS.bonafide else 'spoof'}\n" for i in range(sum(COUNTS))]
    (tmp_path / "meta.csv").write_text("file,speaker,label\n" + "".join(rows))
    (tmp_path / "31778.wav").touch()
    trials = load_trials("in_the_wild", Location(root=tmp_path), "eval")
    assert Counter(trial.key for trial in trials) == {"bonafide": 19_963, "spoof": 11_816}
    assert [trial.path for trial in trials if trial.path] == [tmp_path / "31778.wav"]


def test_counts_other_than_the_published_ones_are_refused(tmp_path):
    (tmp_path / "meta.csv").write_text(META)
    with pytest.raises(ProtocolError, match="1 bona fide and 1 spoof trials; expected the published 19963 and 11816"):
        load_trials("in_the_wild", Location(root=tmp_path), "eval")


@pytest.mark.corpus
def test_rows_from_the_published_corpus_are_read(shared):
    trials = read_protocol(shared / "data/format_samples/in_the_wild_meta.sample.csv")
    assert [trial.utt_id for trial in trials] == ["0", "1", "4", "10", "12", "18", "20", "27", "32", "39", "45"]
    assert "".join(trial.key[0] for trial in trials) == "ssbsbbbbsbb"
    assert trials[2].speaker == "Christopher Hitchens"

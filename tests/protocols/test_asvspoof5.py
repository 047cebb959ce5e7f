"""Protocols of ASVspoof 5: columns after sample rows, ids our own."""

import pytest

from spoofcache.protocols import Location, load_trials
from spoofcache.protocols.asvspoof5 import PARTITIONS, read_protocol
from spoofcache.protocols.trial import ProtocolError, Trial

CODED = "E_1 E_0000000001 F C07 3 E_0000000009 AC2 A30 spoof -\n"
PLAIN = "T_1 T_0000000002 M - - - - bonafide bonafide -\n"
NINE_COLUMNS = "D_1 D_0000000003 M C01 5 D_0000000009 bonafide bonafide -\n"


def test_sex_codec_and_attack_tag_are_conditions_where_they_are_known_and_no_codec_is_one_too(write):
    coded, plain = read_protocol(write(CODED + PLAIN))
    codec = {"codec": "C07", "codec_quality": "3", "codec_seed": "E_0000000009"}
    assert coded == Trial("E_0000000001", "spoof", "A30", "E_1", conditions={"sex": "F", "attack_tag": "AC2"} | codec)
    assert plain == Trial("T_0000000002", "bonafide", "-", "T_1", conditions={"sex": "M", "codec": "none"})


def test_tabs_part_columns_as_blanks_do(write):
    blanks = read_protocol(write(CODED + PLAIN))
    assert read_protocol(write((CODED + PLAIN).replace(" ", "\t"))) == blanks


def test_a_bona_fide_row_of_nine_columns_is_one_without_attack_tag(write):
    (trial,) = read_protocol(write(NINE_COLUMNS))
    assert (trial.utt_id, trial.key, trial.attack) == ("D_0000000003", "bonafide", "-")
    assert trial.conditions == {"sex": "M", "codec": "C01", "codec_quality": "5", "codec_seed": "D_0000000009"}


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("E_1 E_2 F - - AC2 A30 spoof -", "FILE:2: 9 columns in 'E_1 E_2 F - - AC2 A30 spoof -'; expected 10: speaker"),
        ("E_1 E_2 F bonafide", "FILE:2: 4 columns in 'E_1 E_2 F bonafide'; expected 10: speaker utterance sex codec"),
        ("E_1 E_2 F - - - AC2 A30 - spoof", "FILE:2: key '-'; expected bonafide or spoof"),
        ("E_1 E_2 F - - - AC2 A30 bonafide -", "FILE:2: attack 'A30' with key bonafide; expected '-' for bona fide"),
    ],
)
def test_a_broken_row_is_refused_with_line_and_value(refusal, row, sentence):
    assert refusal(read_protocol, PLAIN + row + "\n").startswith(sentence)


def test_counts_other_than_the_published_ones_are_refused(tmp_path):
    (tmp_path / "ASVspoof5.dev.track_1.tsv").write_text(CODED + PLAIN)
    with pytest.raises(ProtocolError) as refusal:
        load_trials("asvspoof5", Location(root=tmp_path), "dev")
    told = "1 bona fide and 1 spoof trials; expected the published 31334 and 109616"
    assert str(refusal.value) == f"{tmp_path}/ASVspoof5.dev.track_1.tsv: {told}"


def test_the_published_totals():
    totals = {partition: sum(about.counts) for partition, about in PARTITIONS.items()}
    assert totals == {"train": 182_357, "dev": 140_950, "eval": 680_774}

"""Codecfake of Xie et al.: label files of three columns."""

import pytest

from spoofcache.protocols import Location, load_trials
from spoofcache.protocols.codecfake import TOTALS, read_protocol
from spoofcache.protocols.trial import ProtocolError, Trial

LABELS = "SSB1.wav real 0\nF03_SSB1.wav fake 3\n"


def test_the_third_column_is_the_codec_of_fakes(write):
    assert read_protocol(write(LABELS)) == [
        Trial("SSB1", "bonafide"),
        Trial("F03_SSB1", "spoof", conditions={"codec": "3"}),
    ]


@pytest.mark.parametrize("spelling", ["bonafide", "spoof", "Real", "0"])
def test_spellings_of_other_corpora_are_refused(refusal, spelling):
    told = refusal(read_protocol, LABELS.replace("fake", spelling))
    assert told == f"FILE:2: key '{spelling}'; expected real or fake"


@pytest.mark.parametrize(("partition", "folder"), [("dev", "dev"), ("C7", "test/C7"), ("A1", "test/A1")])
def test_test_sets_lie_in_a_folder_of_their_own(tmp_path, any_counts, partition, folder):
    (tmp_path / "label").mkdir()
    (tmp_path / "label" / f"{partition}.txt").write_text(LABELS)
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "SSB1.wav").touch()
    real, fake = load_trials("codecfake", Location(root=tmp_path), partition)
    assert (real.path, fake.path) == (tmp_path / folder / "SSB1.wav", None)


def test_totals_other_than_the_published_ones_are_refused(tmp_path):
    (tmp_path / "label").mkdir()
    (tmp_path / "label/dev.txt").write_text(LABELS)
    with pytest.raises(ProtocolError, match=r"dev\.txt: 2 trials; expected the published 92596$"):
        load_trials("codecfake", Location(root=tmp_path), "dev")


def test_the_published_totals_are_multiples_of_bona_fide_and_six_codecs():
    assert (TOTALS["train"], TOTALS["dev"], TOTALS["C6"]) == (7 * 105_821, 7 * 13_228, 2 * 13_228)

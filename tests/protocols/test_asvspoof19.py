"""Protocol files of ASVspoof 2019 and of their form: what is read, what is refused and with which words."""

from collections import Counter

import pytest

from spoofcache.protocols import Location, load_trials
from spoofcache.protocols.asvspoof19 import COUNTS, read_protocol
from spoofcache.protocols.trial import ProtocolError, Trial

LA = "LA_0079 LA_T_1138215 - - bonafide\nLA_0080 LA_T_1004644 - A01 spoof\n"
PA = "PA_0079 PA_T_0000001 aaa - bonafide\nPA_0080 PA_T_0005401 abc AB spoof\n"


@pytest.fixture
def official_layout(tmp_path):
    """Put the content of a protocol where a partition of the official layout has it; gives where that lies."""

    def write(scenario, name, content):
        for partition in ("train", "dev", "eval"):
            (tmp_path / f"ASVspoof2019_{scenario}_{partition}" / "flac").mkdir(parents=True)
        path = tmp_path / f"ASVspoof2019_{scenario}_cm_protocols" / f"ASVspoof2019.{scenario}.cm.{name}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        return Location(root=tmp_path)

    return write


@pytest.mark.parametrize(
    "content",
    [LA, LA.replace("\n", "\r\n"), LA.rstrip(), "\ufeff" + LA, LA.replace(" ", "\t"), LA.replace(" ", "  ")],
    ids=["official", "windows-newlines", "no-last-newline", "byte-order-mark", "tabs", "wide"],
)
def test_five_columns_are_read(write, content):
    assert read_protocol(write(content)) == [
        Trial("LA_T_1138215", "bonafide", "-", "LA_0079"),
        Trial("LA_T_1004644", "spoof", "A01", "LA_0080"),
    ]


def test_the_environment_of_physical_access_is_kept_as_a_condition(write):
    environments = [trial.conditions for trial in read_protocol(write(PA))]
    assert environments == [{"environment": "aaa"}, {"environment": "abc"}]


def test_bona_fide_may_stand_in_the_attack_column_too(write):
    assert [trial.attack for trial in read_protocol(write("LA_0079 LA_T_1 - bonafide bonafide\n"))] == ["-"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "{path}: empty; expected lines of speaker utterance environment attack key"),
        (LA + "LA_0080 LA_T_3 A01 spoof\n", "{path}:3: 4 columns in 'LA_0080 LA_T_3 A01 spoof'; expected 5: speaker"),
        (LA + "LA_0080 LA_T_3 - A01 spoof 1\n", "{path}:3: 6 columns in 'LA_0080 LA_T_3 - A01 spoof 1'; expected 5"),
        (LA + "\n" + LA, "{path}:3: 0 columns in ''; expected 5: speaker utterance environment attack key"),
        ("x" * 1000, "{path}:1: 1 columns in '" + "x" * 60 + "'; expected 5"),
        (LA + "LA_0080 LA_T_3 - A01 fake\n", "{path}:3: key 'fake'; expected bonafide or spoof"),
        (LA + "LA_0080 LA_T_3 - A01 Spoof\n", "{path}:3: key 'Spoof'; expected bonafide or spoof"),
        (LA + "LA_0080 LA_T_3 - A01 bonafide\n", "{path}:3: attack 'A01' with key bonafide; expected '-' for bona"),
        (LA + "LA_0080 LA_T_3 - - spoof\n", "{path}:3: attack '-' with key spoof; expected '-' for bona fide only"),
        (LA + LA, "{path}:3: utterance LA_T_1138215 is already on line 1; expected every utterance once"),
        (LA.encode() + b"\x89PNG\xff\n", "{path}:3: byte 0x89 is not text; expected lines of speaker utterance"),
    ],
)
def test_a_broken_protocol_is_refused_with_line_and_value(write, content, sentence):
    path = write(content)
    with pytest.raises(ProtocolError) as refusal:
        read_protocol(path)
    assert str(refusal.value).startswith(sentence.format(path=path))


def test_a_root_without_the_official_layout_is_refused(tmp_path):
    with pytest.raises(ProtocolError) as refusal:
        load_trials("asvspoof19_la", Location(root=tmp_path), "dev")
    path = tmp_path / "ASVspoof2019_LA_cm_protocols" / "ASVspoof2019.LA.cm.dev.trl.txt"
    assert (
        str(refusal.value)
        == f"{path}: no such file or folder; expected the official ASVspoof 2019 layout below {tmp_path}"
    )


def test_counts_other_than_the_published_ones_are_refused(official_layout):
    where = official_layout("LA", "train.trn", LA)
    with pytest.raises(ProtocolError) as refusal:
        load_trials("asvspoof19_la", where, "train")
    path = where.root / "ASVspoof2019_LA_cm_protocols" / "ASVspoof2019.LA.cm.train.trn.txt"
    expected = "expected the published 2580 and 22800"
    assert str(refusal.value) == f"{path}: 1 bona fide and 1 spoof trials; {expected}"


def test_a_whole_partition_of_physical_access(official_layout):
    bonafide = "".join(f"PA_0079 PA_T_{i:07} aaa - bonafide\n" for i in range(5_400))
    spoof = "".join(f"PA_0079 PA_T_{i:07} ccc CC spoof\n" for i in range(5_400, 54_000))
    where = official_layout("PA", "train.trn", bonafide + spoof)
    (where.root / "ASVspoof2019_PA_train/flac/PA_T_0000007.flac").touch()
    trials = load_trials("asvspoof19_pa", where, "train")
    assert len(trials) == 54_000
    assert [trial.utt_id for trial in trials if trial.path] == ["PA_T_0000007"]


def test_the_published_totals_of_physical_access():
    assert {partition: sum(counts) for partition, counts in COUNTS["PA"].items()} == {
        "train": 54_000,
        "dev": 29_700,
        "eval": 134_730,
    }


KNOWN_ATTACKS = [f"A{number:02}" for number in range(1, 7)]
UNSEEN_ATTACKS = [f"A{number:02}" for number in range(7, 20)]


@pytest.mark.corpus
class TestOfficialProtocols:
    """The counts and the attacks are those of the ASVspoof 2019 evaluation plan."""

    @pytest.mark.parametrize(
        ("partition", "file", "total", "n_bonafide", "attacks"),
        [
            ("train", "train.trn", 25_380, 2_580, KNOWN_ATTACKS),
            ("dev", "dev.trl", 24_844, 2_548, KNOWN_ATTACKS),
            ("eval", "eval.trl", 71_237, 7_355, UNSEEN_ATTACKS),
        ],
    )
    def test_logical_access_is_read(self, shared, official_layout, partition, file, total, n_bonafide, attacks):
        content = (shared / f"data/asvspoof2019_la/ASVspoof2019.LA.cm.{file}.txt").read_text()
        trials = load_trials("asvspoof19_la", official_layout("LA", file, content), partition)
        assert Counter(trial.label for trial in trials) == {1: n_bonafide, 0: total - n_bonafide}
        assert sorted({trial.attack for trial in trials}) == ["-", *attacks]

    def test_one_line_short_is_noticed(self, shared, official_layout):
        content = (shared / "data/asvspoof2019_la/ASVspoof2019.LA.cm.dev.trl.txt").read_text()
        where = official_layout("LA", "dev.trl", content[content.index("\n") + 1 :])
        with pytest.raises(ProtocolError, match="2547 bona fide and 22296 spoof trials; expected the published 2548"):
            load_trials("asvspoof19_la", where, "dev")

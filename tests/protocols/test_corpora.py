"""The registry of corpora: what holds for each of them, on a small one that is laid out like the real one."""

from dataclasses import replace
from pathlib import Path

import pytest

from spoofcache.common.parquet import is_packed
from spoofcache.protocols import CORPORA, Location, load_trials
from spoofcache.protocols.conditions import select
from spoofcache.protocols.corpus import OPTIONS
from spoofcache.protocols.forms import column
from spoofcache.protocols.snapshot import read_snapshot, snapshot
from spoofcache.protocols.trial import ProtocolError
from tests.protocols.layouts import LAYOUTS

CONDITIONS = {
    "asvspoof19_pa": {"environment": {"aaa", "abc"}},
    "asvspoof21_la": {"codec": {"alaw", "g722"}, "transmission": {"ita_tx", "loc_tx"}, "phase": {"eval"}},
    "asvspoof21_df": {
        "codec": {"low_m4a", "nocodec"},
        "phase": {"eval"},
        "vocoder": {"-", "neural_vocoder_nonautoregressive"},
    },
    "asvspoof5": {"codec": {"C07", "none"}, "sex": {"F", "M"}},
    "speechfake": {
        "language": {"en", "zh"},
        "generator": {"tts-1", "tts-2", "-"},
        "system": {"Tacotron_2", "VITS", "-"},
    },
    "wavefake": {"vocoder": {"melgan", "multi_band_melgan", "conformer_tts", "-"}, "source": {"ljspeech", "jsut", "-"}},
    "mlaad": {"language": {"de", "en"}, "architecture": {"Griffin Lim", "-"}},
    "codecfake": {"codec": {"2", "-"}},
    "codecfake_tseng": {"codec": {"EnCodec", "-"}},
    "csv": {"codec": {"mp3", "opus"}},
    "parquet": {"language": {"de", "en"}},
}


WALKED = ("fake_or_real", "wavefake", "codecfake_tseng", "folders")
"""Those that have no protocol: who is in them is what lies in their folders."""


@pytest.fixture
def small(tmp_path, any_counts):
    """`small("mlaad")`: the trials of a small corpus that is laid out like it."""

    def load(corpus, partition=None):
        layout = LAYOUTS[corpus]
        return load_trials(corpus, layout.write(tmp_path), partition or layout.partition)

    return load


def test_every_corpus_is_tried_here():
    assert set(LAYOUTS) == set(CORPORA)


@pytest.mark.parametrize("corpus", CORPORA)
def test_every_utterance_has_its_own_name_without_blanks_and_its_own_file(small, corpus):
    trials = small(corpus)
    assert {trial.key for trial in trials} == {"bonafide", "spoof"}
    assert len({trial.utt_id for trial in trials}) == len(trials)
    assert not any(" " in trial.utt_id + trial.attack for trial in trials)
    assert len({trial.path for trial in trials}) == len(trials)
    assert all(trial.path is not None and (trial.path.is_file() or is_packed(trial.path)) for trial in trials)


@pytest.mark.parametrize("corpus", CORPORA)
def test_the_trial_list_does_not_contain_the_place_of_the_corpus(small, corpus, tmp_path_factory):
    elsewhere = LAYOUTS[corpus].write(tmp_path_factory.mktemp("elsewhere"))
    assert snapshot(small(corpus)) == snapshot(load_trials(corpus, elsewhere, LAYOUTS[corpus].partition))


@pytest.mark.parametrize("corpus", [name for name in CORPORA if name not in (*WALKED, "parquet")])
def test_a_trial_of_a_protocol_stays_when_its_file_is_missing(small, corpus, tmp_path):
    whole = small(corpus)
    lost = next(trial for trial in whole if trial.key == "spoof")
    lost.path.unlink()
    left = load_trials(corpus, LAYOUTS[corpus].locate(tmp_path), LAYOUTS[corpus].partition)
    assert left == [replace(trial, path=None) if trial == lost else trial for trial in whole]


@pytest.mark.parametrize("corpus", CORPORA)
def test_conditions_are_named_columns_also_in_the_trial_list_of_a_cache(small, corpus, tmp_path):
    trials = small(corpus)
    path = tmp_path / "trials.tsv"
    path.write_bytes(snapshot(trials))
    for read in (trials, read_snapshot(path)):
        for name, values in CONDITIONS.get(corpus, {}).items():
            assert set(column(read, name)) == values
            for value in values:
                assert select(read, [f"{name}={value}"])


@pytest.mark.parametrize(
    ("corpus", "where", "sentence"),
    [
        (
            "asvspoof19",
            Location(),
            f"corpus 'asvspoof19'; expected one of {', '.join(CORPORA)}, or package.module:Name",
        ),
        ("asvspoof19_la", Location(), "asvspoof19_la needs --root"),
        ("asvspoof19_style", Location(protocol=Path("p")), "asvspoof19_style needs --protocol and --audio-dir"),
        ("csv", Location(audio_dir=Path()), "csv needs --protocol and --audio-dir"),
        ("mlaad", Location(bonafide_dir=Path()), "mlaad needs --root"),
        (
            "in_the_wild",
            Location(root=Path(), protocol=Path("p")),
            "in_the_wild takes --root, not --protocol",
        ),
        (
            "folders",
            Location(root=Path(), columns={"file": "path"}),
            "folders takes --root, not --column",
        ),
        (
            "mlaad",
            Location(root=Path(), audio_dir=Path()),
            "mlaad takes --root and --bonafide-dir, not --audio-dir",
        ),
    ],
)
def test_missing_options_are_requested_and_meaningless_ones_are_refused(corpus, where, sentence):
    with pytest.raises(ProtocolError) as refusal:
        load_trials(corpus, where, "train")
    assert str(refusal.value) == sentence


@pytest.mark.parametrize("corpus", [name for name, corpus in CORPORA.items() if corpus.partitions])
def test_every_corpus_with_partitions_refuses_an_unknown_one(corpus, tmp_path):
    with pytest.raises(ProtocolError, match=rf"^partition 'training' of {corpus}; expected "):
        load_trials(corpus, Location(root=tmp_path), "training")


@pytest.mark.parametrize("corpus", [name for name, corpus in CORPORA.items() if not corpus.partitions])
def test_of_a_corpus_without_partitions_the_whole_has_any_name(small, corpus):
    assert small(corpus, partition="train") == small(corpus, partition="whatever")


@pytest.mark.parametrize("corpus", [name for name, corpus in CORPORA.items() if "root" in corpus.needs])
def test_a_root_of_another_layout_is_refused_with_what_was_looked_for(corpus, tmp_path):
    with pytest.raises(ProtocolError, match=rf"^{tmp_path}.*; expected "):
        load_trials(corpus, Location(root=tmp_path), LAYOUTS[corpus].partition)


def test_every_option_is_an_attribute_of_a_location():
    assert set(OPTIONS) == set(Location.__dataclass_fields__)

"""preprocess.py and the corpora: what it takes for them, and what it says before any model runs."""

import pytest
from click.testing import CliRunner

from preprocess import main
from protocols import CORPORA
from protocols.trial import read_snapshot
from tests.corpora import make_trials, write_corpus

OWN = ("--corpus", "csv", "--column", "utterance=name", "--column", "label=class", "--column", "codec=compression")


@pytest.fixture
def own(tmp_path):
    """A table of one's own with columns of other names, beside its audio; the command that extracts it."""
    trials = make_trials(6)
    _, audio_dir = write_corpus(tmp_path, trials)
    rows = "".join(f"{trial.utt_id},{trial.key.replace('spoof', 'fake')},mp3\n" for trial in trials)
    (tmp_path / "my.csv").write_text("name,class,compression\n" + rows)
    where = ("--protocol", tmp_path / "my.csv", "--audio-dir", audio_dir, "--out", tmp_path / "cache")
    return (*OWN, *where, "--partition", "eval", "--frontend", "lfcc", "--device", "cpu")


def preprocess(*options):
    """Exit status, standard output and standard error."""
    result = CliRunner().invoke(main, [str(option) for option in options])
    return result.exit_code, result.stdout.strip(), result.stderr.strip()


def test_conditions_of_a_table_are_columns_of_the_trial_list(own, tmp_path):
    status, folder, _ = preprocess(*own)
    assert status == 0
    trials = read_snapshot(tmp_path / folder / "trials.tsv")
    assert [trial.conditions for trial in trials] == [{"codec": "mp3"}] * 6
    assert [trial.label for trial in trials] == [1, 0, 0, 1, 0, 0]


@pytest.mark.parametrize("option", ["--on-missing", "--on-bad-audio"])
def test_missing_and_unreadable_audio_is_told_in_one_go_or_left_out(own, tmp_path, option):
    (tmp_path / "flac/U_0001.flac").unlink()
    (tmp_path / "flac/U_0002.flac").write_text("<html>")
    told = (
        "1 of 6 utterances have no audio file, first U_0001; 1 of 6 utterances have audio that cannot be opened, "
        "first U_0002 (U_0002.flac: empty, truncated or not audio)"
    )
    status, _, error = preprocess(*own)
    assert status == 2
    assert told in error
    assert not (tmp_path / "cache").exists()
    status, folder, error = preprocess(*own, option, "skip")
    assert status == 0
    assert f"eval: {told}; left out" in error
    assert len((tmp_path / folder / "skipped.tsv").read_text().splitlines()) == 3


def test_audio_that_is_elsewhere_altogether_is_never_skipped(own, tmp_path):
    (tmp_path / "empty").mkdir()
    status, _, error = preprocess(*own, "--audio-dir", tmp_path / "empty", "--on-missing", "skip")
    assert status == 2
    assert "6 of 6 utterances have no audio file, first U_0000, U_0001" in error


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--partition", "train"), "csv has no partitions of its own; expected one --partition, a name for the whole"),
        (("--column", "file"), "'file'; expected NAME=HEADER, for example file=path"),
        (("--column", "speaker=who"), "has no column 'who'; expected it (--column speaker=who)"),
        (("--root", "."), "csv takes --protocol and --audio-dir and --column, not --root"),
        (("--corpus", "mlaad"), "mlaad needs --root"),
    ],
)
def test_what_a_corpus_does_not_take_is_refused(own, options, sentence):
    status, _, error = preprocess(*own, *options)
    assert status == 2
    assert sentence in " ".join(error.split())


def test_help_names_every_corpus_with_what_it_takes():
    _, told, _ = preprocess("--help")
    for corpus in CORPORA:
        assert f"\n    {corpus} " in told
    assert "mlaad             --root [--bonafide-dir]" in told

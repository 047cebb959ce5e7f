"""The converter of score files: what it writes, keeps, refuses."""

import pytest
from click.testing import CliRunner

from spoofcache.metrics.score_files import read_scores
from spoofcache.metrics.written_scores import FORMS
from spoofcache.tools.convert_scores import main

PROTOCOL = "SP1 u2 - A07 spoof\nSP1 u1 - - bonafide\n"
FILES = {
    "asvspoof2019": "u1 - bonafide 0.1\nu2 A07 spoof -1e-08\n",
    "asvspoof2021": "u1 0.1\nu2 -1e-08\n",
    "asvspoof5": "filename\tcm-score\nu1\t0.1\nu2\t-1e-08\n",
    "xieyuankun": "u1_- 0.1 bonafide\nu2_A07 -1e-08 spoof\n",
    "tsv": "utt_id\tattack\tkey\tscore\nu1\t-\tbonafide\t0.1\nu2\tA07\tspoof\t-1e-08\n",
}
KEYED = ["asvspoof2019", "xieyuankun", "tsv"]


@pytest.fixture
def convert(tmp_path, monkeypatch):
    """Runs the command in a folder with `in.txt` and `protocol.txt`; the result, and what `out.txt` holds."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "protocol.txt").write_text(PROTOCOL)

    def run(content, *options):
        (tmp_path / "in.txt").write_text(content)
        result = CliRunner().invoke(main, ["in.txt", *options])
        out = tmp_path / "out.txt"
        return result, out.read_text() if out.exists() else None

    return run


def test_every_form_is_tested_above():
    assert FILES.keys() == FORMS.keys()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("source", KEYED)
def test_a_form_with_keys_becomes_any_other(convert, source, form):
    result, written = convert(FILES[source], "--to", form, "--out", "out.txt")
    assert (result.exit_code, result.output, written) == (0, "out.txt\n", FILES[form])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("source", ["asvspoof2021", "asvspoof5"])
def test_a_form_without_keys_becomes_any_other_with_a_protocol(convert, source, form):
    result, written = convert(FILES[source], "--to", form, "--out", "out.txt", "--protocol", "protocol.txt")
    assert result.exit_code == 0
    header = FILES[form].startswith(("filename", "utt_id"))
    first, second = FILES[form].splitlines(keepends=True)[header:]
    assert written == FILES[form].replace(first + second, second + first)  # in the protocol's order


def test_the_former_name_of_a_form_is_accepted_but_not_listed(convert):
    _, written = convert(FILES["tsv"], "--to", "seed003", "--out", "out.txt")
    assert written == FILES["xieyuankun"]
    assert "seed003" not in CliRunner().invoke(main, ["--help"]).output


@pytest.mark.parametrize("source", ["asvspoof2021", "asvspoof5"])
def test_without_keys_there_are_none_to_write(convert, source):
    result, written = convert(FILES[source], "--to", "xieyuankun", "--out", "out.txt")
    assert result.exit_code == 2
    assert (
        "in.txt: no column states whether a trial is bonafide or spoof, which form xieyuankun needs; expected scores"
        in result.output
    )
    assert written is None
    assert convert(FILES[source], "--to", "asvspoof5", "--out", "out.txt")[1] == FILES["asvspoof5"]


def test_attacks_that_the_file_does_not_tell_are_written_as_unknown(convert):
    _, written = convert("file\tlabel\tscore\n0.wav\tspoof\t1.50\n", "--to", "asvspoof2019", "--out", "out.txt")
    assert written == "0 - spoof 1.5\n"


@pytest.mark.parametrize(
    ("content", "options", "sentence"),
    [
        ("u1 nan\n", ["--out", "out.txt"], "Error: in.txt:1: score 'nan'; expected a finite number"),
        (
            "u1 1\n",
            ["--out", "out.txt", "--protocol", "protocol.txt"],
            "protocol.txt: 1 of 2 trials have no score (u2)",
        ),
        (
            FILES["tsv"].replace("A07", "A08"),
            ["--out", "out.txt", "--protocol", "protocol.txt"],
            "1 attacks differ (u2)",
        ),
        ("u1 1\n", ["--out", "out.txt", "--protocol", "in.txt"], "Error: in.txt: column 2 holds 0 and 1"),
        (
            "u1 1\n",
            ["--out", "in.txt", "--overwrite"],
            "Error: in.txt: is an input; choose another name for the results",
        ),
    ],
)
def test_wrong_input_ends_in_a_sentence(convert, content, options, sentence):
    result, written = convert(content, "--to", "tsv", *options)
    assert result.exit_code == 2
    assert sentence in result.output
    assert written is None


def test_an_existing_output_is_replaced_on_request_only(convert, tmp_path):
    (tmp_path / "out.txt").write_text("precious")
    result, written = convert(FILES["tsv"], "--to", "tsv", "--out", "out.txt")
    assert (result.exit_code, written) == (2, "precious")
    assert "out.txt: exists already; choose another name, or --overwrite to replace it" in result.output
    assert convert(FILES["tsv"], "--to", "tsv", "--out", "out.txt", "--overwrite")[1] == FILES["tsv"]


def test_help_shows_an_example():
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert "python tools/convert_scores.py scores/lcnn_eval.txt --to asvspoof5" in result.output


@pytest.mark.corpus
def test_a_published_file_keeps_every_bit(convert, shared, tmp_path):
    published = shared / "data/asvspoof2019_la/cm_w2v2_lcnn_eval.txt"
    _, written = convert(published.read_text(), "--to", "asvspoof2021", "--out", "out.txt")
    assert len(written.splitlines()) == 71_237
    assert read_scores(tmp_path / "out.txt").scores.tobytes() == read_scores(published).scores.tobytes()


def test_a_key_of_0_and_1_is_used_with_a_warning_of_its_polarity(convert, tmp_path):
    (tmp_path / "key.csv").write_text("file,label\nu1.wav,1\nu2.wav,0\n")
    options = ("--to", "tsv", "--out", "out.txt", "--protocol", "key.csv", "--column", "key=label")
    result, written = convert("u2 0.5\nu1 1.5\n", *options)
    assert "Warning: key.csv: 1 in column 2 (`label`) was taken for bona fide" in result.output
    assert written == "utt_id\tattack\tkey\tscore\nu1\t-\tbonafide\t1.5\nu2\t-\tspoof\t0.5\n"


def test_names_of_the_protocol_decide_which_column_names_the_utterance(convert):
    result, written = convert(
        "x9 u2 0.5\nx8 u1 1.5\n", "--to", "asvspoof2021", "--out", "out.txt", "--protocol", "protocol.txt"
    )
    assert written == "u2 0.5\nu1 1.5\n", result.output

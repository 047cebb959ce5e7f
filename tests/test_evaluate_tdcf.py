"""The command: what it prints, writes and refuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from spoofcache.evaluate_tDCF_asvspoof19 import main

REPOSITORY = Path(__file__).resolve().parents[1]

# the eight trials that tests/metrics/test_evaluation.py judges on paper: EER 25 %, min t-DCF 0.25
CM = """b1 - bonafide 0.5
b2 - bonafide 2
b3 - bonafide 3
b4 - bonafide 4
s1 A01 spoof -1
s2 A01 spoof 0
s3 A02 spoof 1
s4 A02 spoof -2
"""
ASV = """bonafide target 2
bonafide target 3
bonafide nontarget 0
bonafide nontarget -1
bonafide nontarget -2
bonafide nontarget 1
A01 spoof 3
A01 spoof 0
A02 spoof 4
A02 spoof 6
"""
PROTOCOL = """SP1 b1 - - bonafide
SP1 b2 - - bonafide
SP1 b3 - - bonafide
SP1 b4 - - bonafide
SP2 s1 - A01 spoof
SP2 s2 - A01 spoof
SP2 s3 - A02 spoof
SP2 s4 - A02 spoof
"""


@pytest.fixture
def folder(tmp_path):
    for name, content in (("cm.txt", CM), ("asv.txt", ASV), ("protocol.txt", PROTOCOL)):
        (tmp_path / name).write_text(content)
    return tmp_path


def evaluate(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(result):
    """The one sentence that a refusal prints."""
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    error = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(error) == 1
    return error[0].removeprefix("Error: ")


def test_prints_the_figures_and_the_table(folder):
    result = evaluate("--cm-scores", folder / "cm.txt", "--asv-scores", folder / "asv.txt")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout == (
        "Countermeasure: 4 bona fide + 4 spoof trials (2 attacks)\n"
        "  EER        25.0000000000 %    at threshold 0.5\n"
        "  min t-DCF  0.250000000000    at threshold 0    (ASVspoof 2019 form)\n"
        "\n"
        "ASV system: 2 target + 4 nontarget + 4 spoof trials\n"
        "  EER        0.0000000000 %    at threshold 1, where\n"
        "  P_fa 0.2500000000    P_miss 0.0000000000    P_miss,spoof 0.2500000000\n"
        "\n"
        "attack  spoof trials     EER %  min t-DCF  ASV P_miss,spoof\n"
        "A01                2    0.0000    0.00000            0.5000\n"
        "A02                2   37.5000    0.45837            0.0000\n"
        "pooled             4   25.0000    0.25000            0.2500\n"
    )


def test_without_asv_scores_the_equal_error_rate_alone(folder):
    result = evaluate("--cm-scores", folder / "cm.txt")
    assert result.exit_code == 0
    assert "EER        25.0000000000 %" in result.stdout
    assert "min t-DCF  needs the scores of an ASV system (--asv-scores)" in result.stdout
    assert "0.25000" not in result.stdout


def test_json_holds_plain_names_and_full_precision(folder):
    out = folder / "new folder" / "result.json"
    evaluate("--cm-scores", folder / "cm.txt", "--asv-scores", folder / "asv.txt", "--json", out)
    result = json.loads(out.read_text())
    assert (result["n_bonafide"], result["n_spoof"], result["eer"], result["min_tdcf"]) == (4, 4, 0.25, 0.25)
    assert result["per_attack"]["A02"]["min_tdcf"] == pytest.approx((0.9405 - 0.095 / 4) / 2, rel=1e-15)
    assert result["asv"]["p_fa"] == 0.25
    assert result["cm_scores"] == str(folder / "cm.txt")
    assert result["protocol"] is None
    assert [path.name for path in out.parent.iterdir()] == ["result.json"]


def test_pictures_are_named_after_the_scores(folder):
    result = evaluate("--cm-scores", folder / "cm.txt", "--plots", folder / "plots")
    pictures = sorted((folder / "plots").iterdir())
    assert [path.name for path in pictures] == ["cm_det.png", "cm_histogram.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    assert all(f"wrote {path}" in result.stdout for path in pictures)


@pytest.mark.parametrize(
    ("option", "value", "existing"),
    [
        ("--json", "out.json", "out.json"),
        ("--plots", "plots", "plots/cm_det.png"),
        ("--plots", ".", "cm_histogram.png"),
    ],
)
def test_an_output_that_exists_is_kept_without_overwrite(folder, option, value, existing):
    (folder / "plots").mkdir()
    (folder / existing).write_text("precious")
    arguments = ("--cm-scores", folder / "cm.txt", option, folder / value)
    assert refused(evaluate(*arguments)).startswith(f"{folder / existing}: exists already; choose another name")
    assert (folder / existing).read_text() == "precious"
    assert evaluate(*arguments, "--overwrite").exit_code == 0
    assert (folder / existing).read_bytes() != b"precious"


def test_a_protocol_that_the_scores_cover_changes_nothing(folder):
    plain = evaluate("--cm-scores", folder / "cm.txt")
    checked = evaluate("--cm-scores", folder / "cm.txt", "--protocol", folder / "protocol.txt")
    assert checked.exit_code == 0
    assert checked.stdout == plain.stdout


def test_missing_trials_are_counted_and_named(folder):
    (folder / "cm.txt").write_text(CM.replace("b2 - bonafide 2\n", "").replace("s4 A02 spoof -2\n", ""))
    sentence = refused(evaluate("--cm-scores", folder / "cm.txt", "--protocol", folder / "protocol.txt"))
    where = f"{folder / 'cm.txt'} against {folder / 'protocol.txt'}"
    assert sentence == (
        f"{where}: 2 of 8 trials have no score (b2, s4); expected one score for every trial, with its key "
        "(understood: utterance = column 1, score = column 4, key = column 3, attack = column 2)"
    )


def test_asv_scores_of_another_partition_are_refused(folder):
    (folder / "asv.txt").write_text(ASV.replace("A02", "A19"))
    sentence = refused(evaluate("--cm-scores", folder / "cm.txt", "--asv-scores", folder / "asv.txt"))
    assert "the ASV scores lack A02 of the CM scores; they hold A01, A19 (another partition?)" in sentence


def test_a_broken_line_is_named(folder):
    (folder / "cm.txt").write_text(CM + "s5 A01 spoof nan\n")
    sentence = refused(evaluate("--cm-scores", folder / "cm.txt"))
    expected = (
        "a finite number within ±1e+38 (understood: utterance = column 1, score = column 4, key = column 3, attack"
    )
    assert sentence.startswith(f"{folder / 'cm.txt'}:9: score 'nan'; expected {expected}")


def test_a_missing_file_is_named(folder):
    assert f"'{folder / 'none.txt'}' does not exist" in refused(evaluate("--cm-scores", folder / "none.txt"))


def test_equal_scores_are_called_equal_and_not_inverted(folder):
    (folder / "cm.txt").write_text("".join(f"{line.rpartition(' ')[0]} 0.25\n" for line in CM.splitlines()))
    result = evaluate("--cm-scores", folder / "cm.txt")
    assert "EER        100.0000000000 %" in result.stdout
    assert "WARNING    all scores are equal (0.25): they do not distinguish the classes" in result.stdout
    assert "sign" not in result.stdout + result.stderr


def test_an_inverted_sign_causes_a_warning_and_the_figures_stay_as_they_are(folder):
    lines = [line.rsplit(" ", 1) for line in CM.splitlines()]
    (folder / "cm.txt").write_text("".join(f"{start} {-float(score)}\n" for start, score in lines))
    result = evaluate("--cm-scores", folder / "cm.txt")
    assert result.exit_code == 0
    assert "EER        75.0000000000 %" in result.stdout
    assert "WARNING    an EER above 50 %: the sign of the scores may be inverted" in result.stdout
    assert result.stderr.startswith(f"Warning: {folder / 'cm.txt'}: an EER above 50 %")


def test_help_shows_a_command_to_copy():
    result = evaluate("--help")
    assert result.exit_code == 0
    assert "  python evaluate_tDCF_asvspoof19.py --cm-scores scores/lcnn_eval.txt \\\n" in result.stdout


def test_help_waits_for_neither_torch_nor_matplotlib():
    code = "import sys, evaluate_tDCF_asvspoof19; print(sorted({'torch', 'matplotlib', 'h5py'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


# Figures that the official ASVspoof 2019 evaluation code gives in float64.
@pytest.mark.corpus
class TestPublishedScores:
    @pytest.fixture
    def data(self, shared):
        return shared / "data/asvspoof2019_la"

    def test_xlsr_lcnn(self, data, tmp_path):
        asv = data / "ASVspoof2019.LA.asv.eval.gi.trl.scores.txt"
        protocol, out = data / "ASVspoof2019.LA.cm.eval.trl.txt", tmp_path / "out.json"
        cm = ("--cm-scores", data / "cm_w2v2_lcnn_eval.txt")
        result = evaluate(*cm, "--asv-scores", asv, "--protocol", protocol, "--json", out)
        assert result.exit_code == 0
        assert "EER        0.6357185456 %" in result.stdout
        assert "min t-DCF  0.019036862137" in result.stdout
        assert "A17            4,914    1.4023    0.12054" in result.stdout
        numbers = json.loads(out.read_text())
        assert 100 * numbers["eer"] == pytest.approx(0.6357185455653269, rel=1e-9)
        assert numbers["min_tdcf"] == pytest.approx(0.01903686213690652, rel=1e-9)
        assert 100 * numbers["asv"]["eer"] == pytest.approx(2.457783738686887, rel=1e-9)
        assert (numbers["n_bonafide"], numbers["n_spoof"], len(numbers["per_attack"])) == (7_355, 63_882, 13)

    def test_incomplete_scores_are_refused(self, data):
        protocol = data / "ASVspoof2019.LA.cm.eval.trl.txt"
        result = evaluate("--cm-scores", data / "cm_incomplete_eval.txt", "--protocol", protocol)
        assert "61237 of 71237 trials have no score (LA_E_" in refused(result)

    def test_inverted_sign_is_printed_as_it_is(self, data):
        result = evaluate("--cm-scores", data / "cm_inverted_sign_eval.txt")
        assert result.exit_code == 0
        assert "EER        97.82201" in result.stdout  # 100 − 2.17799, the rate of the negated scores
        assert "WARNING" in result.stdout
        assert "sign of the scores may be inverted" in result.stderr


def test_asv_scores_of_2021_are_joined_with_their_key(folder):
    (folder / "key21.txt").write_text(
        "V1 b1 alaw x_tx bonafide bonafide notrim eval\nV2 s1 alaw x_tx A01 spoof notrim eval\n"
    )
    (folder / "cm21.txt").write_text("b1 2\ns1 -2\n")
    trials = ("V1-alaw-x_tx b1-alaw-x_tx", "V2-alaw-x_tx b1-alaw-x_tx", "V1-alaw-x_tx s1-alaw-x_tx")
    scores, states = (2, 0, 3), ("bonafide target", "bonafide nontarget", "A01 spoof")
    (folder / "asv21.txt").write_text("".join(f"{t} {s}\n" for t, s in zip(trials, scores, strict=True)))
    (folder / "trials21.txt").write_text(
        "".join(f"{t} alaw x_tx {state} notrim eval\n" for t, state in zip(trials, states, strict=True))
    )
    files = ("--cm-scores", folder / "cm21.txt", "--protocol", folder / "key21.txt")
    files += ("--asv-scores", folder / "asv21.txt")
    assert "expected --asv-key" in refused(evaluate(*files))
    result = evaluate(*files, "--asv-key", folder / "trials21.txt")
    assert result.exit_code == 0
    assert "ASV system: 1 target + 1 nontarget + 1 spoof trials" in result.stdout


def test_column_names_what_the_contents_leave_open_and_explain_says_how_files_were_read(folder, tmp_path):
    scores = tmp_path / "two_outputs.txt"
    scores.write_text("u1 bonafide 2 -2\nu2 bonafide 1 -1\nu3 spoof -1 1\nu4 spoof 1.5 -1.5\n")
    asked = evaluate("--cm-scores", scores)
    assert asked.exit_code == 2
    assert "mirror each other" in asked.stderr
    result = evaluate("--cm-scores", scores, "--column", "score=3", "--explain")
    assert result.exit_code == 0
    assert "utterance = column 1, score = column 3, key = column 2" in result.stderr
    assert "EER        50.0000000000 %" in result.stdout

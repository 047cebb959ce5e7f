"""The command: any scores × any protocols, what it prints, writes and refuses."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from spoofcache.evaluate import main
from tests.test_evaluate_tdcf import ASV, CM, PROTOCOL, refused

REPOSITORY = Path(__file__).resolve().parents[1]
SASV = "bonafide target 3\nbonafide target 4\nbonafide nontarget 2\nA01 spoof 1\nA02 spoof 8\n"


@pytest.fixture
def folder(tmp_path):
    good = "b1 9\nb2 8\nb3 7\nb4 6\ns1 1\ns2 2\ns3 3\ns4 4\n"
    files = {"cm.txt": CM, "good.txt": good, "asv.txt": ASV, "protocol.txt": PROTOCOL, "sasv.txt": SASV}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    return tmp_path


def evaluate(folder, *arguments):
    """Arguments that name a file of the folder become its path."""
    full = [str(folder / argument) if (folder / str(argument)).exists() else str(argument) for argument in arguments]
    return CliRunner().invoke(main, full)


def table(result):
    """Rows of the first table: name → figures as printed."""
    return [line.split() for line in result.stdout.splitlines() if line.strip()]


def test_two_systems_against_a_protocol(folder):
    result = evaluate(folder, "cm.txt", "good.txt", "--protocol", "protocol.txt", "--bootstrap", "0")
    assert result.exit_code == 0
    assert "4 bona fide" in result.stdout
    rows = {row[0]: row[1:] for row in table(result)}
    assert rows["cm"][0] == "25.000"
    assert rows["good"][0].rstrip("*") == "0.000"


def test_scores_of_track_2_give_a_dcf_and_t_eer(folder):
    rows = ["m u1 3 5 4", "m u2 1 4 2.5", "n u1 2 -1 0.5", "m u4 0.75 6 3.5", "n u5 -2 3 0"]
    (folder / "t2.tsv").write_text("\n".join(["spk filename cm-score asv-score sasv-score", *rows]) + "\n")
    trials = ["u1 F bonafide target", "u2 F bonafide target", "u4 F A11 spoof"]
    (folder / "key.txt").write_text(
        "".join(f"m {one}\n" for one in trials) + "n u1 F bonafide nontarget\nn u5 F A12 spoof\n"
    )
    files = ("--sasv-scores", "t2.tsv", "--asv-key", "key.txt", "--html", folder / "report.html")
    result = evaluate(folder, *files, "--json", folder / "out.json", "--bootstrap", "0")
    assert result.exit_code == 0
    assert table(result)[1] == ["system", "a-DCF", "t-EER", "(%)"]
    page = (folder / "report.html").read_text()
    (test_set,) = json.loads((folder / "out.json").read_text())["test_sets"]
    for name, factor, digits in (("a_dcf", 1, 5), ("t_eer", 100, 3)):
        assert f"{factor * test_set['systems']['t2'][name]['value']:.{digits}f}" in page


def test_json_holds_every_figure_with_its_interval(folder):
    out = folder / "new" / "out.json"
    asv = ("--asv-scores", "asv.txt", "--protocol", "protocol.txt")
    result = evaluate(folder, "cm.txt", "good.txt", *asv, "--by", "attack", "--bootstrap", "50", "--json", out)
    assert result.exit_code == 0
    assert f"wrote {out}" in result.stdout
    (test_set,) = json.loads(out.read_text())["test_sets"]
    figure = test_set["systems"]["cm"]["eer"]
    assert figure["value"] == 0.25
    assert figure["low"] <= 0.25 <= figure["high"]
    of_a02 = test_set["by"]["attack"]["A02"]["systems"]["cm"]
    assert of_a02["min_tdcf_2019"]["value"] == pytest.approx((0.9405 - 0.095 / 4) / 2, rel=1e-15)


def test_csv_latex_and_html_are_written_whole(folder):
    outputs = {kind: folder / f"out.{kind}" for kind in ("csv", "latex", "html")}
    options = [word for kind, path in outputs.items() for word in (f"--{kind}", path)]
    result = evaluate(folder, "cm.txt", "good.txt", "--protocol", "protocol.txt", "--bootstrap", "20", *options)
    assert result.exit_code == 0
    rows = list(csv.DictReader(outputs["csv"].read_text().splitlines()))
    assert {(row["system"], row["measure"]): float(row["value"]) for row in rows}["cm", "eer"] == 0.25
    assert r"\begin{tabular}" in outputs["latex"].read_text()
    assert outputs["html"].read_text().startswith("<!DOCTYPE html>")


def test_the_threshold_at_the_equal_error_rate_is_printed_and_written(folder):
    out, tex = folder / "out.csv", folder / "out.tex"
    result = evaluate(folder, "cm.txt", "good.txt", "--bootstrap", "0", "--csv", out, "--latex", tex)
    rows = {row[0]: row[1:] for row in table(result)}
    assert rows["cm"][1] == "0.5"
    assert rows["good"][2] == "4"  # after the mark of the best
    written = {
        (row["system"], row["measure"]): row["threshold"] for row in csv.DictReader(out.read_text().splitlines())
    }
    assert written["cm", "eer"] == "0.5"
    assert "threshold at the EER" in tex.read_text()


@pytest.mark.parametrize("command", ["evaluate", "evaluate_tDCF_asvspoof19"])
def test_outputs_are_complete_even_if_standard_output_is_closed(folder, command):
    """As in `evaluate.py … | head -0`: the reader of the pipe is gone before the first line."""
    scores = [folder / "cm.txt", "--bootstrap", "0"] if command == "evaluate" else ["--cm-scores", folder / "cm.txt"]
    reader, writer = os.pipe()
    os.close(reader)
    subprocess.run(
        [sys.executable, REPOSITORY / f"{command}.py", *scores, "--json", folder / "out.json"],
        stdout=writer,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    os.close(writer)
    assert json.loads((folder / "out.json").read_text())


def test_the_default_measures_are_those_that_the_inputs_allow(folder):
    plain = evaluate(folder, "cm.txt", "--bootstrap", "0").stdout
    assert "min DCF" in plain
    assert "t-DCF" not in plain
    tandem = evaluate(folder, "cm.txt", "--bootstrap", "0", "--asv-scores", "asv.txt").stdout
    assert all(title in tandem for title in ("min t-DCF (2019)", "min t-DCF (2021)", "t-EER"))


def test_where_by_and_cluster_name_columns_of_the_protocol(folder):
    lines = [f"SP{i % 3} u{i} {'alaw' if i % 2 else 'g722'} loc_tx bonafide bonafide notrim eval" for i in range(8)]
    lines += [f"SP{i % 3} v{i} {'alaw' if i % 2 else 'g722'} loc_tx A07 spoof notrim eval" for i in range(8)]
    lines += ["SP9 x1 alaw loc_tx A07 spoof notrim progress"]
    (folder / "metadata.txt").write_text("\n".join(lines) + "\n")
    scores = [f"{name}{i} {i / 3 + (name == 'u')}" for name in "uv" for i in range(8)] + ["x1 50"]
    (folder / "la.txt").write_text("\n".join(scores) + "\n")
    which = ("--where", "phase=eval", "--by", "codec", "--cluster", "speaker", "--bootstrap", "20")
    result = evaluate(folder, "la.txt", "--protocol", "metadata.txt", *which)
    assert result.exit_code == 0
    assert "8 bona fide" in result.stdout
    assert "alaw" in result.stdout
    assert "drawing whole speakers (3)" in " ".join(result.stdout.split())


def test_calibration_adds_actual_dcf_and_cllr_before_and_after(folder):
    rng = np.random.default_rng(0)
    for name, shift in (("dev", 0), ("eval", 100)):
        rows = [(f"u{i + shift}", ("-", "bonafide") if i % 2 else ("A01", "spoof")) for i in range(200)]
        text = "".join(
            f"{u} {attack} {key} {3 * rng.normal((key == 'bonafide') * 2, 1)}\n" for u, (attack, key) in rows
        )
        (folder / f"{name}.txt").write_text(text)
    out = folder / "out.json"
    options = ("--calibrate", "dev.txt", "--bootstrap", "0", "--json", out)
    assert evaluate(folder, "eval.txt", *options).exit_code == 0
    (test_set,) = json.loads(out.read_text())["test_sets"]
    figures = test_set["systems"]
    assert list(figures) == ["eval", "eval, calibrated"]
    assert figures["eval, calibrated"]["cllr"]["value"] < figures["eval"]["cllr"]["value"]
    assert figures["eval, calibrated"]["act_dcf"]["value"] < figures["eval"]["act_dcf"]["value"]
    assert figures["eval, calibrated"]["eer"]["value"] == figures["eval"]["eer"]["value"]


def test_scores_of_speaker_and_spoofing_together(folder):
    result = evaluate(folder, "--sasv-scores", "sasv.txt", "--bootstrap", "10")
    assert result.exit_code == 0
    assert "a-DCF" in result.stdout
    assert f"{0.5 / 2 / 0.595:.5f}" in result.stdout


def test_every_warning_is_on_standard_error_too(folder):
    (folder / "bad.txt").write_text("b1 0\nb2 0\nb3 0\nb4 1\ns1 1\ns2 1\ns3 0\ns4 0\n")
    result = evaluate(folder, "cm.txt", "bad.txt", "--bootstrap", "0")
    warnings = [line for line in result.stderr.splitlines() if line.startswith("Warning: bad: ")]
    assert len(warnings) == 3  # the sign, decisions instead of scores, ties
    assert "above 50 %" in warnings[0]


def test_a_warning_is_printed_once_if_both_outputs_go_to_one_file(folder):
    (folder / "bad.txt").write_text("b1 1\nb2 2\nb3 3\nb4 4\ns1 9\ns2 8\ns3 7\ns4 6\n")
    command = [sys.executable, REPOSITORY / "evaluate.py", folder / "cm.txt", folder / "bad.txt", "--bootstrap", "0"]
    printed = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout
    assert printed.count("bad: an EER above 50 %") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--bootstrap", "0"], "no score file; expected SCORES or --sasv-scores"),
        (["none.txt"], "none.txt: no such file; expected FILE or NAME=FILE"),
        (["good.txt"], "good.txt: no column states whether a trial is bonafide or spoof"),
        (["cm.txt", "--metrics", "eer,auc"], "--metrics auc: expected some of eer, "),
        (["cm.txt", "--by", "codec"], "the trials have no column codec; expected one of attack"),
        (["cm.txt", "--fuse"], "--fuse and --dev-protocol need --calibrate"),
        (["cm.txt", "cm.txt"], "a second file of system cm"),
        (["cm.txt", "--json", "good.txt"], "good.txt: exists already"),
        (["cm.txt", "--json", "x.out", "--csv", "x.out"], "x.out: named twice"),
        (["cm.txt", "--json", "cm.txt", "--overwrite"], "cm.txt: is an input"),
        (["cm.txt", "--cluster", "attack", "--by", "speaker"], "no column speaker"),
        (["cm.txt", "--metrics", "t_eer"], "--metrics t_eer: needs --asv-scores"),
        (["cm.txt", "--calibrate", "cm.txt"], "8 of the development scores are those of trials to be judged"),
        (["--sasv-scores", "sasv.txt", "--asv-key", "asv.txt"], "asv.txt is of no use for "),
        (["--sasv-scores", "sasv.txt", "--by", "attack"], "--by applies to SCORES only; expected SCORES beside"),
        (["--sasv-scores", "sasv.txt", "--sasv-scores", "sasv.txt"], "a second file of system sasv"),
    ],
)
def test_refusals_are_one_sentence(folder, arguments, sentence):
    assert sentence in refused(evaluate(folder, *arguments))


def test_development_scores_of_no_system_are_refused(folder):
    sentence = refused(evaluate(folder, "cm.txt", "good.txt", "--calibrate", f"typo={folder / 'cm.txt'}"))
    assert sentence == "--calibrate typo: no system has that name; expected cm, good, NAME=FILE"


def test_no_input_is_replaced_whatever_it_is_for(folder):
    (folder / "costs.tsv").write_text("condition\tc0\tc1\tc2\npooled\t0.1\t0.8\t0.4\n")
    for option, name in (
        ("--calibrate", "good.txt"),
        ("--dev-protocol", "protocol.txt"),
        ("--tdcf-costs", "costs.tsv"),
    ):
        before = (folder / name).read_bytes()
        assert "is an input" in refused(evaluate(folder, "cm.txt", option, name, "--csv", name, "--overwrite"))
        assert (folder / name).read_bytes() == before


def test_a_refusal_writes_nothing(folder):
    (folder / "cm.txt").write_text(CM + "s5 A01 spoof nan\n")
    refused(evaluate(folder, "cm.txt", "--json", folder / "out.json", "--html", folder / "out.html"))
    assert not list(folder.glob("out.*"))


def test_help_shows_commands_to_copy_and_waits_for_no_library():
    result = CliRunner().invoke(main, ["--help"])
    assert "  python evaluate.py lcnn.txt aasist=runs/aasist_eval.txt --protocol" in result.stdout
    code = "import sys, evaluate; print(sorted({'torch', 'matplotlib', 'h5py', 'sklearn'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


# Figures that the official evaluation codes gives in float64.
@pytest.mark.corpus
def test_published_scores_get_the_official_figures(shared, tmp_path):
    data, out = shared / "data/asvspoof2019_la", tmp_path / "out.json"
    systems = [str(data / "cm_w2v2_lcnn_eval.txt"), f"oc={data / 'cm_inverted_sign_eval.txt'}"]
    asv = ("--asv-scores", str(data / "ASVspoof2019.LA.asv.eval.gi.trl.scores.txt"))
    protocol = ("--protocol", str(data / "ASVspoof2019.LA.cm.eval.trl.txt"))
    options = ("--metrics", "all", "--by", "attack", "--bootstrap", "0", "--json", str(out))
    result = CliRunner().invoke(main, [*systems, *asv, *protocol, *options])
    assert result.exit_code == 0
    (test_set,) = json.loads(out.read_text())["test_sets"]
    found = {name: figure["value"] for name, figure in test_set["systems"]["cm_w2v2_lcnn_eval"].items()}
    official = {
        "eer": 0.006357185455653269,
        "min_tdcf_2019": 0.01903686213690652,
        "min_tdcf_2021": 0.08057550418704394,
        "t_eer": 0.02569062732392718,
        "min_dcf": 0.017040513875738468,
        "act_dcf": 1.0,
        "cllr": 0.7308147143646186,
    }
    assert {name: found[name] for name in official} == pytest.approx(official, rel=1e-14)
    inverted = {name: figure["value"] for name, figure in test_set["systems"]["oc"].items()}
    former = {  # figures of the first evaluator of this project, before files were understood by their contents
        "eer": 0.9782201307981782,
        "min_tdcf_2019": 1.0,
        "min_tdcf_2021": 1.0,
        "t_eer": 0.558771504019112,
        "min_dcf": 1.0,
        "act_dcf": 2.8403339425250196,
        "cllr": 1.8245590481938745,
        "min_cllr": 1.0,
    }
    assert inverted == pytest.approx(former, rel=1e-14)
    a17 = test_set["by"]["attack"]["A17"]["systems"]["cm_w2v2_lcnn_eval"]
    assert (round(100 * a17["eer"]["value"], 4), round(a17["min_tdcf_2019"]["value"], 5)) == (1.4023, 0.12054)
    assert "oc: an EER above 50 %" in result.stderr


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("file", "sign", "figures"),
    [
        (
            "cm_inverted_sign_eval.txt",
            -1,
            # t-EER and min Cllr: the first evaluator of this project; the others: official code of ASVspoof 2019 to 5
            [
                *(0.021779869201821823, 0.05581600618861608, 0.1150473866370189, 0.028832182329736715),
                *(0.05185626047310927, 0.07920129804248405, 0.5037876406530605, 0.08836411172974308),
            ],
        ),
        (
            "cm_incomplete_eval.txt",
            1,
            # EER and t-DCF of 2019: official code of ASVspoof 2019; the others: the first evaluator
            [
                *(0.1546172479893272, 0.2715131177431303, 0.31721319734355535, 0.141250018886096),
                *(0.2634521326156996, 1.0, 0.8451413143519088, 0.44500228302610084),
            ],
        ),
    ],
)
def test_published_scores_keep_their_figures_without_a_protocol(shared, tmp_path, file, sign, figures):
    data, scores, out = shared / "data/asvspoof2019_la", tmp_path / "cm.txt", tmp_path / "out.json"
    rows = (line.rsplit(" ", 1) for line in (data / file).read_text().splitlines())
    scores.write_text("".join(f"{trial} {sign * float(score)!r}\n" for trial, score in rows))
    asv = ("--asv-scores", str(data / "ASVspoof2019.LA.asv.eval.gi.trl.scores.txt"))
    result = CliRunner().invoke(main, [str(scores), *asv, "--metrics", "all", "--bootstrap", "0", "--json", str(out)])
    assert result.exit_code == 0, result.stderr
    (test_set,) = json.loads(out.read_text())["test_sets"]
    found = {name: figure["value"] for name, figure in test_set["systems"]["cm"].items()}
    names = ("eer", "min_tdcf_2019", "min_tdcf_2021", "t_eer", "min_dcf", "act_dcf", "cllr", "min_cllr")
    assert found == pytest.approx(dict(zip(names, figures, strict=True)), rel=1e-14)

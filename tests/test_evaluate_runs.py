"""`evaluate.py --run`: train set × test set from run folders and caches, what it prints, writes, keeps and refuses."""

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from spoofcache.evaluate import main
from spoofcache.evaluation.crosscorpus import read_test_sets
from spoofcache.evaluation.matrix import MEAN
from tests.runs import ONE_IN_FOUR, PERFECT, write_run, write_test
from tests.test_evaluate_tdcf import refused

CONFIGS = Path(__file__).resolve().parents[1] / "configs/test_sets"
INVERTED = tuple(-score for score in PERFECT)
T_OF_TWO = 4.302652729911275
"""Student's t, 97.5 %, two degrees of freedom: from any table."""
MIN_DCF = 0.25
"""Of ONE_IN_FOUR: accept every bona fide, and one spoof in four at 0.5 of 0.5."""


@pytest.fixture
def place(tmp_path):
    """One run, the three seeds of another, and two test sets; on `easy` all are perfect but the third seed."""
    write_run(tmp_path / "one", (1, 0), lr=1.0, trained_on=("ITW/train",))
    for seed, weights in enumerate([(1, 0), (0, 1), (0, -1)]):
        write_run(tmp_path / f"lcnn-seed{seed}", weights, seed=seed)
    write_test(tmp_path / "hard", ONE_IN_FOUR)
    write_test(tmp_path / "easy", PERFECT)
    return tmp_path


def evaluate(place, *arguments, runs=("one", "lcnn-seed0", "lcnn-seed1", "lcnn-seed2")):
    options = [word for run in runs for word in ("--run", str(place / run))]
    tests = [word for test in ("hard", "easy") for word in ("--test", f"{test}={place / test}")]
    return CliRunner().invoke(main, [*options, *tests, "--device", "cpu", *map(str, arguments)])


def figures(record, name):
    (row,) = (row for row in record["matrix"] if row["name"] == name)
    return {test: {measure: f["value"] for measure, f in of.items()} for test, of in row["figures"].items()}


def test_the_matrix_has_what_one_would_work_out_by_hand(place):
    result = evaluate(place, "--bootstrap", "0", "--json", place / "out.json")
    assert result.exit_code == 0, result.output
    record = json.loads((place / "out.json").read_text())
    assert figures(record, "one") == {
        "hard": {"eer": 0.25, "min_dcf": MIN_DCF},
        "easy": {"eer": 0, "min_dcf": 0},
        MEAN: {"eer": 0.125, "min_dcf": MIN_DCF / 2},
    }
    seeds = figures(record, "lcnn")  # EERs of 25, 0 and 100 %; inverted scores are no better than a coin
    assert seeds["hard"] == pytest.approx({"eer": 1.25 / 3, "min_dcf": (MIN_DCF + 0 + 1) / 3})
    assert seeds["easy"] == pytest.approx({"eer": 1 / 3, "min_dcf": 1 / 3})
    (_, row) = record["matrix"]
    assert (row["trained_on"], row["systems"]) == (["LA/train"], ["lcnn-seed0", "lcnn-seed1", "lcnn-seed2"])
    half = T_OF_TWO * (1 / 3) ** 0.5 / 3**0.5  # of 0, 0 and 1
    assert 1 / 3 - half < 0 < 1 < 1 / 3 + half
    assert [row["figures"]["easy"]["eer"][end] for end in ("low", "high")] == [0, 1]
    assert [test["test_set"] for test in record["test_sets"]] == ["hard", "easy"]


def test_rows_say_what_was_trained_on_and_columns_what_was_judged(place):
    lines = evaluate(place, "--bootstrap", "20").stdout.splitlines()
    assert lines[0] == "EER (%), train set × test set"
    assert lines[2].split()[:5] == ["system", "(trained", "on)", "hard", "easy"]
    assert lines[4].startswith("one (ITW/train) ")
    assert lines[5].startswith("lcnn (LA/train, 3 seeds) ")
    assert lines[7] == "min DCF, train set × test set"
    assert any(line.startswith("Rows of several seeds") for line in lines)
    assert any(line.startswith("Intervals: 95% percentile bootstrap, 20 replicates") for line in lines)


def test_a_rerun_scores_nothing_and_gives_the_same_output(place, monkeypatch):
    first = evaluate(place, "--bootstrap", "20", "--csv", place / "a.csv")
    before = {path: path.stat().st_mtime_ns for path in place.glob("*/scores/*.tsv")}
    assert len(before) == 4 * 2
    monkeypatch.setattr("spoofcache.evaluation.crosscorpus.score_partition", None)
    second = evaluate(place, "--bootstrap", "20", "--csv", place / "b.csv")
    assert second.stdout == first.stdout.replace("a.csv", "b.csv")
    assert (place / "a.csv").read_bytes() == (place / "b.csv").read_bytes()
    assert {path: path.stat().st_mtime_ns for path in place.glob("*/scores/*.tsv")} == before


def test_csv_latex_and_a_heat_map_are_written(place):
    outputs = {kind: place / f"out.{kind}" for kind in ("csv", "latex", "html")}
    options = [word for kind, path in outputs.items() for word in (f"--{kind}", path)]
    assert evaluate(place, "--bootstrap", "20", *options).exit_code == 0
    rows = list(csv.DictReader(outputs["csv"].read_text().splitlines()))
    assert len(rows) == 2 * 3 * 2
    assert {(r["system"], r["test_set"], r["measure"]): r["value"] for r in rows}["one", "hard", "eer"] == "0.25"
    assert r"one (ITW/train) & \textbf{25.000} & \textbf{0.000} & \textbf{12.500} \\" in outputs["latex"].read_text()
    page = ElementTree.fromstring(outputs["html"].read_text().removeprefix("<!DOCTYPE html>\n"))
    assert [head.text for head in page.findall(".//h2")][1:] == ["Train set × test set", "hard", "easy", "Measures"]
    heats = page.findall(".//table")[0].findall(".//td[@class='heat']")
    assert len(heats) == 2 * 3
    assert heats[1].get("style") == "background: rgba(213, 94, 0, 0.000)"  # `one` on `easy`: perfect
    assert {td.get("class") for td in page.findall(".//table")[2].iter("td")} == {None}  # that of a test set


def test_the_average_of_a_run_is_judged_where_it_is_asked_for(place):
    for ending in ("safetensors", "json"):
        (place / f"one/average.{ending}").write_bytes((place / f"lcnn-seed1/model.{ending}").read_bytes())
    options = ("--bootstrap", "0", "--json", place / "out.json", "--checkpoint", "average")
    assert evaluate(place, *options, runs=("one",)).exit_code == 0
    record = json.loads((place / "out.json").read_text())
    assert figures(record, "one")["hard"]["eer"] == 0  # 0.25 with its best weights
    assert "no average.json; expected" in refused(evaluate(place, *options, "--overwrite"))


def test_by_adds_the_tables_of_the_single_runs(place):
    result = evaluate(place, "--bootstrap", "0", "--by", "language", runs=("one",))
    assert "EER (%) by language, hard" in result.stdout
    assert "by language" not in evaluate(place, "--bootstrap", "0", runs=("one",)).stdout


def test_where_holds_for_every_test_set_and_warnings_name_theirs(place):
    result = evaluate(place, "--bootstrap", "0", "--where", "language=en", runs=("one",))
    assert "hard where language=en, 4 trials" in " ".join(result.stdout.split())
    assert "Warning: hard: only 2 bona fide trials" in result.stderr
    assert "WARNING: hard: hard: " not in result.stdout


def test_named_test_sets_come_from_a_file(place):
    (place / "sets.toml").write_text('[E]\ncache = "easy"\n[EN]\ncache = "easy"\nwhere = "language=en"\n')
    options = ["--run", place / "one", "--test-sets", place / "sets.toml", "--bootstrap", "0", "--json", place / "o"]
    result = CliRunner().invoke(main, [str(option) for option in options])
    assert result.exit_code == 0, result.output
    assert list(json.loads((place / "o").read_text())["matrix"][0]["figures"]) == ["E", "EN", MEAN]
    assert len(list(place.glob("one/scores/*.tsv"))) == 1


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_test_set_files_can_be_read_and_state_how_they_are_used(path):
    tests = read_test_sets(path)
    assert f"--test-sets configs/test_sets/{path.name}" in path.read_text()
    assert all("cache/" in cache for test in tests for cache in test.caches)
    if path.stem == "speechfake":
        named = "BD_test BD_EN_test BD_CN_test ASV19_eval ITW FOR"  # of SpeechFake's evaluation
        assert [test.name for test in tests] == named.split()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["scores.txt", "--run", "one"],
            "SCORES cannot be combined with --run; expected --test or --test-sets, and no score files",
        ),
        (["--run", "one", "--fuse"], "--fuse cannot be combined with --run; expected"),
        (["--run", "one"], "no test set; expected --test NAME=CACHE or --test-sets FILE"),
        (["--run", "none", "--test", "a=b"], "--run none: no such folder; expected FOLDER or NAME=FOLDER"),
        (["--test", "hard=hard"], "--test applies to runs only; expected --run"),
        (["--run", "one", "--test", "hard=nowhere"], "nowhere: no manifest.json; expected a complete cache"),
        (["--run", "one", "--test", "hard=hard", "--metrics", "t_eer"], "--metrics t_eer: needs --asv-scores"),
        (
            ["--run", "one", "--test", "hard=hard", "--where", "codec=a"],
            "test set hard: column 'codec'; expected one of",
        ),
    ],
)
def test_refusals_are_one_sentence(place, monkeypatch, arguments, sentence):
    monkeypatch.chdir(place)
    assert sentence in refused(CliRunner().invoke(main, arguments))
